"""From the model's own probabilities of its answers to how probably the best is right.

Networks are not honest about themselves: trained with smoothed labels they are too modest, trained long too
sure. Some numbers, found on validation inks, mend that: a logistic regression of "right" on ln p, ln (1 - p),
ln q, ln (1 - q) and the length, where p is the probability of the answer and q its share of the probability
of all that the search found: an answer that has no rival is right more often than its p says. Of one number,
that is beta calibration (Kull et al. 2017, "Beta calibration: a well-founded and easily implemented
improvement on logistic calibration"), which can also leave everything as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

_SURE = 1e-6  # nothing is surer than 1 - this


class ConfidenceModel(BaseModel):
    """The log-odds that an answer is right: `bias` + `sure` ln p - `unsure` ln (1 - p) + `alone` ln q -
    `log_not_share` ln (1 - q) + `token` times its number of tokens. As it comes, that is p itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bias: float = 0.0
    log_p: float = 1.0
    log_not_p: float = 1.0
    log_share: float = 0.0
    log_not_share: float = 0.0
    token: float = 0.0

    def of(self, scores: Sequence[float], tokens: int) -> list[float]:
        """Confidences of all answers that were found, by their ln p, the best first; that one has so many
        tokens.

        The others share what the best leaves, in proportion to their own probabilities; none has more than
        the one before it.
        """
        ln_p, ln_rest, ln_q, ln_others = _features(scores)
        best = _logistic(
            self.bias + self.log_p * ln_p - self.log_not_p * ln_rest + self.log_share * ln_q
            - self.log_not_share * ln_others + self.token * tokens
        )  # fmt: skip
        result = [best]
        for score in scores[1:]:
            result.append(min(result[-1], (1 - best) * math.exp(score - ln_rest)))
        return result


class Calibration(BaseModel):
    """One for each way to search: scores of one beam and of several are not alike."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    greedy: ConfidenceModel = ConfidenceModel()
    beam: ConfidenceModel = ConfidenceModel()

    def of(self, beam: int) -> ConfidenceModel:
        """The one for so many beams."""
        return self.greedy if beam == 1 else self.beam


def fit(
    scores: Sequence[Sequence[float]],
    tokens: Sequence[int],
    right: Sequence[bool],
    weights: npt.NDArray[np.float64] | None = None,
) -> ConfidenceModel:
    """Finds the numbers by Newton's method, with Platt's targets (1999): no answer is ever wholly sure.

    `scores` has of each picture all that the search found, `weights` how much it counts (None:
    all the same). Raises ValueError where there are fewer than ten.
    """
    if len(scores) < 10:
        raise ValueError(f"calibration: {len(scores)} answers are too few, at least 10 are needed")
    features = np.array([_features(answers) for answers in scores])
    x = np.column_stack([np.ones(len(scores)), features, np.asarray(tokens, np.float64)])
    counts = np.ones(len(scores)) if weights is None else weights
    count = float(counts @ np.asarray(right))
    y = np.where(right, (count + 1) / (count + 2), 1 / (counts.sum() - count + 2))
    told = np.ptp(x, axis=0) > 1e-9  # with one beam nothing has a rival
    told[0] = True
    scale = np.maximum(np.abs(x).max(axis=0), 1e-9)
    x = x[:, told] / scale[told]
    numbers = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(x @ numbers, -30, 30)))
        # A little ridge: where all is right, or wrong, nothing else bounds the numbers.
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


def _features(scores: Sequence[float]) -> npt.NDArray[np.float64]:
    """ln p, ln (1 - p), ln q and ln (1 - q) of the best, which is the first."""
    best = np.asarray(scores, np.float64) - scores[0]
    ln = np.minimum([scores[0], -np.log(np.exp(best).sum())], math.log1p(-_SURE))
    features: npt.NDArray[np.float64] = np.column_stack([ln, np.log(-np.expm1(ln))]).ravel()
    return features


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-max(-700.0, x)))
