"""Fit the calibration of confidences on labelled validation pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.recognizer.calibration import ConfidenceModel, log_features


def fit_confidence(
    scores: Sequence[Sequence[float]],
    tokens: Sequence[int],
    right: Sequence[bool],
    weights: npt.NDArray[np.float64] | None = None,
) -> ConfidenceModel:
    """Fit the weights by Newton's method, with Platt's targets (1999): no probability reaches 0 or 1.

    `scores` holds for each picture the ln p of all hypotheses, the best first; `weights` (N,) are importance
    weights (None: all 1). Raises ValueError for fewer than ten pictures.
    """
    if len(scores) < 10:
        raise ValueError(f"calibration: {len(scores)} answers are too few, at least 10 are needed")
    features = np.array([log_features(answers) for answers in scores])
    x = np.column_stack([np.ones(len(scores)), features, np.asarray(tokens, np.float64)])
    counts = np.ones(len(scores)) if weights is None else weights
    count = float(counts @ np.asarray(right))
    y = np.where(right, (count + 1) / (count + 2), 1 / (counts.sum() - count + 2))
    told = np.ptp(x, axis=0) > 1e-9  # greedy decoding finds no rivals
    told[0] = True
    scale = np.maximum(np.abs(x).max(axis=0), 1e-9)
    x = x[:, told] / scale[told]
    numbers = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(x @ numbers, -30, 30)))
        # A little ridge: where all are correct, or none, nothing else bounds the weights.
        gradient = x.T @ (counts * (p - y)) + 1e-3 * numbers
        hessian = (x * (counts * p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(len(numbers))
        step = np.linalg.solve(hessian, gradient)
        numbers -= step
        if np.abs(step).max() < 1e-9:
            break
    found = np.zeros(len(told))
    found[told] = numbers / scale[told]
    bias, log_p, log_not_p, log_share, log_not_share, token = found.tolist()
    return ConfidenceModel(
        bias=bias,
        log_p=log_p,
        log_not_p=-log_not_p,
        log_share=log_share,
        log_not_share=-log_not_share,
        token=token,
    )
