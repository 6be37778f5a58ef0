"""The promotion gate: pure functions from two candidates' test results to a verdict.

Differences are challenger minus champion over the same inks, with paired-bootstrap intervals (percentile
method; Efron and Tibshirani, 1993): they show how much of a difference is due to the choice of test inks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

from components.config import PromotionParams
from components.evaluation.metrics import Answer
from components.latex.metrics import Scores, edits, score
from components.latex.structure import structures
from components.latex.tokenizer import spaced
from components.promotion.comparison import CandidateResult

Floats = npt.NDArray[np.float64]
Comparison = Literal["first", "better", "cheaper", "no-advantage", "inconclusive", "worse"]

_RESAMPLES_PER_BATCH = 256  # bounds the bootstrap's memory
_PASSING: tuple[Comparison, ...] = ("better", "cheaper")


@dataclass(frozen=True)
class Interval:
    """A difference with its confidence interval (promotion.confidence)."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:+.2f} points ({100 * self.low:+.2f} to {100 * self.high:+.2f})"


@dataclass(frozen=True)
class StructureChange:
    """Change of ExpRate on formulas with one structure, such as fractions or roots."""

    structure: str
    n: int
    champion: float  # ExpRate
    challenger: float
    difference: Interval


@dataclass(frozen=True)
class Check:
    """One requirement and what was measured."""

    code: str  # latency, size, exprate, cer, comparison, or structure:NAME
    requirement: str
    measured: str
    passed: bool


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger passes the gate, and the evidence."""

    promoted: bool
    comparison: Comparison  # with the champion
    reason: str
    checks: tuple[Check, ...]
    challenger: Scores
    champion: Scores | None = None
    exprate: Interval | None = None
    cer: Interval | None = None
    changes: tuple[StructureChange, ...] = ()

    @property
    def failed(self) -> tuple[str, ...]:
        """Codes of the failed checks."""
        return tuple(check.code for check in self.checks if not check.passed)


def judge(
    challenger: CandidateResult, champion: CandidateResult | None, params: PromotionParams, seed: int
) -> Verdict:
    """Compare two candidates on the same inks; without a champion, require the minimum of params.yaml."""
    budget = _budget(challenger, params)
    scores = _scores(challenger)
    if champion is None:
        checks = (*budget, *_minimum(scores, params))
        reason = _reason(checks, "first version, meets the minimum requirements")
        return Verdict(_all_passed(checks), "first", reason, checks, scores)
    pairs = list(_pairs(challenger, champion))
    exprate, cer = exprate_difference(pairs, params, seed), cer_difference(pairs, params, seed)
    changes = tuple(_changes(pairs, params, seed))
    comparison, finding = _compare(challenger, champion, exprate, cer, params)
    case = Check(
        "comparison",
        "is significantly better, or not worse and faster or smaller",
        finding,
        comparison in _PASSING,
    )
    checks = (*budget, case, *_structure_checks(changes, params))
    return Verdict(
        _all_passed(checks), comparison, _reason(checks, finding), checks, scores, _scores(champion),
        exprate, cer, changes,
    )  # fmt: skip


def exprate_difference(
    pairs: Sequence[tuple[Answer, Answer]], params: PromotionParams, seed: int
) -> Interval:
    """Return the ExpRate of the first of each pair minus that of the second."""
    new, old = (np.array([pair[side].right for pair in pairs], np.float64) for side in (0, 1))
    return _interval(lambda a, b, axis: (a - b).mean(axis=axis), (new, old), params, seed)


def cer_difference(pairs: Sequence[tuple[Answer, Answer]], params: PromotionParams, seed: int) -> Interval:
    """Return the CER of the first of each pair minus that of the second.

    Edits and tokens are both resampled: CER is a ratio of sums.
    """
    tokens = np.array([len(spaced(new.label)) for new, _ in pairs], np.float64)
    new, old = (
        np.array([edits(spaced(pair[side].label), spaced(pair[side].read)) for pair in pairs], np.float64)
        for side in (0, 1)
    )

    def difference(new: Floats, old: Floats, tokens: Floats, axis: int) -> Floats:
        ratio: Floats = (new - old).sum(axis=axis) / tokens.sum(axis=axis)
        return ratio

    return _interval(difference, (new, old, tokens), params, seed)


def _interval(
    statistic: Callable[..., Floats], samples: tuple[Floats, ...], params: PromotionParams, seed: int
) -> Interval:
    value = float(statistic(*samples, axis=-1))
    if len(samples[0]) < 2:  # nothing to resample: the difference could be anything
        return Interval(value, -1.0, 1.0)
    interval = bootstrap(
        samples, statistic, paired=True, vectorized=True, n_resamples=params.resamples,
        batch=_RESAMPLES_PER_BATCH, confidence_level=params.confidence, method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Interval(value, float(interval.low), float(interval.high))


def _budget(candidate: CandidateResult, params: PromotionParams) -> tuple[Check, ...]:
    return (
        Check(
            "latency",
            f"median latency at most {params.max_latency:g} ms per picture",
            f"{candidate.latency:.1f} ms",
            candidate.latency <= params.max_latency,
        ),
        Check(
            "size",
            f"bundle size at most {params.max_size:g} MB",
            f"{candidate.size:.1f} MB",
            candidate.size <= params.max_size,
        ),
    )


def _minimum(scores: Scores, params: PromotionParams) -> tuple[Check, ...]:
    return (
        Check(
            "exprate",
            f"ExpRate at least {params.min_exprate:.1%}",
            f"{scores.exprate:.1%}",
            scores.exprate >= params.min_exprate,
        ),
        Check("cer", f"CER at most {params.max_cer:.1%}", f"{scores.cer:.1%}", scores.cer <= params.max_cer),
    )


def _compare(
    challenger: CandidateResult,
    champion: CandidateResult,
    exprate: Interval,
    cer: Interval,
    params: PromotionParams,
) -> tuple[Comparison, str]:
    """Better beyond the interval; or not worse, and faster or smaller by promotion.advantage."""
    differences = f"ExpRate {exprate}, CER {cer}"
    if exprate.high < 0 or cer.low > 0:
        return "worse", f"significantly worse: {differences}"
    if exprate.low > 0 or cer.high < 0:
        return "better", f"significantly better: {differences}"
    if exprate.low < -params.margin or cer.high > params.margin:
        return "inconclusive", f"not shown to be better: {differences}"
    gains = [
        f"{1 - new / old:.0%} {name}"
        for name, new, old in (
            ("faster", challenger.latency, champion.latency),
            ("smaller", challenger.size, champion.size),
        )
        if new <= (1 - params.advantage) * old
    ]
    if gains:
        return "cheaper", f"not worse, and {' and '.join(gains)}"
    return "no-advantage", f"not worse, but neither better, faster nor smaller: {differences}"


def _structure_checks(changes: Iterable[StructureChange], params: PromotionParams) -> Iterator[Check]:
    for change in changes:
        drop = change.champion - change.challenger
        yield Check(
            f"structure:{change.structure}",
            f"ExpRate drop on {change.structure} formulas at most {100 * params.max_structure_drop:g} points",
            f"from {change.champion:.1%} to {change.challenger:.1%} (n = {change.n})",
            # A drop within chance is no reason to reject.
            drop <= params.max_structure_drop or change.difference.high >= 0,
        )


def _changes(
    pairs: Sequence[tuple[Answer, Answer]], params: PromotionParams, seed: int
) -> Iterator[StructureChange]:
    by_structure: dict[str, list[tuple[Answer, Answer]]] = {}
    for pair in pairs:
        for structure in structures(pair[0].label) or ("plain",):
            by_structure.setdefault(structure, []).append(pair)
    for structure, members in sorted(by_structure.items()):
        if len(members) >= params.min_structure:
            new, old = (sum(pair[side].right for pair in members) / len(members) for side in (0, 1))
            difference = exprate_difference(members, params, seed)
            yield StructureChange(structure, len(members), old, new, difference)


def _pairs(challenger: CandidateResult, champion: CandidateResult) -> Iterator[tuple[Answer, Answer]]:
    for new, old in zip(challenger.answers, champion.answers, strict=True):
        assert new.id == old.id, "both candidates are evaluated on the same inks in the same order"
        yield new, old


def _scores(candidate: CandidateResult) -> Scores:
    return score((answer.label, answer.read) for answer in candidate.answers)


def _all_passed(checks: Iterable[Check]) -> bool:
    return all(check.passed for check in checks)


def _reason(checks: Sequence[Check], passed: str) -> str:
    """Return the failed checks, or `passed` if there are none."""
    failed = [
        check.measured if check.code == "comparison" else f"required: {check.requirement}; {check.measured}"
        for check in checks
        if not check.passed
    ]
    return "; ".join(failed) or passed
