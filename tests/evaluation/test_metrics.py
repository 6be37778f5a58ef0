"""The figures of a set of answers, and what people see of them."""

import csv
import json
import re
from html import unescape
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from components.evaluation.metrics import Answer, confusions, evaluate, reliability, wilson
from components.evaluation.report.error_gallery import page, worst
from components.evaluation.report.plots import write_plots
from components.evaluation.report.predictions import write_predictions
from components.evaluation.report.summary import summary
from components.files import atomic_write
from components.latex.tokenizer import tokenize

PNG = cv2.imencode(".png", np.full((20, 30), 255, np.uint8))[1].tobytes()


def answer(id: str, label: str, read: str, confidence: float = 0.5) -> Answer:
    return Answer(id, tokenize(label), tokenize(read), confidence)


ANSWERS = (
    answer("right", r"\frac{1}{2}", r"\frac{1}{2}", 0.95),
    answer("one", "x^{2}", "x^{z}", 0.97),
    answer("two", r"\sqrt{a}+b", r"\sqrt{a}b+", 0.4),
    answer("far", "a", "12345", 0.1),
)


class TestFigures:
    def test_counts_formulas_and_tokens(self) -> None:
        metrics = evaluate(ANSWERS).metrics()
        assert metrics["n"] == 4
        assert (metrics["exprate"], metrics["exprate_le1"], metrics["exprate_le2"]) == (0.25, 0.5, 0.75)
        assert metrics["cer"] == pytest.approx((0 + 1 + 2 + 5) / (7 + 5 + 6 + 1))

    def test_counts_function_names_as_one_token_beside(self) -> None:
        metrics = evaluate([answer("f", "sinx", "cosx"), answer("g", "sinx", "sinx")]).metrics()
        assert metrics["exprate_le1"] == 0.5  # three letters differ
        assert metrics["exprate_le1_functions"] == 1  # one name does

    def test_groups_hold_every_answer_by_length_and_each_by_its_structures(self) -> None:
        evaluation = evaluate(ANSWERS)
        assert [(g.name, g.scores.n) for g in evaluation.by_length] == [("01–05", 2), ("06–10", 2)]
        groups = {g.name: g.scores.exprate for g in evaluation.by_structure}
        assert groups == {"fraction": 1, "script": 0, "root": 0, "plain": 0}

    def test_refuses_nothing(self) -> None:
        with pytest.raises(ValueError, match="no predictions"):
            evaluate([])


class TestConfusions:
    def test_tells_replaced_missing_and_added_tokens(self) -> None:
        answers = [answer("a", "2+2", "z+z"), answer("b", "x-y", "xy"), answer("c", "a", "a,")]
        found = {(c.label, c.read): (c.count, c.of) for c in confusions(answers)}
        assert found == {("2", "z"): (2, 2), ("-", None): (1, 1), (None, ","): (1, 0)}

    @given(st.lists(st.tuples(st.text("abc", max_size=8), st.text("abc", max_size=8)), max_size=6))
    def test_sums_to_all_edits(self, pairs: list[tuple[str, str]]) -> None:
        answers = [Answer(str(i), tuple(a), tuple(b), 0.5) for i, (a, b) in enumerate(pairs)]
        assert sum(c.count for c in confusions(answers)) == sum(a.edits for a in answers)


class TestReliability:
    def test_is_perfect_where_confidence_is_the_share_that_is_right(self) -> None:
        answers = [answer(str(i), "a", "a" if i < 7 else "b", 0.7) for i in range(10)]
        found = reliability(answers)
        assert found.ece == pytest.approx(0)
        assert (found.sure, found.sure_right) == (0, None)

    def test_measures_the_gap(self) -> None:
        found = reliability([answer("a", "a", "b", 0.95), answer("b", "a", "a", 0.85)])
        assert found.ece == pytest.approx((0.95 + 0.15) / 2)
        assert (found.sure, found.sure_right) == (1, 0)

    def test_agrees_with_torchmetrics(self) -> None:
        torch = pytest.importorskip("torch")
        from torchmetrics.functional.classification import binary_calibration_error

        rng = np.random.default_rng(7)
        confidence, right = rng.random(500), rng.random(500) < 0.4
        answers = [
            Answer(str(i), ("a",), ("a",) if r else ("b",), float(c))
            for i, (c, r) in enumerate(zip(confidence, right, strict=True))
        ]
        expected = binary_calibration_error(torch.tensor(confidence), torch.tensor(right).long(), n_bins=10)
        assert reliability(answers).ece == pytest.approx(float(expected), abs=1e-6)

    @pytest.mark.parametrize("confidence", [0.0, 0.1, 0.9, 1.0])
    def test_puts_every_confidence_into_one_bin(self, confidence: float) -> None:
        bins = [b for b in reliability([answer("a", "a", "a", confidence)]).bins if b.n]
        assert len(bins) == 1
        assert bins[0].low <= confidence <= bins[0].high


