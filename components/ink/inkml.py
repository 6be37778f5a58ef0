"""InkML (W3C, 2011) in and out; `docs/inkml.md` lists what is read, ignored and refused.

`inkml_xml` parses and repairs the XML, `inkml_traces` finds the traces on the page, `inkml_context` says what
their values mean, `inkml_values` reads them, `inkml_strokes` makes strokes of them, `inkml_labels` reads
labels, and `inkml_writer` writes. What changes the ink's shape and is not supported raises an `InkError`.
"""

from __future__ import annotations

from pathlib import Path

from components.ink.ink import Ink, InkError
from components.ink.inkml_labels import label_of, mathml_of, symbols_of
from components.ink.inkml_traces import Page
from components.ink.inkml_values import MAX_POINTS
from components.ink.inkml_writer import NAMESPACE, Times, write_inkml
from components.ink.inkml_xml import local_name, looks_like_xml, parse_xml

__all__ = [
    "MAX_BYTES",
    "MAX_POINTS",
    "NAMESPACE",
    "InkError",
    "Times",
    "looks_like_xml",
    "parse_inkml",
    "read_inkml",
    "write_inkml",
]

MAX_BYTES = 64 << 20


def read_inkml(path: Path) -> Ink:
    """Reads one InkML file; the ink's id is the file's name without suffix.

    Raises InkError (as `parse_inkml` does) and OSError.
    """
    if path.stat().st_size > MAX_BYTES:
        raise InkError(f"the file is larger than {MAX_BYTES >> 20} MiB")
    return parse_inkml(path.read_bytes(), path.stem)


def parse_inkml(data: bytes, id: str) -> Ink:
    """Reads one InkML document.

    Strokes are the pen-down traces on the page that have a point, in the document's order, x to the right and
    y downwards, in the units of the first one; of equal points in a row one is kept. The label is the
    document's annotation `normalizedLabel`, else `truth`, `label` or `latex`, without white space around it;
    else that of a trace group with all the strokes; else, as `mathml`, MathML in an annotation. Symbols are
    the trace groups without subgroups, in the order of the formula's MathML where they refer to it, which is
    the label's; else in the document's.

    Raises InkError if the document is not XML or not InkML, has no stroke, or has something that changes the
    ink's shape and is not supported.
    """
    root = parse_xml(data)
    if local_name(root) != "ink":
        raise InkError(f"the root element is <{local_name(root)}>, not InkML's <ink>")
    page = Page(root)
    page.read()
    label, group = label_of(page)
    return Ink(
        id=id,
        strokes=page.strokes,
        label=label,
        writer=page.document.annotation("writer"),
        symbols=symbols_of(page, group),
        mathml=mathml_of(page) if label is None else None,
        origin=page.origin,
    )
