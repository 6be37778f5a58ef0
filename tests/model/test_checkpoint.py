from pathlib import Path

import pytest
import torch

from components.latex.vocabulary import Vocabulary
from components.model.checkpoint import Checkpoint, load_model, load_pretrained, save_model
from components.model.network import EncoderDecoder
from components.model.trainer import TrainingJob

Weights = dict[str, torch.Tensor]


@pytest.fixture
def trained(job: TrainingJob) -> Checkpoint:
    torch.manual_seed(1)
    return Checkpoint(EncoderDecoder(job.model, len(job.vocabulary)), job.vocabulary, job.raster)


def changed(before: Weights, after: Weights) -> set[str]:
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


def weights(model: EncoderDecoder) -> Weights:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_half_precision_halves_the_file_and_reads_as_well(trained: Checkpoint, tmp_path: Path) -> None:
    save_model(trained, tmp_path / "whole.pt")
    save_model(trained, tmp_path / "half.pt", half=True)
    assert (tmp_path / "half.pt").stat().st_size < 0.6 * (tmp_path / "whole.pt").stat().st_size
    half = load_model(tmp_path / "half.pt")
    assert half.vocabulary == trained.vocabulary and half.raster == trained.raster
    for name, value in trained.model.state_dict().items():
        torch.testing.assert_close(half.model.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_a_model_begun_with_another_is_that_one(job: TrainingJob, trained: Checkpoint) -> None:
    model = EncoderDecoder(job.model, len(job.vocabulary))
    load_pretrained(model, job.vocabulary, trained)
    assert changed(weights(model), weights(trained.model)) == set()


def test_tokens_keep_what_was_learnt_of_them_and_new_ones_begin_anew(
    job: TrainingJob, trained: Checkpoint
) -> None:
    known = job.vocabulary.tokens
    order = [*known[:4], *sorted([*known[4:], r"\quux"])]
    vocabulary = Vocabulary(tuple(order), (1,) * len(order))
    model = EncoderDecoder(job.model, len(order))
    before = weights(model)
    load_pretrained(model, vocabulary, trained)
    after = weights(model)
    for part in ("embed.weight", "head.weight", "head.bias", "symbol_head.weight"):
        learnt = trained.model.state_dict()[part]
        for number, token in enumerate(order):
            expected = learnt[known.index(token)] if token in known else before[part][number]
            assert torch.equal(after[part][number], expected), token


def test_begun_with_the_eyes_alone_its_decoder_is_new_and_may_be_of_another_kind(
    job: TrainingJob, trained: Checkpoint
) -> None:
    params = job.model.model_copy(update={"decoder_layers": 2, "coverage": True})
    model = EncoderDecoder(params, len(job.vocabulary))
    before = weights(model)
    load_pretrained(model, job.vocabulary, trained, encoder_only=True)
    assert changed(before, weights(model)) <= {"encoder", "project", "memory_norm", "symbol_head"}
    learnt = trained.model.state_dict()
    assert all(torch.equal(v, learnt[n]) for n, v in model.encoder.state_dict(prefix="encoder.").items())
    assert torch.equal(model.symbol_head.weight, trained.model.symbol_head.weight)


def test_other_sizes_are_refused_by_name(job: TrainingJob, trained: Checkpoint) -> None:
    wider = job.model.model_copy(update={"decoder_width": 2 * job.model.decoder_width})
    model = EncoderDecoder(wider, len(job.vocabulary))
    with pytest.raises(ValueError, match=r"train\.init_from: project\.weight is .*`model` has other sizes"):
        load_pretrained(model, job.vocabulary, trained)