@pytest.mark.parametrize(("right", "n", "low", "high"), [(0, 10, 0, 0.2775), (5, 10, 0.2366, 0.7634)])
def test_wilson_gives_the_published_interval(right: int, n: int, low: float, high: float) -> None:
    assert wilson(right, n) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 2000), st.data())
def test_wilson_holds_the_share_within_0_and_1(n: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, n))
    low, high = wilson(right, n)
    assert 0 <= low <= right / n <= high <= 1


class TestFiles:
    def test_predictions_can_be_scored_again(self, tmp_path: Path) -> None:
        write_predictions(ANSWERS, tmp_path / "predictions.parquet")
        rows = pq.read_table(tmp_path / "predictions.parquet").to_pylist()
        assert [row["id"] for row in rows] == ["right", "one", "two", "far"]
        assert rows[0]["label"] == rows[0]["prediction"] == r"\frac{1}{2}"
        again = [answer(r["id"], r["label"], r["prediction"], r["confidence"]) for r in rows]
        assert evaluate(again).metrics() == evaluate(ANSWERS).metrics()

    def test_metrics_are_plain_json(self) -> None:
        metrics = evaluate([answer("a", "a", "b")]).metrics()
        assert json.loads(json.dumps(metrics, allow_nan=False))["sure_right"] is None

    def test_a_file_is_written_whole_or_not_at_all(self, tmp_path: Path) -> None:
        target = tmp_path / "file"
        target.write_text("before")
        with pytest.raises(OSError, match="full"), atomic_write(target) as beside:
            beside.write_text("half")
            raise OSError("disk full")
        assert [p.name for p in tmp_path.iterdir()] == ["file"]
        assert target.read_text() == "before"

    @pytest.mark.parametrize("answers", [ANSWERS, ANSWERS[:1]], ids=["with mistakes", "without"])
    def test_plots_come_as_pictures_and_as_numbers(self, answers: tuple[Answer, ...], tmp_path: Path) -> None:
        evaluation = evaluate(answers)
        write_plots(evaluation, tmp_path)
        for name in ("by-length", "by-structure", "confusions", "reliability"):
            assert min(cv2.imread(str(tmp_path / f"{name}.png")).shape[:2]) > 100
        rows = list(csv.DictReader((tmp_path / "by-structure.csv").open()))
        assert {r["group"]: float(r["exprate"]) for r in rows} == {
            g.name: g.scores.exprate for g in evaluation.by_structure
        }
        assert sum(int(r["count"]) for r in csv.DictReader((tmp_path / "confusions.csv").open())) == sum(
            a.edits for a in answers
        )

    def test_a_plot_takes_tokens_that_matplotlib_would_set_as_mathematics(self, tmp_path: Path) -> None:
        write_plots(evaluate([answer("a", r"\$\frac", r"$\oops$"), answer("b", "^", "_")]), tmp_path)
        assert (tmp_path / "confusions.png").exists()


class TestPage:
    def shown(self, answers: tuple[Answer, ...], count: int = 40) -> str:
        mistakes = worst(answers, count)
        return page(evaluate(answers), mistakes, dict.fromkeys(mistakes.ids, PNG), "a <model>")

    def test_lists_the_surest_and_the_furthest_and_each_once(self) -> None:
        mistakes = worst(ANSWERS, 2)
        assert [a.id for a in mistakes.sure] == ["one"]
        assert [a.id for a in mistakes.far] == ["far"]
        assert sorted(worst(ANSWERS, 40).ids) == ["far", "one", "two"]

    def test_marks_the_tokens_that_differ(self) -> None:
        html = self.shown((answer("one", r"x^{2}", r"x^{<}", 0.97),))
        label, read = re.findall(r"<code>(.*?)</code>", html)
        assert label == "x ^ { <del>2</del> }"
        assert read == "x ^ { <ins>&lt;</ins> }"
        assert "confidence 97.0%" in html

    @given(st.text("ab<>&\"'", max_size=6), st.text("ab<>&\"'", min_size=1, max_size=6))
    def test_shows_label_and_reading_whole(self, label: str, read: str) -> None:
        if label == read:
            return
        lines = re.findall(r"<code>(.*?)</code>", self.shown((Answer("i", tuple(label), tuple(read), 0.5),)))
        texts = ["".join(unescape(re.sub("<[^>]*>", "", line)).split()) for line in lines]
        assert texts == [label or "nothing", read]

    def test_needs_nothing_beside_itself(self) -> None:
        html = self.shown(ANSWERS)
        assert html.count("data:image/png;base64,") == 3
        assert not re.search(r"https?://|<script|<link|url\(", html)
        assert "a &lt;model&gt;" in html

    def test_says_so_where_there_is_no_mistake(self) -> None:
        assert "no mistake" in self.shown(ANSWERS[:1])
        assert "3 of 4 readings are wrong; 0 of them are shown" in self.shown(ANSWERS, 0)


def test_the_table_has_the_headline_and_every_group() -> None:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(summary(evaluate(ANSWERS), "model [on] data"))
    text = capture.get()
    assert "model [on] data" in text
    for part in ("25.00%", "01–05 tokens", "fraction", "function names kept"):
        assert part in text
