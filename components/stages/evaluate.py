"""Stage `evaluate`: how well the trained model reads the test split; or any model any folder of InkML.

In the pipeline without arguments; alone: `python -m components.stages.evaluate --data FOLDER`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import cv2
from rich.console import Console
from rich.progress import Progress

from components.cli.base import count
from components.config import load_params
from components.data.datasets import Labelled, LabelledFolder, LabelledShards, Reject, Sample
from components.evaluation.metrics import Answer, Evaluation, evaluate
from components.evaluation.report.error_gallery import page, worst
from components.evaluation.report.predictions import write_predictions
from components.evaluation.report.summary import confidence_line, summary
from components.files import write_csv, write_json, write_text
from components.recognizer.calibration import Calibration
from components.recognizer.recognizer import Recognizer
from components.registry.bundles import SHIPPED, bundle_folder

WORST = 40
_PICTURES = 1024  # in memory at once: enough to find many of one size
_STEP = 128  # of them are read between two moves of the progress bar

_T = TypeVar("_T")


def run_pipeline() -> None:
    """Reads the test split with the checkpoint, as params.yaml says, and writes reports/."""
    params = load_params().evaluate
    checkpoint, split = Path("data/model.pt"), Path("data/shards/test")
    data = LabelledShards(split, params.limit)
    calibration = Calibration.model_validate_json(Path("data/calibration.json").read_bytes())
    answers, _ = read(data, trained(checkpoint, calibration, params.sizes), params.beam)
    about = {"beam": params.beam, "model": checkpoint.as_posix(), "data": split.as_posix()}
    report(answers, data, Path("reports"), params.worst, about)


def run_alone(folder: Path, out: Path, model: str, beam: int, limit: int) -> None:
    """Reads every labelled InkML file under `folder` with `model` and writes the report to `out`.

    Raises ValueError or OSError where there is nothing to evaluate, or no model.
    """
    recognizer = Recognizer.load(bundle_folder(model))
    data = LabelledFolder(folder, recognizer.settings.raster, limit)
    answers, rejects = read(data, recognizer, beam)
    write_csv(("file", "reason"), ((r.file, r.reason) for r in rejects), out / "rejected.csv")
    if not answers:
        raise ValueError(f"{folder}: none of {len(data)} InkML files can be used: {out / 'rejected.csv'}")
    about = {"rejected": len(rejects), "beam": beam, "model": model, "data": str(folder)}
    report(answers, data, out, WORST, about)
    if rejects:
        print(f"{len(rejects)} of {len(data)} files do not count: {out / 'rejected.csv'}")


def read(data: Labelled, recognizer: Recognizer, beam: int) -> tuple[list[Answer], list[Reject]]:
    """Reads all samples; answers come sorted by id. Memory holds some hundred pictures at a time."""
    multiple = recognizer.settings.multiple
    answers: list[Answer] = []
    rejects: list[Reject] = []
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("reading", total=len(data))
        for chunk in _chunks(data, _PICTURES):
            refused = [entry for entry in chunk if isinstance(entry, Reject)]
            samples = [entry for entry in chunk if isinstance(entry, Sample)]
            # Pictures that are padded to one size go through the network together.
            samples.sort(key=lambda sample: [-(-side // multiple) for side in sample.picture.shape])
            rejects += refused
            progress.advance(task, len(refused))
            for part in _chunks(samples, _STEP):
                readings = recognizer.read([sample.picture for sample in part], beam)
                answers += [
                    Answer(sample.id, sample.label, reading.tokens, reading.confidence, reading.scores)
                    for sample, reading in zip(part, readings, strict=True)
                ]
                progress.advance(task, len(part))
    return sorted(answers, key=lambda answer: answer.id), rejects


def report(
    answers: Sequence[Answer], data: Labelled, out: Path, show: int, about: Mapping[str, object]
) -> Evaluation:
    """Writes metrics.json, predictions.parquet, plots/ and worst.html to `out`, and prints the table."""
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


def trained(path: Path, calibration: Calibration | None = None, sizes: Sequence[float] = ()) -> Recognizer:
    """A recogniser that runs a checkpoint in PyTorch, on a GPU where there is one. Without calibration its
    confidences are the model's own probabilities."""
    # Imported here: reading with a bundle needs no PyTorch.
    import torch

    from components.model.checkpoint import load_model
    from components.model.torch_engine import TorchEngine

    checkpoint = load_model(path)
    model = checkpoint.model.to("cuda" if torch.cuda.is_available() else "cpu")
    return Recognizer(TorchEngine(model), checkpoint.vocabulary, checkpoint.settings(calibration, sizes))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m components.stages.evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="labelled InkML, searched in depth")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the results go (default: reports/evaluate/FOLDER)"
    )
    parser.add_argument(
        "--model",
        default=str(SHIPPED),
        help="bundle folder, as data/bundle, or models:/… (default: the one that comes with the repository)",
    )
    parser.add_argument("--beam", type=count, default=5, metavar="N", help="beams (default: %(default)s)")
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


def _chunks(entries: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(entries)
    while chunk := list(islice(iterator, size)):
        yield chunk


if __name__ == "__main__":
    sys.exit(main())
