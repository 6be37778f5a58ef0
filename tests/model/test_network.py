import numpy as np
import pytest
import torch

from components.config import ModelParams, Params
from components.latex.vocabulary import UNK
from components.model.lightning_module import masked
from components.model.network import Recogniser
from components.model.torch_engine import TorchEngine
from components.recognizer.engine import Memory, Past

NAMED = {"encoder": "swin_tiny_patch4_window7_224", "window": 8, "stages": 3}
SECOND = {"encoder": "swinv2_tiny_window8_256", "window": 8, "stages": 2, "stem": "patch"}


def model_of(params: Params, **changes: object) -> Recogniser:
    torch.manual_seed(0)
    return Recogniser(ModelParams(**(params.model.model_dump() | changes)), 20).eval()


@pytest.mark.parametrize("changes", [{}, NAMED, SECOND], ids=["custom", "swin", "swinv2"])
def test_reads_pictures_of_any_size(params: Params, changes: dict[str, object]) -> None:
    model = model_of(params, **changes)
    tokens = torch.ones(2, 5, dtype=torch.long)
    for rows, columns in ((1, 1), (2, 5), (4, 3)):
        side = model.multiple
        cells = rows * columns * (side // model.stride) ** 2
        output = model(torch.rand(2, 1, rows * side, columns * side), tokens)
        assert output.logits.shape == (2, 5, 20)
        assert output.spots.shape == (2, cells, 20)
        assert output.attention.shape == (2, 5, cells)
        assert torch.allclose(output.attention.sum(dim=2), torch.ones(2, 5))


def test_a_name_that_timm_does_not_know_is_answered_with_those_it_knows(params: Params) -> None:
    with pytest.raises(ValueError, match=r"model\.encoder: timm has no 'swin_giant'.*swin_tiny"):
        model_of(params, encoder="swin_giant")


@pytest.mark.parametrize("coverage", [False, True])
def test_step_by_step_gives_the_logits_of_the_whole(params: Params, coverage: bool) -> None:
    model = model_of(params, decoder_layers=3, coverage=coverage)
    for layer in model.layers:
        if layer.covered is not None:
            torch.nn.init.normal_(layer.covered.mix.weight)
    pictures, tokens = torch.rand(3, 1, 32, 64), torch.randint(0, 20, (6, 7))  # two answers a picture
    with torch.inference_mode():
        whole = model(pictures, tokens).logits
    engine = TorchEngine(model)
    memory = engine.encode(pictures.numpy())
    # What pads a picture's memory to the size of another's is not looked at.
    wide = Memory.joined([memory, Memory.whole(*([np.full(s, 9.0, np.float32)] * 3 for s in _wide(memory)))])
    past = Past.empty(padded := wide.take(np.arange(3)), 2, room=2)
    for position in range(7):
        step = engine.step(tokens[:, position : position + 1].numpy(), past, padded)
        past.keep(step)
        assert np.allclose(step.logits[:, 0], whole[:, position], atol=1e-4)


def _wide(memory: Memory) -> tuple[tuple[int, ...], tuple[int, ...]]:
    _, heads, width, cells = memory.keys[0].shape
    return (1, heads, width, cells + 5), (1, heads, cells + 5, width)


def test_what_was_looked_at_before_matters_where_coverage_is_asked_for(params: Params) -> None:
    model = model_of(params, decoder_layers=2, coverage=True)
    picture, tokens = torch.rand(1, 1, 32, 64), torch.randint(0, 20, (1, 5))
    before = model(picture, tokens).logits
    torch.nn.init.normal_(model.layers[1].covered.mix.weight)
    after = model(picture, tokens).logits
    assert torch.allclose(before[:, 0], after[:, 0], atol=1e-4), "at first, nothing was looked at"
    assert not torch.allclose(before[:, 1:], after[:, 1:], atol=1e-3)


@pytest.mark.parametrize(("patch", "blocks"), [(4, (0, 1)), (8, (0, 1, 1))])
def test_a_residual_stem_halves_the_picture_as_often_as_it_says(
    params: Params, patch: int, blocks: tuple[int, ...]
) -> None:
    model = model_of(params, stem="residual", patch=patch, stem_blocks=blocks, depths=(1,), heads=(1,))
    assert model.stride == model.multiple == patch
    assert model.encode(torch.rand(1, 1, 2 * patch, 3 * patch)).shape[1] == 6
    with pytest.raises(ValueError, match=r"model\.stem_blocks: 1 halvings"):
        model_of(params, stem="residual", patch=patch, stem_blocks=(1,))


def test_a_token_depends_on_those_before_it_only(params: Params) -> None:
    model = model_of(params)
    picture, tokens = torch.rand(1, 1, 32, 32), torch.randint(0, 20, (1, 6))
    changed = tokens.clone()
    changed[0, 4:] = (changed[0, 4:] + 1) % 20
    before, after = model(picture, tokens).logits, model(picture, changed).logits
    assert torch.allclose(before[:, :4], after[:, :4], atol=1e-5)
    assert not torch.allclose(before[:, 4:], after[:, 4:], atol=1e-3)


def test_a_masked_answer_keeps_its_direction_and_most_of_its_tokens() -> None:
    torch.manual_seed(0)
    tokens = torch.randint(4, 20, (50, 40))
    assert torch.equal(masked(tokens, 0), tokens)
    hidden = masked(tokens, 0.15)
    assert torch.equal(hidden[:, 0], tokens[:, 0]), "the first token says in which direction is written"
    changed = hidden != tokens
    assert (hidden[changed] == UNK).all()
    assert changed.float().mean().item() == pytest.approx(0.15, abs=0.03)
