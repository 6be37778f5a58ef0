from pathlib import Path

import pytest
import torch

from components.latex.vocabulary import Vocabulary
from components.model.checkpoint import Checkpoint, begin_with, load_model, save_model
from components.model.network import Recogniser
from components.model.trainer import Job

Weights = dict[str, torch.Tensor]


@pytest.fixture
def trained(job: Job) -> Checkpoint:
    torch.manual_seed(1)
    return Checkpoint(Recogniser(job.model, len(job.vocabulary)), job.vocabulary, job.raster)


def changed(before: Weights, after: Weights) -> set[str]:
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


def weights(model: Recogniser) -> Weights:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_half_precision_halves_the_file_and_reads_as_well(trained: Checkpoint, tmp_path: Path) -> None:
    save_model(trained, tmp_path / "whole.pt")
    save_model(trained, tmp_path / "half.pt", half=True)
    assert (tmp_path / "half.pt").stat().st_size < 0.6 * (tmp_path / "whole.pt").stat().st_size
    half = load_model(tmp_path / "half.pt")
    assert half.vocabulary == trained.vocabulary and half.raster == trained.raster
    for name, value in trained.model.state_dict().items():
        torch.testing.assert_close(half.model.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_a_model_begun_with_another_is_that_one(job: Job, trained: Checkpoint) -> None:
    model = Recogniser(job.model, len(job.vocabulary))
    begin_with(model, job.vocabulary, trained)
    assert changed(weights(model), weights(trained.model)) == set()


def test_tokens_keep_what_was_learnt_of_them_and_new_ones_begin_anew(job: Job, trained: Checkpoint) -> None:
    known = job.vocabulary.tokens
    order = [*known[:4], *sorted([*known[4:], r"\quux"])]
    vocabulary = Vocabulary(tuple(order), (1,) * len(order))
    model = Recogniser(job.model, len(order))
    before = weights(model)
    begin_with(model, vocabulary, trained)
    after = weights(model)
    for part in ("embed.weight", "head.weight", "head.bias", "spot.weight"):
        learnt = trained.model.state_dict()[part]
        for number, token in enumerate(order):
            expected = learnt[known.index(token)] if token in known else before[part][number]
            assert torch.equal(after[part][number], expected), token


def test_begun_with_the_eyes_alone_its_decoder_is_new_and_may_be_of_another_kind(
    job: Job, trained: Checkpoint
) -> None:
    params = job.model.model_copy(update={"decoder_layers": 2, "coverage": True})
    model = Recogniser(params, len(job.vocabulary))
    before = weights(model)
    begin_with(model, job.vocabulary, trained, eyes=True)
    assert changed(before, weights(model)) <= {"encoder", "project", "memory_norm", "spot"}
    learnt = trained.model.state_dict()
    assert all(torch.equal(v, learnt[n]) for n, v in model.encoder.state_dict(prefix="encoder.").items())
    assert torch.equal(model.spot.weight, trained.model.spot.weight)


def test_other_sizes_are_refused_by_name(job: Job, trained: Checkpoint) -> None:
    wider = job.model.model_copy(update={"decoder_width": 2 * job.model.decoder_width})
    model = Recogniser(wider, len(job.vocabulary))
    with pytest.raises(ValueError, match=r"train\.start: project\.weight is .*`model` has other sizes"):
        begin_with(model, job.vocabulary, trained)
