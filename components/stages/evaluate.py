"""Stage `evaluate`: measure the trained model on the test split, or any model on a folder of ink or pictures.

In the pipeline without arguments; alone: `python -m components.stages.evaluate --data FOLDER`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
from rich.console import Console

from components.cli.base import count
from components.config import load_params
from components.data.datasets import Labelled, LabelledFolder, LabelledPictures, LabelledShards
from components.data.picture_folder import labels_file
from components.evaluation.metrics import Answer, Evaluation, evaluate
from components.evaluation.reader import read_dataset
from components.evaluation.report.error_gallery import page, worst
from components.evaluation.report.predictions import write_predictions
from components.evaluation.report.summary import confidence_line, summary
from components.files import write_csv, write_json, write_text
from components.recognizer.calibration import Calibration
from components.recognizer.recognizer import Recognizer
from components.registry.bundles import SHIPPED, bundle_folder

WORST = 40


def run_pipeline() -> None:
    """Evaluate the checkpoint on the test split and write reports/."""
    # Imported here: evaluating a bundle needs no PyTorch.
    from components.model.torch_engine import load_torch_recognizer

    params = load_params()
    checkpoint, split = Path("data/model.pt"), Path("data/shards/test")
    data = LabelledShards(split, params.evaluate.limit)
    calibration = Calibration.model_validate_json(Path("data/calibration.json").read_bytes())
    recognizer = load_torch_recognizer(checkpoint, params.decoding, calibration)
    answers, _ = read_dataset(data, recognizer)
    about = {"beam": params.decoding.beam, "model": checkpoint.as_posix(), "data": split.as_posix()}
    report(answers, data, Path("reports"), params.evaluate.worst, about)


def run_alone(folder: Path, out: Path, model: str, beam: int | None, limit: int) -> None:
    """Evaluate `model` on every labelled InkML file under `folder`, or every picture that its list names, and
    write the report to `out`.

    Raises ValueError or OSError where there is nothing to evaluate, or no model.
    """
    recognizer = Recognizer.load(bundle_folder(model))
    kind = LabelledPictures if labels_file(folder) else LabelledFolder
    data: Labelled = kind(folder, recognizer.settings.raster, limit)
    answers, rejects = read_dataset(data, recognizer, beam)
    write_csv(("file", "reason"), ((r.file, r.reason) for r in rejects), out / "rejected.csv")
    if not answers:
        raise ValueError(f"{folder}: none of {len(data)} files is usable: {out / 'rejected.csv'}")
    about = {
        "rejected": len(rejects),
        "beam": beam or recognizer.settings.decoding.beam,
        "model": model,
        "data": str(folder),
    }
    report(answers, data, out, WORST, about)
    if rejects:
        print(f"{len(rejects)} of {len(data)} files were rejected: {out / 'rejected.csv'}")


def report(
    answers: Sequence[Answer], data: Labelled, out: Path, show: int, about: Mapping[str, object]
) -> Evaluation:
    """Write metrics.json, predictions.parquet, plots/ and worst.html to `out`, and print the summary."""
    from components.evaluation.report.plots import write_plots

    evaluation = evaluate(answers)
    title = f"{about['model']} on {about['data']}, beam {about['beam']}"
    write_predictions(answers, out / "predictions.parquet")
    write_plots(evaluation, out / "plots")
    mistakes = worst(answers, show)
    pictures = {id: cv2.imencode(".png", p)[1].tobytes() for id, p in data.pictures(mistakes.ids).items()}
    write_text(page(evaluation, mistakes, pictures, title), out / "worst.html")
    write_json({**evaluation.metrics(), **about}, out / "metrics.json")
    Console().print(summary(evaluation, title))
    print(confidence_line(evaluation))
    print(f"results: {out / 'metrics.json'}, predictions.parquet, plots/, worst.html (pictures of mistakes)")
    return evaluation


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m components.stages.evaluate", description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="folder of labelled InkML, searched recursively, or of pictures with labels.csv or labels.jsonl",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the results (default: reports/evaluate/FOLDER)"
    )
    parser.add_argument(
        "--model",
        default=str(SHIPPED),
        help="bundle folder such as data/bundle, or models:/… (default: the bundled model)",
    )
    parser.add_argument("--beam", type=count, metavar="N", help="beams (default: the model's own)")
    parser.add_argument("--limit", type=count, default=0, metavar="N", help="use at most N files")
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(arguments)
    if arguments and options.data is None:
        parser.error("--data is needed (no argument at all: the pipeline's test split)")
    try:
        if arguments:
            out = options.out or Path("reports/evaluate") / options.data.resolve().name
            run_alone(options.data, out, options.model, options.beam, options.limit)
        else:
            run_pipeline()
    except (ValueError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
