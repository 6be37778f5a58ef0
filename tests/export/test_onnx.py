"""The encoder's graph holds for pictures of every size, not only for the one that it was traced with."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort
import pytest
import torch

from components.config import load_params
from components.export.onnx import export_encoder
from components.model.network import Recogniser


@pytest.mark.parametrize("window", [4, 7])
def test_windows_shift_alike_in_pictures_larger_and_smaller_than_a_window(
    tmp_path: Path, window: int
) -> None:
    torch.manual_seed(0)
    params = load_params(Path(__file__).parents[2] / "params.yaml").model.model_copy(
        update={"embed_dim": 16, "depths": (2, 2, 2), "heads": (1, 2, 2), "window": window, "stages": 0}
    )
    model = Recogniser(params, 9).eval()
    export_encoder(model, tmp_path / "encoder.onnx", opset=20)
    session = ort.InferenceSession(tmp_path / "encoder.onnx", providers=["CPUExecutionProvider"])
    for batch, rows, columns in [(1, 1, 1), (2, 2, 3), (3, 1, 9), (1, 5, 4)]:
        pictures = torch.rand(batch, 1, rows * model.multiple, columns * model.multiple)
        with torch.inference_mode():
            memory = model.cross(model.encode(pictures))
        expected = (*memory.keys, *memory.values)
        for result, tensor in zip(session.run(None, {"pictures": pictures.numpy()}), expected, strict=True):
            torch.testing.assert_close(torch.from_numpy(result), tensor, rtol=0, atol=2e-5)
