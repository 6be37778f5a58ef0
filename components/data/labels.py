"""The label of an ink in canonical LaTeX, however its source writes it."""

from __future__ import annotations

from components.ink.ink import Ink
from components.latex.mathml import mathml_to_latex
from components.latex.normalizer import LabelError, normalize


def label_of(ink: Ink) -> str:
    """The normalized label. Raises LabelError if there is none, or none that can be used."""
    if ink.label is not None:
        return normalize(ink.label)
    if ink.mathml is not None:
        return normalize(mathml_to_latex(ink.mathml))
    raise LabelError(
        "the ink has no label: add an <annotation> of type truth, label or normalizedLabel, or an "
        '<annotationXML type="truth"> with MathML'
    )
