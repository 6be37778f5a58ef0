"""Which label an ink has: LaTeX, else MathML, else none."""

from __future__ import annotations

import numpy as np
import pytest

from components.data.labels import label_of
from components.ink.ink import Ink
from components.latex.normalizer import LabelError

STROKES = (np.zeros((1, 2), np.float32),)
MATH = "<math><mfrac><mi>x</mi><mn>2</mn></mfrac></math>"


def test_a_label_is_normalized_whatever_it_is_written_in() -> None:
    assert label_of(Ink("x", STROKES, label=r"$\frac x2$")) == r"\frac{x}{2}"
    assert label_of(Ink("x", STROKES, mathml=MATH)) == r"\frac{x}{2}"
    assert label_of(Ink("x", STROKES, label="y", mathml=MATH)) == "y"


@pytest.mark.parametrize(
    ("ink", "reason"),
    [
        (Ink("x", STROKES), "no label"),
        (Ink("x", STROKES, mathml="<math><mglyph/></math>"), "<mglyph>"),
        (Ink("x", STROKES, label=r"\frac"), "frac"),
    ],
)
def test_a_label_that_cannot_be_used_is_refused(ink: Ink, reason: str) -> None:
    with pytest.raises(LabelError, match=reason):
        label_of(ink)
