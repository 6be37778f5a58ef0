"""Calibrate beam scores into the probability that the top hypothesis is correct.

Networks are miscalibrated: underconfident after label smoothing, overconfident after long training. A
logistic regression of correctness corrects that, on ln p, ln (1 - p), ln q, ln (1 - q) and the length, where
p is the probability of the top hypothesis and q its share of the probability of all hypotheses found: without
a rival it is correct more often than p says. With p alone this is beta calibration (Kull et al. 2017, "Beta
calibration: a well-founded and easily implemented improvement on logistic calibration"), which includes the
identity. `evaluation.calibration_fit` fits the weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

_EPSILON = 1e-6  # no probability is above 1 - this


class ConfidenceModel(BaseModel):
    """Log-odds that the top hypothesis is correct, linear in the logarithms of p, 1 - p, q and 1 - q.

    `bias` + `log_p` ln p - `log_not_p` ln (1 - p) + `log_share` ln q - `log_not_share` ln (1 - q) + `token` *
    number of tokens. The defaults give p itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bias: float = 0.0
    log_p: float = 1.0
    log_not_p: float = 1.0
    log_share: float = 0.0
    log_not_share: float = 0.0
    token: float = 0.0

    def probabilities(self, scores: Sequence[float], tokens: int) -> list[float]:
        """The probability of each hypothesis to be correct.

        `scores` are the ln p of all that were found, the best first; `tokens` is the length of the best. The
        others share what the best leaves in proportion to their own probabilities; none exceeds the one
        before it.
        """
        ln_p, ln_rest, ln_q, ln_others = log_features(scores)
        best = _logistic(
            self.bias + self.log_p * ln_p - self.log_not_p * ln_rest + self.log_share * ln_q
            - self.log_not_share * ln_others + self.token * tokens
        )  # fmt: skip
        result = [best]
        for score in scores[1:]:
            result.append(min(result[-1], (1 - best) * math.exp(score - ln_rest)))
        return result


class Calibration(BaseModel):
    """One model for greedy decoding and one for beam search: their scores are distributed differently."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    greedy: ConfidenceModel = ConfidenceModel()
    beam: ConfidenceModel = ConfidenceModel()

    def for_beam(self, beam: int) -> ConfidenceModel:
        """The model for a search with so many beams."""
        return self.greedy if beam == 1 else self.beam


def log_features(scores: Sequence[float]) -> npt.NDArray[np.float64]:
    """(4,): ln p, ln (1 - p), ln q and ln (1 - q) of the best hypothesis, which is the first."""
    best = np.asarray(scores, np.float64) - scores[0]
    ln = np.minimum([scores[0], -np.log(np.exp(best).sum())], math.log1p(-_EPSILON))
    features: npt.NDArray[np.float64] = np.column_stack([ln, np.log(-np.expm1(ln))]).ravel()
    return features


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-max(-700.0, x)))
