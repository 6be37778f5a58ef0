"""Stage `calibrate`: what a confidence is worth, learnt on the validation split."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.config import Params, ParamsError, load_params
from components.data.datasets import LabelledShards
from components.data.shards import read_table
from components.evaluation.metrics import Answer, reliability
from components.files import atomic_write, write_json
from components.recognizer.calibration import Calibration, Confidence, fit
from components.stages.evaluate import read, trained

MODEL, VALID, TRAIN = Path("data/model.pt"), Path("data/shards/valid"), Path("data/shards/train")
CALIBRATION, REPORT = Path("data/calibration.json"), Path("reports/calibration.json")


def calibrate(params: Params) -> Calibration:
    """Reads the validation split with one beam and with `evaluate.beam`, and writes what was learnt of each:
    for its formulas, or for train's (`evaluate.calibrate_for`).

    Raises ValueError where the split has too few inks, FileNotFoundError where it or the model is missing.
    """
    recognizer = trained(MODEL, sizes=params.evaluate.sizes)
    data = LabelledShards(VALID, 0)
    beams = {"greedy": 1, "beam": max(params.evaluate.beam, 2)}
    both = {name: read(data, recognizer, beam)[0] for name, beam in beams.items()}
    found = {}
    report: dict[str, float | None] = {}
    counts = np.ones(len(both["greedy"]))
    if params.evaluate.calibrate_for == "train":
        counts, report["effective_inks"] = as_train(both["greedy"])
    for name, answers in both.items():
        if params.evaluate.calibrate_for == "train":
            right = [answer.right for answer in answers]
            report[f"{name}_exprate_as_train"] = float(np.average(right, weights=counts))
        confidence = fit(
            [answer.scores for answer in answers],
            [len(answer.read) for answer in answers],
            [answer.right for answer in answers],
            counts,
        )
        found[name] = confidence
        after = reliability([_confident(answer, confidence) for answer in answers])
        report |= {
            f"{name}_exprate": sum(answer.right for answer in answers) / len(answers),
            f"{name}_ece_before": reliability(answers).ece,
            f"{name}_ece": after.ece,  # on the very inks that it was learnt on: test's is in metrics.json
        }
    calibration = Calibration(**found)
    with atomic_write(CALIBRATION) as beside:
        beside.write_text(calibration.model_dump_json(indent=2) + "\n", encoding="utf-8")
    write_json(report, REPORT)
    return calibration


def as_train(answers: Sequence[Answer]) -> tuple[npt.NDArray[np.float64], float]:
    """How much each answer counts where valid's formulas stand for train's; how many inks that is worth."""
    from components.evaluation.importance import (  # scikit-learn, which takes a second to import
        effective,
        weights,
    )

    labels = read_table(TRAIN, ["tokens"])["tokens"].to_pylist()
    counts = weights([answer.label for answer in answers], labels)
    return counts, effective(counts)


def _confident(answer: Answer, confidence: Confidence) -> Answer:
    return replace(answer, confidence=confidence.of(answer.scores, len(answer.read))[0])


def main() -> None:
    """Runs the stage as params.yaml says."""
    try:
        calibration = calibrate(load_params())
    except (ParamsError, ValueError, OSError) as error:
        sys.exit(f"calibrate: {error}")
    print(f"{CALIBRATION}: {calibration}. Report: {REPORT}")


if __name__ == "__main__":
    main()
