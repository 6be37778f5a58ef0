"""Importance weights for covariate shift between splits.

Validation inks need not have the labels that predictions will be about: CROHME's test2013 has 41 capitals per
100 of the lower-case letters that look like them, train2014 ten. What is fitted on such inks holds elsewhere
once each is weighted by how much likelier its label is there (Shimodaira 2000, Improving predictive inference
under covariate shift by weighting the log-likelihood function). That ratio is the odds of a classifier that
tells the splits apart (Bickel et al. 2007, Discriminative learning for differing training and test
distributions).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression


def importance_weights(
    labels: Sequence[Sequence[str]], like: Sequence[Sequence[str]]
) -> npt.NDArray[np.float64]:
    """Weights (N,) that make `labels` distributed like `like`, by the tokens they contain; their mean is 1.

    Raises ValueError if one of the two is empty.
    """
    if not labels or not like:
        raise ValueError(f"importance weights need labels of both splits, got {len(labels)} and {len(like)}")
    tokens = CountVectorizer(analyzer=list, binary=True).fit_transform([*labels, *like])
    there = np.repeat([0, 1], [len(labels), len(like)])
    fewer = min(len(labels), len(like))  # both weigh the same, as much evidence as the smaller
    evidence = np.where(there, fewer / len(like), fewer / len(labels))
    classifier = LogisticRegression(max_iter=1000).fit(tokens, there, evidence)
    odds = np.exp(classifier.decision_function(tokens[: len(labels)]))
    return np.asarray(odds / odds.mean(), np.float64)


def effective_sample_size(weights: npt.NDArray[np.float64]) -> float:
    """Effective sample size of weighted samples (Kish 1965)."""
    return float(weights.sum() ** 2 / np.square(weights).sum())
