"""A bundle with 8-bit weights: smaller, and on many CPUs faster."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

from components.recognizer.bundle import DECODER, ENCODER, Bundle, load_bundle, seal_bundle


def quantize(folder: Path, out: Path) -> Bundle:
    """Copies the bundle in `folder` to `out`, the weights of its matrix products as 8-bit integers, one scale
    a column; activations are made so while it runs. Convolutions stay as they are. Raises BundleError."""
    bundle = load_bundle(folder)
    shutil.copytree(folder, out)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # advice that was taken already
    try:
        for name in (ENCODER, DECODER):
            ready = out / f".{name}.ready"
            quant_pre_process(folder / name, ready, skip_symbolic_shape=True)
            quantize_dynamic(
                ready,
                out / name,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                weight_type=QuantType.QInt8,
            )
            ready.unlink()
    finally:
        logging.getLogger().setLevel(level)
    return seal_bundle(out, bundle.settings, bundle.about)
