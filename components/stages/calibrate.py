"""Stage `calibrate`: fit the calibration of confidences on the validation split."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.config import Params, ParamsError, load_params
from components.data.datasets import LabelledShards, LabelledSymbols, evenly, split_symbols
from components.data.shards import read_table
from components.evaluation.calibration_fit import fit_confidence
from components.evaluation.metrics import Answer, reliability
from components.evaluation.reader import read_dataset
from components.files import atomic_write, write_json
from components.model.torch_engine import load_torch_recognizer
from components.recognizer.calibration import Calibration, ConfidenceModel

MODEL, VALID, TRAIN = Path("data/model.pt"), Path("data/shards/valid"), Path("data/shards/train")
CALIBRATION, REPORT = Path("data/calibration.json"), Path("reports/calibration.json")


def calibrate(params: Params) -> Calibration:
    """Fit the calibration of greedy decoding and of beam search on the validation split.

    With `evaluate.calibrate_for: train` the inks are importance-weighted to match train's labels. Raises
    ValueError if the split has too few inks, FileNotFoundError without the split or the model.
    """
    recognizer = load_torch_recognizer(MODEL, params.decoding)
    data = LabelledShards(VALID, 0)
    beams = {"greedy": 1, "beam": max(params.decoding.beam, 2)}
    symbols = LabelledSymbols(
        evenly(split_symbols(VALID), params.evaluate.calibrate_symbols)
        if params.evaluate.calibrate_symbols
        else [],
        recognizer.settings.raster,
    )
    both = {name: read_dataset(data, recognizer, beam)[0] for name, beam in beams.items()}
    alone = {name: read_dataset(symbols, recognizer, beam)[0] for name, beam in beams.items()}
    found = {}
    report: dict[str, float | None] = {}
    counts = np.ones(len(both["greedy"]))
    if params.evaluate.calibrate_for == "train":
        counts, report["effective_inks"] = as_train(both["greedy"])
    for name, answers in both.items():
        if params.evaluate.calibrate_for == "train":
            right = [answer.right for answer in answers]
            report[f"{name}_exprate_as_train"] = float(np.average(right, weights=counts))
        seen = [*answers, *alone[name]]
        confidence = fit_confidence(
            [answer.scores for answer in seen],
            [len(answer.read) for answer in seen],
            [answer.right for answer in seen],
            np.concatenate([counts, np.ones(len(alone[name]))]),
        )
        found[name] = confidence
        after = reliability([_confident(answer, confidence) for answer in answers])
        report |= {
            f"{name}_exprate": sum(answer.right for answer in answers) / len(answers),
            f"{name}_ece_before": reliability(answers).ece,
            f"{name}_symbols": sum(a.right for a in alone[name]) / len(alone[name]) if alone[name] else None,
            f"{name}_ece": after.ece,  # on the inks it was fitted on; the test split's is in metrics.json
        }
    calibration = Calibration(**found)
    with atomic_write(CALIBRATION) as beside:
        beside.write_text(calibration.model_dump_json(indent=2) + "\n", encoding="utf-8")
    write_json(report, REPORT)
    return calibration


def as_train(answers: Sequence[Answer]) -> tuple[npt.NDArray[np.float64], float]:
    """Importance weights that make valid's labels like train's, and their effective sample size."""
    # scikit-learn takes a second to import.
    from components.evaluation.importance import effective_sample_size, importance_weights

    labels = read_table(TRAIN, ["tokens"])["tokens"].to_pylist()
    counts = importance_weights([answer.label for answer in answers], labels)
    return counts, effective_sample_size(counts)


def _confident(answer: Answer, confidence: ConfidenceModel) -> Answer:
    return replace(answer, confidence=confidence.probabilities(answer.scores, len(answer.read))[0])


def main() -> None:
    """Run the stage with params.yaml."""
    try:
        calibration = calibrate(load_params())
    except (ParamsError, ValueError, OSError) as error:
        sys.exit(f"calibrate: {error}")
    print(f"{CALIBRATION}: {calibration}. Report: {REPORT}")


if __name__ == "__main__":
    main()
