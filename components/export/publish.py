"""Puts what `dvc repro` trained into models/, for the repository: `python -m components.export.publish`.

Of the inks that it was trained and tested on nothing may go along but the weights: the example and the
pictures of mistakes are formulas that the project's own synthesizer writes. Beside the bundle lies the
checkpoint, in half precision, which a training can start from (`train.init_from`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from components.config import load_params
from components.files import atomic_folder, write_json
from components.ink.raster import Picture, draw
from components.latex.tokenizer import detokenize
from components.model.checkpoint import load_model, save_model
from components.random_streams import Stream
from components.recognizer.bundle import CARD, EXAMPLE, FILES, About, load_bundle, seal_bundle
from components.recognizer.cpu import cores
from components.recognizer.recognizer import Prediction, Recognizer
from components.registry.bundles import METRICS, SHIPPED
from components.synthesis.formula_grammar import formula
from components.synthesis.handwriting import Writer, set_formula

BUNDLE, MODEL, REPORTS = Path("data/bundle"), Path("data/model.pt"), Path("reports")
MISTAKES, CURVE, HISTORY = "mistakes.png", "curve.png", "history.csv"
_TRIED = 200  # formulas of the synthesizer
_TRIES = 100_000  # formulas of the grammar, of which those in the vocabulary are read
_SHOWN = 10  # of the misread ones


@dataclass(frozen=True)
class Tried:
    """A synthetic formula and its prediction."""

    picture: Picture
    label: tuple[str, ...]
    reading: Prediction


def ship(out: Path = SHIPPED) -> None:
    """Write the model's folder atomically. Raises BundleError, OSError if the pipeline has not run."""
    bundle, recognizer = load_bundle(BUNDLE), Recognizer.load(BUNDLE)
    params = load_params()
    tried = try_out(recognizer, params.seed)
    history = whole_history(REPORTS / HISTORY, params.train.init_from)
    with atomic_folder(out) as folder:
        for name in FILES:
            shutil.copyfile(BUNDLE / name, folder / name)
        right = [t for t in tried if t.label == t.reading.tokens]
        if not right:
            raise ValueError("the model reads none of the synthetic formulas: no example to show")
        best = max(right, key=lambda t: (len(t.label) >= 7, t.reading.confidence))
        cv2.imwrite(str(folder / EXAMPLE), best.picture)
        about = About(**bundle.about.model_dump() | {"example": best.reading.latex})
        version = seal_bundle(folder, bundle.settings, about).version
        cv2.imwrite(str(folder / MISTAKES), sheet([t for t in tried if t.label != t.reading.tokens][:_SHOWN]))
        save_model(load_model(MODEL), folder / "model.pt", half=True)
        history.to_csv(folder / HISTORY, index=False)
        write_curve(history, folder / CURVE)
        figures = _figures(recognizer, tried, history)
        write_json(figures, folder / METRICS)
        text = (BUNDLE / CARD).read_text(encoding="utf-8").replace(bundle.version, version)
        (folder / CARD).write_text(text + _more(figures), encoding="utf-8")


def try_out(recognizer: Recognizer, seed: int) -> list[Tried]:
    """Read synthetic formulas of symbols in the vocabulary."""
    rng = np.random.default_rng([seed, Stream.PUBLICATION])
    known = set(recognizer.vocabulary.tokens)
    pictures: list[Picture] = []
    labels: list[tuple[str, ...]] = []
    for _ in range(_TRIES):
        if len(labels) == _TRIED:
            break
        typeset = set_formula(formula(rng, 14))
        if set(typeset.tokens) <= known:
            ink, _ = Writer(len(labels), seed).write(typeset, "x", rng)
            pictures.append(draw(ink.strokes, recognizer.settings.raster))
            labels.append(typeset.tokens)
    if not labels:
        raise ValueError(f"the vocabulary lacks the symbols of all of {_TRIES} synthetic formulas")
    readings = recognizer.read(pictures, beam=1)
    return [Tried(*parts) for parts in zip(pictures, labels, readings, strict=True)]


