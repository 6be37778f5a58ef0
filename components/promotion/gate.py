"""The gate: whether a challenger becomes champion. Pure functions from two trials to a verdict.

Differences are challenger minus champion over the same inks, with intervals of the paired bootstrap
(Efron and Tibshirani, 1993; the percentile method): how much of a difference is the choice of test inks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

from components.config import PromotionParams
from components.evaluation.metrics import Answer
from components.latex.metrics import Scores, edits, score
from components.latex.structure import structures
from components.latex.tokenizer import spaced
from components.promotion.comparison import Trial

Floats = npt.NDArray[np.float64]

_RESAMPLED = 256  # resamples in memory at once
_CASE = "is better beyond chance, or not worse and faster or smaller"


@dataclass(frozen=True)
class Interval:
    """A difference, and where it lies with the confidence that params.yaml asks for."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:+.2f} points ({100 * self.low:+.2f} to {100 * self.high:+.2f})"


@dataclass(frozen=True)
class Change:
    """How the formulas of one kind fare: fractions, roots, …"""

    structure: str
    n: int
    champion: float  # ExpRate
    challenger: float
    difference: Interval


@dataclass(frozen=True)
class Check:
    """One thing that was asked of the challenger."""

    asked: str
    found: str
    passed: bool


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger may become champion, why, and what that rests on."""

    promoted: bool
    reason: str
    checks: tuple[Check, ...]
    challenger: Scores
    champion: Scores | None = None
    exprate: Interval | None = None
    cer: Interval | None = None
    changes: tuple[Change, ...] = ()


def judge(challenger: Trial, champion: Trial | None, params: PromotionParams, seed: int) -> Verdict:
    """Compares two trials of the same inks. Without a champion, the minimum of params.yaml counts."""
    budget = _budget(challenger, params)
    scores = _scores(challenger)
    if champion is None:
        checks = (*budget, *_minimum(scores, params))
        return Verdict(_all(checks), _why(checks, "it is the first, and good enough"), checks, scores)
    pairs = list(_pairs(challenger, champion))
    right, cer = exprate_difference(pairs, params, seed), cer_difference(pairs, params, seed)
    changes = tuple(_changes(pairs, params, seed))
    case = _advantage(challenger, champion, right, cer, params)
    checks = (*budget, case, *_kept(changes, params))
    return Verdict(
        _all(checks), _why(checks, case.found), checks, scores, _scores(champion), right, cer, changes
    )


def exprate_difference(
    pairs: Sequence[tuple[Answer, Answer]], params: PromotionParams, seed: int
) -> Interval:
    """ExpRate of the first of each pair minus that of the second."""
    new, old = (np.array([pair[side].right for pair in pairs], np.float64) for side in (0, 1))
    return _interval(lambda a, b, axis: (a - b).mean(axis=axis), (new, old), params, seed)


def cer_difference(pairs: Sequence[tuple[Answer, Answer]], params: PromotionParams, seed: int) -> Interval:
    """CER of the first of each pair minus that of the second: edits over tokens, both of the resample."""
    tokens = np.array([len(spaced(new.label)) for new, _ in pairs], np.float64)
    new, old = (
        np.array([edits(spaced(pair[side].label), spaced(pair[side].read)) for pair in pairs], np.float64)
        for side in (0, 1)
    )

    def difference(new: Floats, old: Floats, tokens: Floats, axis: int) -> Floats:
        of: Floats = (new - old).sum(axis=axis) / tokens.sum(axis=axis)
        return of

    return _interval(difference, (new, old, tokens), params, seed)


def _interval(
    statistic: Callable[..., Floats], samples: tuple[Floats, ...], params: PromotionParams, seed: int
) -> Interval:
    value = float(statistic(*samples, axis=-1))
    if len(samples[0]) < 2:  # nothing to resample: it may be anything
        return Interval(value, -1.0, 1.0)
    found = bootstrap(
        samples, statistic, paired=True, vectorized=True, n_resamples=params.resamples, batch=_RESAMPLED,
        confidence_level=params.confidence, method="percentile", rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Interval(value, float(found.low), float(found.high))


def _budget(trial: Trial, params: PromotionParams) -> tuple[Check, ...]:
    return (
        Check(
            f"reads a picture within {params.max_latency:g} ms (median)",
            f"{trial.latency:.1f} ms",
            trial.latency <= params.max_latency,
        ),
        Check(f"has at most {params.max_size:g} MB", f"{trial.size:.1f} MB", trial.size <= params.max_size),
    )


def _minimum(scores: Scores, params: PromotionParams) -> tuple[Check, ...]:
    return (
        Check(
            f"has an ExpRate of at least {params.min_exprate:.1%}",
            f"{scores.exprate:.1%}",
            scores.exprate >= params.min_exprate,
        ),
        Check(
            f"has a CER of at most {params.max_cer:.1%}", f"{scores.cer:.1%}", scores.cer <= params.max_cer
        ),
    )


def _advantage(
    challenger: Trial, champion: Trial, right: Interval, cer: Interval, params: PromotionParams
) -> Check:
    """Better beyond the interval; or not worse, and faster or smaller by a good deal."""
    if right.high < 0 or cer.low > 0:
        return Check(_CASE, f"it is worse beyond chance: ExpRate {right}, CER {cer}", False)
    if right.low > 0 or cer.high < 0:
        return Check(_CASE, f"it is better beyond chance: ExpRate {right}, CER {cer}", True)
    if right.low < -params.margin or cer.high > params.margin:
        return Check(_CASE, f"it is not shown to be better: ExpRate {right}, CER {cer}", False)
    gains = [
        f"{name} by {1 - new / old:.0%}"
        for name, new, old in (
            ("faster", challenger.latency, champion.latency),
            ("smaller", challenger.size, champion.size),
        )
        if new <= (1 - params.advantage) * old
    ]
    if gains:
        return Check(_CASE, f"it is not worse, and {' and '.join(gains)}", True)
    return Check(_CASE, f"it is not worse, but has no advantage: ExpRate {right}, CER {cer}", False)


def _kept(changes: Iterable[Change], params: PromotionParams) -> Iterator[Check]:
    for change in changes:
        fell = change.champion - change.challenger
        yield Check(
            f"loses no more than {100 * params.max_structure_drop:g} points on {change.structure} formulas",
            f"{change.challenger:.1%} after {change.champion:.1%} of {change.n}",
            fell <= params.max_structure_drop or change.difference.high >= 0,
        )


def _changes(pairs: Sequence[tuple[Answer, Answer]], params: PromotionParams, seed: int) -> Iterator[Change]:
    kinds: dict[str, list[tuple[Answer, Answer]]] = {}
    for pair in pairs:
        for kind in structures(pair[0].label) or ("plain",):
            kinds.setdefault(kind, []).append(pair)
    for kind, members in sorted(kinds.items()):
        if len(members) >= params.min_structure:
            new, old = (sum(pair[side].right for pair in members) / len(members) for side in (0, 1))
            yield Change(kind, len(members), old, new, exprate_difference(members, params, seed))


def _pairs(challenger: Trial, champion: Trial) -> Iterator[tuple[Answer, Answer]]:
    for new, old in zip(challenger.answers, champion.answers, strict=True):
        assert new.id == old.id, "both trials read the same inks in the same order"
        yield new, old


def _scores(trial: Trial) -> Scores:
    return score((answer.label, answer.read) for answer in trial.answers)


def _all(checks: Iterable[Check]) -> bool:
    return all(check.passed for check in checks)


def _why(checks: Sequence[Check], good: str) -> str:
    failed = [check for check in checks if not check.passed]
    return (
        "; ".join(c.found if c.asked is _CASE else f"asked: {c.asked}, found: {c.found}" for c in failed)
        or good
    )
