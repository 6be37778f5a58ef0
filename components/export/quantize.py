"""A bundle with 8-bit weights: half as large, and on many CPUs a quarter faster.

    python -m components.export.quantize data/bundle data/bundle-int8 --data data/shards/valid

It is made only where it reads that data as well as the bundle that it comes from.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

from components.data.datasets import Labelled, LabelledShards
from components.evaluation.reader import read_dataset
from components.files import atomic_folder
from components.latex.metrics import Scores, score
from components.recognizer.bundle import DECODER, ENCODER, Bundle, BundleError, load_bundle, seal_bundle
from components.recognizer.recognizer import Recognizer

_WORSE = 0.003  # ExpRate that may be lost


class WorseError(ValueError):
    """The quantized bundle reads worse."""


def quantize_checked(
    folder: Path, out: Path, data: Labelled, beam: int | None = None
) -> tuple[Scores, Scores]:
    """Quantize the bundle in `folder` to `out` atomically; returns the scores of both.

    Raises WorseError where ExpRate falls by more than 0.3 points (`out` stays as it was), BundleError.
    """
    with atomic_folder(out) as quantized:
        quantize(folder, quantized)
        before, after = (_scores(made, data, beam) for made in (folder, quantized))
        if after.exprate < before.exprate - _WORSE:
            raise WorseError(
                f"{folder} with 8-bit weights reads {after.exprate:.2%} of {before.n} without an error, as "
                f"it is {before.exprate:.2%}: more than {_WORSE:.1%} worse, so it is not written"
            )
    return before, after


def quantize(folder: Path, out: Path) -> Bundle:
    """Copy the bundle in `folder` to `out` with 8-bit weights in its matrix products, one scale per column,
    and dynamically quantized activations. Convolutions are unchanged. Raises BundleError."""
    bundle = load_bundle(folder)
    shutil.copytree(folder, out, dirs_exist_ok=True)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # silences advice that is already followed
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


def _scores(bundle: Path, data: Labelled, beam: int | None) -> Scores:
    answers, _ = read_dataset(data, Recognizer.load(bundle), beam)
    return score((answer.label, answer.read) for answer in answers)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m components.export.quantize",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", type=Path, help="folder of a bundle, such as data/bundle or models/default")
    parser.add_argument("out", type=Path, help="folder that the other bundle goes to")
    parser.add_argument("--data", type=Path, default=Path("data/shards/valid"), help="(default: %(default)s)")
    parser.add_argument("--beam", type=int, help="beams of the search (default: the bundle's own)")
    options = parser.parse_args(arguments)
    try:
        before, after = quantize_checked(
            options.bundle, options.out, LabelledShards(options.data), options.beam
        )
    except (WorseError, BundleError, OSError) as error:
        print(f"quantizing: {error}", file=sys.stderr)
        return 1
    for name, folder, found in (("as it is", options.bundle, before), ("8-bit", options.out, after)):
        size = sum((folder / graph).stat().st_size for graph in (ENCODER, DECODER)) / 1e6
        print(f"{name:<9} ExpRate {found.exprate:.2%}  CER {found.cer:.2%}  graphs {size:.1f} MB")
    print(f"results: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
