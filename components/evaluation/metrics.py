"""Metrics of a set of predictions, overall and by kind of formula.

Pure functions from answers to figures; nothing here reads a file or knows a model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from components.latex.metrics import Scores, edits, score
from components.latex.normalizer import with_functions
from components.latex.structure import structures

Tokens = tuple[str, ...]

SURE = 0.9  # predictions above this confidence would be accepted unread
_LENGTHS = ((1, 5), (6, 10), (11, 20), (21, 40), (41, None))  # tokens of the label, ends included
_BINS = 10
_Z = 1.959964  # two-sided 95 %


@dataclass(frozen=True)
class Answer:
    """One ink's label and prediction, as tokens of normalized LaTeX; `confidence` in [0, 1]."""

    id: str
    label: Tokens
    read: Tokens
    confidence: float
    scores: tuple[float, ...] = ()  # ln p of the hypotheses, the input of the calibration

    @property
    def right(self) -> bool:
        return self.label == self.read

    @property
    def edits(self) -> int:
        """Edit distance in tokens between prediction and label."""
        return edits(self.label, self.read)


@dataclass(frozen=True)
class Group:
    """Predictions with something in common; `low` and `high` bound ExpRate (95 %, Wilson)."""

    name: str
    scores: Scores
    low: float
    high: float


@dataclass(frozen=True)
class Confusion:
    """How often `label` was read as `read`; None stands for a missing or an added token."""

    label: str | None
    read: str | None
    count: int
    of: int  # frequency of `label` in all labels; 0 if `label` is None


@dataclass(frozen=True)
class Bin:
    """Predictions with confidence in (low, high]; `confidence` and `right` are means, 0 if `n` is 0."""

    low: float
    high: float
    n: int
    confidence: float
    right: float


@dataclass(frozen=True)
class Reliability:
    """Reliability diagram: accuracy against confidence."""

    bins: tuple[Bin, ...]
    ece: float  # expected calibration error (Naeini et al., 2015): mean |confidence - right|, by bins
    sure: int  # predictions above SURE
    sure_right: float | None  # fraction of them that is correct; None without any


@dataclass(frozen=True)
class Evaluation:
    """All metrics of a set of predictions."""

    overall: Group
    functions: Scores  # function names as one token each, as the CROHME papers count
    by_length: tuple[Group, ...]
    by_structure: tuple[Group, ...]
    confusions: tuple[Confusion, ...]  # the most frequent first
    reliability: Reliability

    def metrics(self) -> dict[str, float | int | None]:
        """Headline metrics by name; rates are fractions, None without data."""
        scores, sure = self.overall.scores, self.reliability
        return {
            "n": scores.n,
            "exprate": scores.exprate,
            "exprate_low": self.overall.low,
            "exprate_high": self.overall.high,
            "exprate_le1": scores.exprate_le1,
            "exprate_le2": scores.exprate_le2,
            "cer": scores.cer,
            "exprate_functions": self.functions.exprate,
            "exprate_le1_functions": self.functions.exprate_le1,
            "exprate_le2_functions": self.functions.exprate_le2,
            "cer_functions": self.functions.cer,
            "ece": sure.ece,
            "sure": sure.sure / scores.n,
            "sure_right": sure.sure_right,
        }


def evaluate(answers: Sequence[Answer]) -> Evaluation:
    """Compute all metrics. Raises ValueError without answers."""
    if not answers:
        raise ValueError("no predictions to evaluate")
    return Evaluation(
        overall=_group("all", answers),
        functions=score((with_functions(a.label), with_functions(a.read)) for a in answers),
        by_length=tuple(_grouped(answers, lambda answer: (_length(answer.label),), _LENGTH_NAMES)),
        by_structure=tuple(_grouped(answers, lambda answer: structures(answer.label) or ("plain",))),
        confusions=confusions(answers),
        reliability=reliability(answers),
    )


def confusions(answers: Iterable[Answer]) -> tuple[Confusion, ...]:
    """Count replaced, missing and added tokens over minimal alignments of label and prediction.

    Where several alignments are minimal, rapidfuzz's choice is taken; single counts are thus approximate.
    """
    pairs: Counter[tuple[str | None, str | None]] = Counter()
    written: Counter[str | None] = Counter()
    for answer in answers:
        written.update(answer.label)
        for edit in Levenshtein.editops(answer.label, answer.read):
            label = None if edit.tag == "insert" else answer.label[edit.src_pos]
            read = None if edit.tag == "delete" else answer.read[edit.dest_pos]
            pairs[label, read] += 1
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0][0] or "", item[0][1] or ""))
    return tuple(Confusion(label, read, count, written[label]) for (label, read), count in ranked)


def reliability(answers: Sequence[Answer]) -> Reliability:
    """Bin predictions by confidence and compare it with their accuracy."""
    held: list[list[Answer]] = [[] for _ in range(_BINS)]
    for answer in answers:
        held[min(max(math.ceil(answer.confidence * _BINS) - 1, 0), _BINS - 1)].append(answer)
    bins = tuple(
        Bin(
            low=index / _BINS,
            high=(index + 1) / _BINS,
            n=len(members),
            confidence=_mean([a.confidence for a in members]),
            right=_mean([a.right for a in members]),
        )
        for index, members in enumerate(held)
    )
    sure = [answer.right for answer in answers if answer.confidence > SURE]
    return Reliability(
        bins=bins,
        ece=sum(b.n * abs(b.confidence - b.right) for b in bins) / max(len(answers), 1),
        sure=len(sure),
        sure_right=_mean(sure) if sure else None,
    )


def wilson(right: int, n: int) -> tuple[float, float]:
    """95 % interval of a proportion `right / n` (Wilson, 1927), valid for small n too; n > 0."""
    share, spread = right / n, _Z * _Z / n
    middle = share + spread / 2
    half = _Z * math.sqrt((share * (1 - share) + spread / 4) / n)
    # Rounding could move the ends past 0, 1 or the proportion itself.
    return min(max((middle - half) / (1 + spread), 0.0), share), max(
        min((middle + half) / (1 + spread), 1.0), share
    )


def _grouped(
    answers: Iterable[Answer],
    keys: Callable[[Answer], Iterable[str]],
    order: Sequence[str] = (),
) -> Iterable[Group]:
    members: dict[str, list[Answer]] = {}
    for answer in answers:
        for key in keys(answer):
            members.setdefault(key, []).append(answer)
    for name in [n for n in order if n in members] or sorted(members, key=lambda n: (-len(members[n]), n)):
        yield _group(name, members[name])


def _group(name: str, answers: Sequence[Answer]) -> Group:
    low, high = wilson(sum(answer.right for answer in answers), len(answers))
    return Group(name, score((answer.label, answer.read) for answer in answers), low, high)


def _length_name(low: int, high: int | None) -> str:
    # Two digits, because `dvc plots` sorts bars by name.
    return f"{low:02}+" if high is None else f"{low:02}–{high:02}"


_LENGTH_NAMES = tuple(_length_name(*bounds) for bounds in _LENGTHS)


def _length(tokens: Tokens) -> str:
    at = next(i for i, (_, high) in enumerate(_LENGTHS) if high is None or len(tokens) <= high)
    return _LENGTH_NAMES[at]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
