"""How much each ink of one split counts where it has to stand for the formulas of another.

Validation inks are not always of the formulas that answers will be about: CROHME's test2013 has 41 capitals
for 100 of the small letters that look like them, train2014 ten. What is learnt on such inks holds elsewhere
once each counts as much more, or less, as its formula is likelier there (Shimodaira 2000, "Improving
predictive inference under covariate shift by weighting the log-likelihood function"). That ratio is the
odds of a classifier that tells the splits apart (Bickel et al. 2007, "Discriminative learning for differing
training and test distributions").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression


def weights(labels: Sequence[Sequence[str]], like: Sequence[Sequence[str]]) -> npt.NDArray[np.float64]:
    """(N): how much each of the N labels counts to be `like` the others; 1 in the mean.

    By which tokens they have. Raises ValueError where one of the two is empty.
    """
    if not labels or not like:
        raise ValueError(f"{len(labels)} labels to be like {len(like)}: there are none")
    tokens = CountVectorizer(analyzer=list, binary=True).fit_transform([*labels, *like])
    there = np.repeat([0, 1], [len(labels), len(like)])
    fewer = min(len(labels), len(like))  # both count as much, and are no more evidence than the fewer
    evidence = np.where(there, fewer / len(like), fewer / len(labels))
    classifier = LogisticRegression(max_iter=1000).fit(tokens, there, evidence)
    odds = np.exp(classifier.decision_function(tokens[: len(labels)]))
    return np.asarray(odds / odds.mean(), np.float64)


def effective(weights: npt.NDArray[np.float64]) -> float:
    """So many equally weighted ones would tell as much (Kish 1965)."""
    return float(weights.sum() ** 2 / np.square(weights).sum())