def sheet(tried: Sequence[Tried]) -> Picture:
    """A contact sheet of pictures with label and prediction."""
    strips = []
    for one in tried:
        strip = np.full((one.picture.shape[0] + 24, 640), 255, np.uint8)
        strip[: one.picture.shape[0], : one.picture.shape[1]] = one.picture
        text = f"{detokenize(one.label)}   read as   {one.reading.latex}"
        cv2.putText(strip, text, (4, strip.shape[0] - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 60, 1, cv2.LINE_AA)
        strips.append(strip)
    return np.concatenate(strips) if strips else np.full((24, 640), 255, np.uint8)


def whole_history(last: Path, start: Path | None) -> pd.DataFrame:
    """The epochs of a training, after those of the published model that it started from."""
    history = pd.read_csv(last)
    if start is None or not (before := start.with_name(HISTORY)).exists():
        return history
    first = pd.read_csv(before)
    return pd.concat([first, history.assign(epoch=history["epoch"] + len(first))], ignore_index=True)


def _figures(recognizer: Recognizer, tried: Sequence[Tried], history: pd.DataFrame) -> dict[str, Any]:
    metrics = json.loads((REPORTS / "metrics.json").read_text(encoding="utf-8"))
    calibration = json.loads((REPORTS / "calibration.json").read_text(encoding="utf-8"))
    train = json.loads((REPORTS / "train.json").read_text(encoding="utf-8"))
    right = sum(t.label == t.reading.tokens for t in tried) / len(tried)
    figures: dict[str, Any] = metrics | {
        "valid_exprate": calibration["beam_exprate"],
        "valid_exprate_greedy": calibration["greedy_exprate"],
        "synthesiser_exprate": right,
        "parameters": train["parameters"],
        "epochs": len(history),
        "training_seconds": round(float(history["seconds"].sum()), 1),
        "ms_greedy": _milliseconds(recognizer, tried, 1),
        "ms_beam": _milliseconds(recognizer, tried, metrics["beam"]),
        "cores": cores(),
    }
    return figures


def _milliseconds(recognizer: Recognizer, tried: Sequence[Tried], beam: int) -> float:
    """Median time of reading one picture."""
    seconds = []
    for one in tried[:60]:
        begun = time.perf_counter()
        recognizer.read([one.picture], beam)
        seconds.append(time.perf_counter() - begun)
    return round(1000 * statistics.median(seconds), 1)


def write_curve(table: pd.DataFrame, out: Path) -> None:
    """Plot loss and ExpRate by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3), layout="constrained")
    left = figure.subplots()
    left.plot(table["epoch"] + 1, 100 * table["valid_exprate"], color="tab:blue")
    left.set(xlabel="epoch", ylabel="ExpRate on valid, greedy, %")
    right = left.twinx()
    right.plot(table["epoch"] + 1, table["valid_loss"], color="tab:gray", linestyle="--")
    right.set(ylabel="loss on valid (dashed)")
    figure.savefig(out, dpi=110)


def _more(figures: dict[str, Any]) -> str:
    ours = "formulas of the project's synthesizer, whose fonts it never saw, 1 beam"
    sure, cores = figures["sure_right"], figures["cores"]
    said = "" if sure is None else f"; {sure:.1%} of those are correct"
    return f"""
## Metrics and confidence

| inks | how many | exact |
|---|---|---|
| valid (chosen and calibrated on), {figures["beam"]} beams | | {figures["valid_exprate"]:.1%} |
| test, {figures["beam"]} beams | {figures["n"]} | {figures["exprate"]:.1%} |
| {ours} | {_TRIED} | {figures["synthesiser_exprate"]:.1%} |

Expected calibration error on test: {figures["ece"]:.3f}. {figures["sure"]:.1%} of its answers are over 90 %
sure{said}.

It was trained for {figures["epochs"]} epochs, {figures["training_seconds"] / 60:.0f} minutes:

![ExpRate and loss on valid by epoch]({CURVE})

## Latency

On {cores} CPU cores, one picture: {figures["ms_greedy"]} ms with one beam, {figures["ms_beam"]} ms with
{figures["beam"]}.

## Errors

Formulas that the project's own synthesizer wrote (no person's handwriting), and what was read:

![formulas, each with its label and what was read]({MISTAKES})
"""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=SHIPPED)
    out = parser.parse_args().out
    ship(out)
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    print(f"{out}: {size:.1f} MB; see {out / CARD} and {out / MISTAKES}")


if __name__ == "__main__":
    main()
