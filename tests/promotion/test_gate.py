"""The gate: what is promoted, what is refused, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from components.config import Params, PromotionParams
from components.evaluation.metrics import Answer
from components.promotion.comparison import Trial
from components.promotion.gate import Verdict, cer_difference, exprate_difference, judge
from components.promotion.report import html, markdown, numbers
from components.registry.model_versions import Registered
from flows.promotion import before

LABEL = ("x", "+", "1", "=", "y")
FRACTION = ("\\frac", "{", "x", "}", "{", "2", "}")


@pytest.fixture
def asked(params: Params) -> PromotionParams:
    return params.promotion.model_copy(update={"resamples": 999})


def trial(right: float, n: int = 400, *, seed: int = 0, labels: tuple[tuple[str, ...], ...] = (LABEL,),
          latency: float = 20.0, size: float = 2.0) -> Trial:  # fmt: skip
    """A trial in which a share of the answers is right, and the others are one token off."""
    dice = np.random.default_rng(seed)
    answers = []
    for number in range(n):
        label = labels[number % len(labels)]
        read = label if dice.random() < right else (*label[:-1], "z")
        answers.append(Answer(f"ink{number:04}", label, read, 0.9))
    return Trial("version 2", tuple(answers), (), (), latency, size)


def judged(new: Trial, old: Trial | None, asked: PromotionParams) -> Verdict:
    return judge(new, old, asked, seed=7)


def test_the_first_model_needs_the_minimum_and_no_more(asked: PromotionParams) -> None:
    good = judged(trial(0.8), None, asked)
    assert good.promoted and good.reason == "it is the first, and good enough"
    bad = judged(trial(0.2), None, asked)
    assert not bad.promoted and "ExpRate of at least 50.0%" in bad.reason


def test_better_beyond_chance_is_promoted(asked: PromotionParams) -> None:
    verdict = judged(trial(0.9), trial(0.7, seed=1), asked)
    assert verdict.promoted and verdict.reason.startswith("it is better beyond chance")
    assert verdict.exprate is not None and verdict.exprate.low > 0


def test_worse_beyond_chance_is_refused_whatever_its_speed(asked: PromotionParams) -> None:
    verdict = judged(trial(0.6, latency=1, size=0.1), trial(0.9, seed=1), asked)
    assert not verdict.promoted and "worse beyond chance" in verdict.reason


def test_better_by_luck_is_refused(asked: PromotionParams) -> None:
    verdict = judged(trial(0.72, 60), trial(0.68, 60, seed=1), asked)
    assert not verdict.promoted and "not shown to be better" in verdict.reason


def test_the_same_and_faster_is_promoted_with_that_as_the_reason(asked: PromotionParams) -> None:
    old = trial(0.8)
    verdict = judged(replace(old, latency=10.0), old, asked)
    assert verdict.promoted and verdict.reason == "it is not worse, and faster by 50%"
    smaller = judged(replace(old, size=1.0), old, asked)
    assert smaller.promoted and "smaller by 50%" in smaller.reason
    same = judged(old, old, asked)
    assert not same.promoted and "no advantage" in same.reason


@pytest.mark.parametrize("change", [{"latency": 10_000.0}, {"size": 10_000.0}])
def test_out_of_budget_is_refused_however_good(asked: PromotionParams, change: dict[str, float]) -> None:
    verdict = judged(replace(trial(1.0), **change), trial(0.5, seed=1), asked)
    assert not verdict.promoted and "found: 10000.0 " in verdict.reason


def test_a_kind_of_formula_that_got_much_worse_is_refused(asked: PromotionParams) -> None:
    labels = (LABEL, LABEL, LABEL, FRACTION)
    old, new = trial(0.7, labels=labels), trial(0.95, labels=labels, seed=1)
    spoilt = tuple(
        replace(answer, read=("x",)) if answer.label == FRACTION else answer for answer in new.answers
    )
    verdict = judged(replace(new, answers=spoilt), old, asked)
    assert not verdict.promoted and "points on fraction formulas" in verdict.reason
    few = asked.model_copy(update={"min_structure": 1000})
    assert "fraction" not in judged(replace(new, answers=spoilt), old, few).reason


def test_a_difference_is_paired(asked: PromotionParams) -> None:
    """Two that fail on the same inks differ by less than chance would make two that do not."""
    old = trial(0.5)
    one_more = next(i for i, answer in enumerate(old.answers) if not answer.right)
    answers = tuple(
        replace(answer, read=answer.label) if i == one_more else answer
        for i, answer in enumerate(old.answers)
    )
    pairs = list(zip(answers, old.answers, strict=True))
    exprate = exprate_difference(pairs, asked, 7)
    assert exprate.value == pytest.approx(1 / 400) and 0 <= exprate.low <= exprate.high < 0.01
    cer = cer_difference(pairs, asked, 7)
    assert cer.value < 0 and cer.high <= 0
    assert exprate == exprate_difference(pairs, asked, 7), "the same seed gives the same interval"


def test_one_ink_proves_nothing(asked: PromotionParams) -> None:
    verdict = judged(trial(1.0, 1), trial(0.0, 1), asked)
    assert not verdict.promoted


def test_the_report_has_the_numbers_and_is_a_page(asked: PromotionParams) -> None:
    new, old = trial(0.9, labels=(LABEL, FRACTION)), trial(0.7, seed=1, labels=(LABEL, FRACTION))
    verdict = judged(new, replace(old, name="version 1"), asked)
    text = markdown(
        verdict, new, replace(old, name="version 1"), datetime(2026, 1, 2, tzinfo=UTC), ("mind it",)
    )
    assert text.startswith("# version 2: promoted\n") and "> mind it" in text
    assert f"| ExpRate | {verdict.challenger.exprate:.2%} | {verdict.champion.exprate:.2%} |" in text
    assert "## By structure" in text and "| fraction | 200 |" in text
    page = html(text)
    assert page.count("<table>") == 3 and "<script" not in page and "http" not in page
    assert len(numbers(verdict, new)) < 1000
    first = markdown(judged(new, None, asked), new, None, datetime(2026, 1, 2, tzinfo=UTC))
    assert html(first).count("<table>") == 2


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({}, None),
        ({"gate": "promoted: it is the first"}, None),
        ({"gate": "refused: it is worse"}, "it was judged before and refused: it is worse"),
        ({"gate": "promoted: x", "rolled_back": "2026-01-02"}, "it was rolled back (2026-01-02)"),
    ],
)
def test_what_was_refused_or_rolled_back_is_not_judged_again_by_itself(
    tags: dict[str, str], said: str | None
) -> None:
    assert before(Registered("ocr", "2", "run", tags, {})) == said


def test_both_are_read_and_timed_on_the_same_inks(exported: Path) -> None:
    from components.promotion.comparison import try_out

    one, two = try_out(
        {"one": exported / "data/bundle", "two": exported / "data/bundle"}, exported / "data/shards/test", 3
    )
    assert [answer.id for answer in one.answers] == [answer.id for answer in two.answers]
    assert [answer.read for answer in one.answers] == [answer.read for answer in two.answers]
    assert len(one.answers) == len(one.observations) == 12 and len(one.expected) == 12
    assert one.latency > 0 and one.size == two.size > 0
