"""Stage `calibrate`: what a confidence is worth, learnt on the validation split."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from components.evaluation import Answer, reliability
from components.labelled import LabelledShards
from components.likeness import effective, weights
from components.params import Params, ParamsError, load_params
from components.recognizer.calibration import Calibration, Confidence, fit
from components.report.files import whole, write_metrics
from components.shards import read_table
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
    found = {}
    report: dict[str, float | None] = {}
    for name, beam in (("greedy", 1), ("beam", max(params.evaluate.beam, 2))):
        answers, _ = read(data, recognizer, beam)
        counts = np.ones(len(answers))
        if params.evaluate.calibrate_for == "train":
            labels = read_table(TRAIN, ["tokens"])["tokens"].to_pylist()
            counts = weights([answer.label for answer in answers], labels)
            right = np.array([answer.right for answer in answers])
            report |= {
                "effective_inks": effective(counts),
                f"{name}_exprate_as_train": float(np.average(right, weights=counts)),
            }
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
    with whole(CALIBRATION) as beside:
        beside.write_text(calibration.model_dump_json(indent=2) + "\n", encoding="utf-8")
    write_metrics(report, REPORT)
    return calibration


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
