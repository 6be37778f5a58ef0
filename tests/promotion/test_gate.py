"""The gate: what is promoted, what is rejected, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from components.config import Params, PromotionParams
from components.data.pictures import PictureLabel, row_of_picture
from components.data.shards import write_shard
from components.evaluation.metrics import Answer
from components.evaluation.report.markdown_page import markdown_page
from components.ink.raster import RasterSettings
from components.promotion.comparison import CandidateResult
from components.promotion.gate import Verdict, cer_difference, exprate_difference, judge
from components.promotion.report import gate_metrics, markdown
from components.recognizer.bundle import load_bundle
from tests.pictures import write_photo, written

LABEL = ("x", "+", "1", "=", "y")
FRACTION = ("\\frac", "{", "x", "}", "{", "2", "}")


@pytest.fixture
def requirements(params: Params) -> PromotionParams:
    return params.promotion.model_copy(update={"resamples": 999})


def candidate(right: float, n: int = 400, *, seed: int = 0, labels: tuple[tuple[str, ...], ...] = (LABEL,),
          latency: float = 20.0, size: float = 2.0) -> CandidateResult:  # fmt: skip
    """A candidate with this share of correct answers; the others are one token off."""
    dice = np.random.default_rng(seed)
    answers = []
    for number in range(n):
        label = labels[number % len(labels)]
        read = label if dice.random() < right else (*label[:-1], "z")
        answers.append(Answer(f"ink{number:04}", label, read, 0.9))
    return CandidateResult("version 2", tuple(answers), (), (), (), latency, size)


def judged(new: CandidateResult, old: CandidateResult | None, requirements: PromotionParams) -> Verdict:
    return judge(new, old, requirements, seed=7)


def test_the_first_model_needs_the_minimum_and_no_more(requirements: PromotionParams) -> None:
    good = judged(candidate(0.8), None, requirements)
    assert good.promoted and (good.comparison, good.failed) == ("first", ())
    bad = judged(candidate(0.2), None, requirements)
    assert not bad.promoted and "exprate" in bad.failed


def test_significantly_better_is_promoted(requirements: PromotionParams) -> None:
    verdict = judged(candidate(0.9), candidate(0.7, seed=1), requirements)
    assert verdict.promoted and verdict.comparison == "better"
    assert verdict.exprate is not None and verdict.exprate.low > 0


def test_significantly_worse_is_rejected_whatever_its_speed(requirements: PromotionParams) -> None:
    verdict = judged(candidate(0.6, latency=1, size=0.1), candidate(0.9, seed=1), requirements)
    assert not verdict.promoted and verdict.comparison == "worse" and "comparison" in verdict.failed


def test_better_by_luck_is_rejected(requirements: PromotionParams) -> None:
    verdict = judged(candidate(0.72, 60), candidate(0.68, 60, seed=1), requirements)
    assert not verdict.promoted and verdict.comparison == "inconclusive"


def test_the_same_and_faster_is_promoted_with_that_as_the_reason(requirements: PromotionParams) -> None:
    old = candidate(0.8)
    verdict = judged(replace(old, latency=10.0), old, requirements)
    assert verdict.promoted and verdict.comparison == "cheaper" and "50% faster" in verdict.reason
    smaller = judged(replace(old, size=1.0), old, requirements)
    assert smaller.promoted and "50% smaller" in smaller.reason
    same = judged(old, old, requirements)
    assert not same.promoted and same.comparison == "no-advantage"


@pytest.mark.parametrize("exceeded", ["latency", "size"])
def test_out_of_budget_is_rejected_however_good(requirements: PromotionParams, exceeded: str) -> None:
    change = {exceeded: 10_000.0}
    verdict = judged(replace(candidate(1.0), **change), candidate(0.5, seed=1), requirements)
    assert not verdict.promoted and verdict.failed == (exceeded,)


def test_a_kind_of_formula_that_got_much_worse_is_rejected(requirements: PromotionParams) -> None:
    labels = (LABEL, LABEL, LABEL, FRACTION)
    old, new = candidate(0.7, labels=labels), candidate(0.95, labels=labels, seed=1)
    spoilt = tuple(
        replace(answer, read=("x",)) if answer.label == FRACTION else answer for answer in new.answers
    )
    verdict = judged(replace(new, answers=spoilt), old, requirements)
    assert not verdict.promoted and "structure:fraction" in verdict.failed
    few = requirements.model_copy(update={"min_structure": 1000})
    assert "structure:fraction" not in judged(replace(new, answers=spoilt), old, few).failed


def test_a_difference_is_paired(requirements: PromotionParams) -> None:
    """Two that fail on the same inks differ by less than chance would make two that do not."""
    old = candidate(0.5)
    one_more = next(i for i, answer in enumerate(old.answers) if not answer.right)
    answers = tuple(
        replace(answer, read=answer.label) if i == one_more else answer
        for i, answer in enumerate(old.answers)
    )
    pairs = list(zip(answers, old.answers, strict=True))
    exprate = exprate_difference(pairs, requirements, 7)
    assert exprate.value == pytest.approx(1 / 400) and 0 <= exprate.low <= exprate.high < 0.01
    cer = cer_difference(pairs, requirements, 7)
    assert cer.value < 0 and cer.high <= 0
    assert exprate == exprate_difference(pairs, requirements, 7), "the same seed gives the same interval"


def test_one_ink_proves_nothing(requirements: PromotionParams) -> None:
    verdict = judged(candidate(1.0, 1), candidate(0.0, 1), requirements)
    assert not verdict.promoted


def test_the_report_has_the_numbers_and_is_a_page(requirements: PromotionParams) -> None:
    new, old = candidate(0.9, labels=(LABEL, FRACTION)), candidate(0.7, seed=1, labels=(LABEL, FRACTION))
    verdict = judged(new, replace(old, name="version 1"), requirements)
    text = markdown(
        verdict, new, replace(old, name="version 1"), datetime(2026, 1, 2, tzinfo=UTC), ("mind it",)
    )
    assert text.startswith("# version 2: promoted\n") and "> mind it" in text
    assert f"| ExpRate | {verdict.challenger.exprate:.2%} | {verdict.champion.exprate:.2%} |" in text
    assert "## ExpRate by structure" in text and "| fraction | 200 |" in text
    page = markdown_page(text)
    assert page.count("<table>") == 3 and "<script" not in page and "http" not in page
    assert len(gate_metrics(verdict, new)) < 1000
    first = markdown(judged(new, None, requirements), new, None, datetime(2026, 1, 2, tzinfo=UTC))
    assert markdown_page(first).count("<table>") == 2


def test_both_are_read_and_timed_on_the_same_inks(exported: Path) -> None:
    from components.promotion.comparison import evaluate_candidates

    one, two = evaluate_candidates(
        {"one": exported / "data/bundle", "two": exported / "data/bundle"},
        exported / "data/shards/test",
        RasterSettings(),
    )
    assert [answer.id for answer in one.answers] == [answer.id for answer in two.answers]
    assert [answer.read for answer in one.answers] == [answer.read for answer in two.answers]
    assert len(one.answers) == len(one.observations) == 12 and len(one.expected) == 12
    assert one.latency > 0 and one.size == two.size > 0
    assert one.kinds == ("ink",) * 12


def test_pictures_without_ink_are_read_as_they_were_prepared(exported: Path, tmp_path: Path) -> None:
    from components.promotion.comparison import evaluate_candidates

    raster = load_bundle(exported / "data/bundle").settings.raster
    write_photo(tmp_path / "a.jpg", written(1))
    PictureLabel(latex="x").write(tmp_path / "a.jpg.json")
    row = row_of_picture(tmp_path, "a.jpg.json", raster)
    (tmp_path / "test").mkdir()
    write_shard([row, replace(row, id="b")], tmp_path / "test" / "part-00000.parquet")
    for settings, smaller in ((raster, False), (raster.model_copy(update={"symbol": 40}), True)):
        [result] = evaluate_candidates({"one": exported / "data/bundle"}, tmp_path / "test", settings)
        assert result.kinds == ("picture", "picture")
        assert (result.observations[0].width < row.width) is smaller
        assert all(sample.picture for sample in result.expected)
