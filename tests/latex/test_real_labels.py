"""The normalizer on every label of MathWriting's excerpt and of CROHME (2014)."""

from __future__ import annotations

import json
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from components.evaluation.label_coverage import found_names, normalize_all, read_lists
from components.latex.commands import ACCENTS, OPTIONAL, PAIRS
from components.latex.normalizer import LabelError, normalize
from components.latex.tokenizer import detokenize, tokenize

DATA = Path(__file__).parents[3] / "shared" / "data"
EVERY = pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.nightly)])  # of 58,000 lines
ANNOTATION = re.compile(r'<annotation type="(\w+)">(.*?)</annotation>', re.DOTALL)


def archived(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"the real data are not here: {DATA / name}")
    return DATA / name


def annotated(archive: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """The InkML files of an archive with the annotations of their heads; of a kind the first counts."""
    with tarfile.open(archived(archive), "r|*") as members:
        for member in members:
            file = members.extractfile(member)
            if file is not None and member.name.endswith(".inkml"):
                head = file.read().decode(errors="replace").partition("<trace ")[0]
                found = reversed(ANNOTATION.findall(head))
                yield Path(member.name), {kind: unescape(text) for kind, text in found}


def test_makes_of_each_mathwriting_label_what_google_made_of_it() -> None:
    pairs = [
        (found["label"], found["normalizedLabel"])
        for _, found in annotated("mathwriting-2024-excerpt.tgz")
        if "normalizedLabel" in found
    ]
    assert len(pairs) == 400
    assert [pair for pair in pairs if normalize(pair[0]) != pair[1]] == []
    assert [latex for _, latex in pairs if normalize(latex) != latex] == []
    assert [latex for _, latex in pairs if detokenize(tokenize(latex)) != latex] == []


def test_knows_every_glyph_of_mathwriting() -> None:
    signs = ACCENTS | PAIRS | OPTIONAL
    with tarfile.open(archived("mathwriting-2024-excerpt.tgz")) as archive:
        listed = archive.extractfile("mathwriting-2024-excerpt/symbols.jsonl")
        assert listed is not None
        glyphs = {json.loads(line)["label"] for line in listed}
    assert len(glyphs) == 229
    assert {glyph for glyph in glyphs - signs if normalize(glyph) != glyph} == {r"\|"}  # drawn as two bars


@pytest.mark.no_cover  # ten thousand files take twice as long with it
@pytest.mark.slow
def test_of_crohme_only_two_broken_labels_are_rejected_and_no_junk_is_learnt() -> None:
    rejected: dict[str, tuple[str, str]] = {}
    alphabets: dict[str, set[str]] = defaultdict(set)
    labels: dict[str, int] = defaultdict(int)
    for path, found in annotated("crohme.tar.xz"):
        if "truth" not in found:
            continue
        labels[path.parts[1]] += 1
        try:
            latex = normalize(found["truth"])
        except LabelError as error:
            rejected[path.name] = (error.reason, error.construct)
            continue
        assert normalize(latex) == latex
        alphabets[path.parts[1]].update(tokenize(latex))
    assert labels == {"train2014": 8835, "test2013": 668, "test2014": 986}
    assert rejected == {
        "rit_4275_4.inkml": ("command", r"\vtop"),  # a picture's layout, not a formula
        "RIT_2014_309.inkml": ("argument", r"\sqrt"),  # "ABOVE {\sqrt} BELOW": a fraction bar, misread
    }
    commands = r"""
        \alpha \beta \gamma \theta \lambda \mu \pi \sigma \phi \Delta \infty \prime \frac \sqrt \sum
        \int \cdot \times \div \pm \le \ge \ne \in \forall \exists \rightarrow \{ \}
    """
    letters = set("abcdefghijklmnopqrstuvwxyzABCEFGHILMNPRSTVXY")
    assert alphabets["train2014"] == {*letters, *"0123456789_^{}+-=<>()[]|/,.!", *commands.split()}
    assert alphabets["test2013"] <= alphabets["train2014"]
    assert alphabets["test2014"] - alphabets["train2014"] == {r"\Pi"}


@pytest.mark.no_cover
@pytest.mark.slow
@EVERY
@pytest.mark.parametrize(
    ("name", "share"), [("planetmath", 0.997), ("statproofbook", 0.996), ("im2latex", 0.993)]
)
def test_real_formulas_normalize_or_are_refused_by_name(name: str, share: float, every: int) -> None:
    formulas = read_lists(archived("formulas.tar.xz"))[name][::every]
    result = normalize_all(formulas)
    assert len(result.labels) >= (share - margin(every)) * len(formulas)
    assert result.unstable == ()
    assert result.slowest < 1
    assert all(construct for reason, construct in result.refused if reason not in ("empty", "backslash"))


@pytest.mark.no_cover
@pytest.mark.slow
@EVERY
def test_function_names_of_real_formulas_are_found_again(every: int) -> None:
    found, wrong, missed = found_names(read_lists(archived("formulas.tar.xz"))["planetmath"][::every])
    assert found / (found + missed) > 0.99 - margin(every)
    assert found / (found + wrong) > 0.97 - margin(every)


def margin(every: int) -> float:
    """What a share may fall short of in a sample: of some lists it has few lines."""
    return 0.0 if every == 1 else 0.03
