"""A bundle with its confidence fitted on other data, and with other sizes or beams if you like: no training.

    python -m components.export.recalibrate models/default data/recalibrated --data FOLDER --scales 0.85 1.15

Take inks or pictures like those of your users, which the model was not trained on; a few hundred will do.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from components.data.datasets import (
    Labelled,
    LabelledFolder,
    LabelledPictures,
    LabelledShards,
    LabelledSymbols,
    evenly,
    split_symbols,
)
from components.data.picture_folder import labels_file
from components.evaluation.calibration_fit import fit_confidence
from components.evaluation.metrics import Answer, reliability
from components.evaluation.reader import read_dataset
from components.files import atomic_folder
from components.ink.raster import RasterSettings
from components.recognizer.bundle import Bundle, BundleError, DecodingConfig, load_bundle, seal_bundle
from components.recognizer.calibration import Calibration, ConfidenceModel
from components.recognizer.recognizer import Recognizer


def recalibrate(
    folder: Path, out: Path, data: Sequence[Labelled], decoding: DecodingConfig
) -> tuple[Bundle, list[Answer]]:
    """Copy the bundle in `folder` to `out` atomically, with `decoding` and a calibration fitted on `data`.

    Returns the new bundle, and the answers of its search with their new confidence. Raises BundleError;
    ValueError for fewer than ten samples.
    """
    bundle = load_bundle(folder)
    settings = bundle.settings.model_copy(update={"decoding": decoding})
    recognizer = Recognizer(Recognizer.load(folder).engine, bundle.vocabulary, settings)
    greedy, _ = _fit(recognizer, data, 1)
    beam, answers = _fit(recognizer, data, max(decoding.beam, 2))
    fitted = decoding.model_copy(update={"calibration": Calibration(greedy=greedy, beam=beam)})
    with atomic_folder(out) as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        seal_bundle(copy, settings.model_copy(update={"decoding": fitted}), bundle.about)
    return load_bundle(out), answers


def _fit(recognizer: Recognizer, data: Sequence[Labelled], beam: int) -> tuple[ConfidenceModel, list[Answer]]:
    answers = [answer for part in data for answer in read_dataset(part, recognizer, beam)[0]]
    confidence = fit_confidence(
        [answer.scores for answer in answers],
        [len(answer.read) for answer in answers],
        [answer.right for answer in answers],
    )
    return confidence, [
        replace(answer, confidence=confidence.probabilities(answer.scores, len(answer.read))[0])
        for answer in answers
    ]


def labelled(folder: Path, settings: RasterSettings, each: int) -> list[Labelled]:
    """Return a split's shards with at most `each` single symbols a class, a folder of pictures, or of InkML.

    Raises ValueError, FileNotFoundError.
    """
    if any(folder.glob("*.parquet")):
        shards: list[Labelled] = [LabelledShards(folder, 0)]
        return [*shards, LabelledSymbols(evenly(split_symbols(folder), each), settings)] if each else shards
    kind = LabelledPictures if labels_file(folder) else LabelledFolder
    return [kind(folder, settings)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m components.export.recalibrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", type=Path, help="folder of a bundle, such as data/bundle or models/default")
    parser.add_argument("out", type=Path, help="folder that the new bundle goes to")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("data/shards/valid"),
        help="shards, a folder of labelled InkML, or of pictures with a list (default: %(default)s)",
    )
    parser.add_argument(
        "--symbols",
        type=int,
        default=3,
        help="single symbols a class, where the data are shards (default: %(default)s)",
    )
    parser.add_argument("--beam", type=int, help="beams of the search (default: the bundle's own)")
    parser.add_argument(
        "--scales", type=float, nargs="*", help="sizes besides 1 that it reads in (default: the bundle's own)"
    )
    parser.add_argument(
        "--min-side",
        type=int,
        help="pixels that smaller pictures are padded to a side (default: the bundle's own)",
    )
    options = parser.parse_args(arguments)
    try:
        settings = load_bundle(options.bundle).settings
        given = {"beam": options.beam, "scales": options.scales, "min_side": options.min_side}
        decoding = DecodingConfig.model_validate(
            settings.decoding.model_dump()
            | {name: value for name, value in given.items() if value is not None}
        )
        data = labelled(options.data, settings.raster, options.symbols)
        bundle, answers = recalibrate(options.bundle, options.out, data, decoding)
    except (BundleError, ValueError, OSError) as error:
        print(f"recalibrating: {error}", file=sys.stderr)
        return 1
    _report(answers)
    print(f"bundle {bundle.version}: {options.out}")
    return 0


def _report(answers: Sequence[Answer]) -> None:
    trust = reliability(answers)
    right = sum(answer.right for answer in answers) / len(answers)
    sure = "" if trust.sure_right is None else f", {trust.sure_right:.1%} of them correct"
    print(f"{len(answers)} samples  exact {right:.1%}  ECE {trust.ece:.3f}  {trust.sure} over 90 %{sure}")
    print("(on the samples that it was fitted on; measure it on others with components.stages.evaluate)")


if __name__ == "__main__":
    sys.exit(main())
