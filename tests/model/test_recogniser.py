import pytest
import torch
import torch.nn.functional as F

from components.model.recogniser import Recogniser
from components.params import ModelParams, Params

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


def test_step_by_step_gives_the_logits_of_the_whole(params: Params) -> None:
    model = model_of(params, decoder_layers=2)
    pictures, tokens = torch.rand(3, 1, 32, 64), torch.randint(0, 20, (3, 7))
    with torch.inference_mode():
        whole = model(pictures, tokens).logits
        keys, values = model.cross(model.encode(pictures))
        own_keys = own_values = keys[:, :, :, :0]
        cells = torch.full((3,), keys.shape[3])
        # What pads a row's memory to the size of another's is not looked at.
        keys, values = (F.pad(memory, (0, 0, 0, 5), value=9.0) for memory in (keys, values))
        for position in range(7):
            logits, own_keys, own_values = model.step(
                tokens[:, position], torch.tensor(position), own_keys, own_values, keys, values, cells
            )
            assert torch.allclose(logits, whole[:, position], atol=1e-4)


def test_a_token_depends_on_those_before_it_only(params: Params) -> None:
    model = model_of(params)
    picture, tokens = torch.rand(1, 1, 32, 32), torch.randint(0, 20, (1, 6))
    changed = tokens.clone()
    changed[0, 4:] = (changed[0, 4:] + 1) % 20
    before, after = model(picture, tokens).logits, model(picture, changed).logits
    assert torch.allclose(before[:, :4], after[:, :4], atol=1e-5)
    assert not torch.allclose(before[:, 4:], after[:, 4:], atol=1e-3)
