"""A calibrated confidence is as often right as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from components.evaluation.metrics import Answer, reliability
from components.recognizer.calibration import Calibration, Confidence, fit


def answers(count: int, seed: int) -> tuple[list[list[float]], list[int], list[bool]]:
    """A model that is far too modest: it says p and is right sqrt(p) of the time."""
    rng = np.random.default_rng(seed)
    own = rng.uniform(0.02, 0.98, count)
    right = rng.random(count) < np.sqrt(own)
    return np.log(own)[:, None].tolist(), rng.integers(1, 30, count).tolist(), right.tolist()


def ece(confidences: list[float], right: list[bool]) -> float:
    pairs = zip(confidences, right, strict=True)
    return reliability([Answer("", ("x",), ("x",) if r else ("y",), c) for c, r in pairs]).ece


def test_what_was_learnt_on_some_holds_for_others() -> None:
    confidence = fit(*answers(700, 1))
    assert confidence.alone == confidence.rivalled == 0, "of one answer each nothing is learnt of rivals"
    scores, tokens, right = answers(3000, 2)
    before = ece([math.exp(score) for [score] in scores], right)
    after = ece([confidence.of(s, n)[0] for s, n in zip(scores, tokens, strict=True)], right)
    assert before > 0.12 and after < 0.04


def test_a_higher_score_is_a_higher_confidence_and_alternatives_share_the_rest() -> None:
    confidence = fit(*answers(700, 1))
    assert confidence.of([-0.1], 5)[0] > confidence.of([-2.0], 5)[0]
    shares = confidence.of([math.log(0.5), math.log(0.3), math.log(0.1)], 5)
    assert shares == sorted(shares, reverse=True) and sum(shares) <= 1


def test_who_has_no_rival_is_surer() -> None:
    rng = np.random.default_rng(3)
    rivalled = rng.random(500) < 0.5
    scores = [[-1.0, -1.2] if rival else [-1.0, -6.0] for rival in rivalled]
    confidence = fit(scores, [5] * 500, (rng.random(500) < np.where(rivalled, 0.3, 0.95)).tolist())
    assert confidence.of([-1.0, -1.2], 5)[0] == pytest.approx(0.3, abs=0.08)
    assert confidence.of([-1.0, -6.0], 5)[0] == pytest.approx(0.95, abs=0.05)


@pytest.mark.parametrize("right", [True, False])
def test_where_all_is_right_or_wrong_nothing_is_certain(right: bool) -> None:
    confidence = fit([[-0.1], [-0.2], [-0.3], [-0.4]] * 5, [3] * 20, [right] * 20)
    value = confidence.of([-0.25], 3)[0]
    assert (0.9 < value < 1) if right else (0 < value < 0.1)


def test_who_counts_twice_counts_as_two() -> None:
    scores, tokens, right = answers(300, 4)
    twice = fit(scores + scores[:100], tokens + tokens[:100], right + right[:100])
    weighted = fit(scores, tokens, right, np.repeat([2.0, 1.0], [100, 200]))
    for field in ("bias", "sure", "unsure", "token"):
        assert getattr(weighted, field) == pytest.approx(getattr(twice, field), abs=1e-6)


def test_uncalibrated_the_models_own_probability_is_told() -> None:
    assert Calibration().of(1).of([math.log(0.4), math.log(0.2)], 7) == pytest.approx([0.4, 0.2])


def test_one_beam_and_several_have_each_their_own() -> None:
    calibration = Calibration(greedy=Confidence(bias=1), beam=Confidence(bias=2))
    assert (calibration.of(1).bias, calibration.of(3).bias) == (1, 2)


def test_too_few_answers_are_refused() -> None:
    with pytest.raises(ValueError, match="9 answers are too few"):
        fit([[-1.0]] * 9, [1] * 9, [True] * 9)
