"""InkML (W3C, 2011) in and out: what CROHME, MathWriting and people's own tools really write.

The reader believes the points, not the header: real files announce channels that their points lack, repeat
ids, refer to traces that are not there, and contain bytes that are no UTF-8. What says clearly where the pen
was is read; anything else is an `InkError`, never a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from lxml import etree

from components.ink.ink import Ink, Stroke, Symbol

MAX_POINTS = 1_000_000  # a formula has some hundreds
MAX_BYTES = 64 << 20

_XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
_LABELS = ("normalizedLabel", "truth", "label")  # MathWriting, CROHME, MathWriting's single symbols
_RELATIVE = tuple("'\"!")  # prefixes of differences and explicit values (InkML, section 3.2.1)


class InkError(ValueError):
    """The file holds no ink that can be used; the message is the reason, without the file's name."""


def read_inkml(path: Path) -> Ink:
    """Reads one InkML file; the ink's id is the file's name without suffix.

    Raises InkError (as `parse_inkml` does) and OSError.
    """
    if path.stat().st_size > MAX_BYTES:
        raise InkError(f"the file is larger than {MAX_BYTES >> 20} MiB")
    return parse_inkml(path.read_bytes(), path.stem)


def parse_inkml(data: bytes, id: str) -> Ink:
    """Reads one InkML document.

    Strokes are the traces with at least one point, in the file's order, in the file's units, y downwards;
    of equal points in a row one is kept. The label is the annotation `normalizedLabel`, else `truth`, else
    `label`, verbatim but for white space around it; None where there is none of them. Symbols are the
    trace groups without subgroups, in the file's order, which in CROHME is not the order of the label.

    Raises InkError where the document is no XML, no InkML, declares entities, has no stroke, more than
    MAX_POINTS points, or a point that is not two or more finite numbers.
    """
    root = _parse(data)
    channels = _channels(root)
    strokes: list[Stroke] = []
    index: dict[str, int] = {}  # of the stroke by the trace's id
    room = MAX_POINTS
    for trace in root.iter("{*}trace"):
        name = trace.get("id") or trace.get(_XML_ID) or ""
        try:
            stroke = _stroke(_text(trace), channels, room)
        except InkError as error:
            raise InkError(f"trace {name!r}: {error}") from None
        if stroke is None or trace.get("type") == "penUp":
            continue
        room -= len(stroke)
        index.setdefault(name, len(strokes))
        strokes.append(stroke)
    if not strokes:
        raise InkError("there is no trace with a point")
    return Ink(
        id=id,
        strokes=tuple(strokes),
        label=_annotation(root, *_LABELS),
        writer=_annotation(root, "writer"),
        symbols=_symbols(root, index),
    )


def _parse(data: bytes) -> etree._Element:
    """The root of a document that is InkML, parsed without entities, DTD, network or huge nodes."""
    if not data.strip():
        raise InkError("the file is empty")
    try:
        root = etree.fromstring(data, _parser())
    except etree.XMLSyntaxError as error:
        # MfrDB has a stray byte in a MathML comment on the formula: no reason to lose the ink.
        repaired = data.decode("utf-8", "replace").encode()
        if repaired == data:
            raise InkError(f"not well-formed XML: {error.msg}") from None
        try:
            root = etree.fromstring(repaired, _parser())
        except etree.XMLSyntaxError as second:
            raise InkError(f"neither UTF-8 nor well-formed XML: {second.msg}") from None
    dtd: Any = root.getroottree().docinfo.internalDTD
    if dtd is not None and dtd.entities():
        raise InkError("the file declares XML entities, which are not expanded (they can be a bomb)")
    if etree.QName(root).localname != "ink":
        raise InkError(f"the root element is <{etree.QName(root).localname}>, not InkML's <ink>")
    return root


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        collect_ids=False,  # CROHME's xml:ids are no names ("0:1:"), and not unique
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _channels(root: etree._Element) -> int:
    """The most values that a point may have. Whether it has them is not the header's to say."""
    channels = next(root.iter("{*}traceFormat"), None)
    names = [] if channels is None else [c.get("name", "") for c in channels.iter("{*}channel")]
    if names and names[:2] != ["X", "Y"]:  # drawn all the same, it would be another formula
        raise InkError(f"traceFormat has the channels {', '.join(names)}; X, Y must come first")
    return max(3, len(names))


def _stroke(text: str, channels: int, room: int) -> Stroke | None:
    """The points (n, 2) of a trace's text, or None where it has none."""
    if text.count(",") > room:  # before anything is made of them
        raise InkError(f"there are more than {MAX_POINTS} points")
    points = [values for point in text.split(",") if (values := point.split())]
    if not points:
        return None
    widths = sorted(set(map(len, points)))
    if len(points) > room:
        raise InkError(f"there are more than {MAX_POINTS} points")
    if len(widths) > 1 or not 2 <= widths[0] <= channels:
        found = " or ".join(map(str, widths))
        raise InkError(f"a point has {found} values; expected x y or x y t, and commas between points")
    try:
        flat = np.fromiter(map(float, chain.from_iterable(point[:2] for point in points)), np.float64)
    except ValueError:
        raise InkError(_fault(points)) from None
    with np.errstate(over="ignore"):
        stroke: Stroke = flat.reshape(-1, 2).astype(np.float32)
    if not np.isfinite(stroke).all():
        raise InkError("a coordinate is not a finite number")
    moved = np.ones(len(stroke), bool)
    moved[1:] = (stroke[1:] != stroke[:-1]).any(axis=1)
    return stroke[moved]


def _fault(points: Sequence[Sequence[str]]) -> str:
    for value in chain.from_iterable(point[:2] for point in points):
        if value.startswith(_RELATIVE):
            return f"{value!r} is a coordinate relative to the last point; write absolute ones"
        try:
            float(value)
        except ValueError:
            return f"the coordinate {value[:20]!r} is not a number"
    raise AssertionError("called for points that are numbers")


def _symbols(root: etree._Element, index: dict[str, int]) -> tuple[Symbol, ...]:
    """The trace groups without subgroups that have a label and refer to strokes that are there."""
    symbols = []
    for group in root.iter("{*}traceGroup"):
        token = _annotation(group, "truth", "label")
        if token is None or next(group.iterchildren("{*}traceGroup"), None) is not None:
            continue
        views = (view.get("traceDataRef", "").removeprefix("#") for view in group.iter("{*}traceView"))
        if strokes := tuple(dict.fromkeys(index[view] for view in views if view in index)):
            symbols.append(Symbol(token, strokes))
    return tuple(symbols)


def _annotation(element: etree._Element, *types: str) -> str | None:
    """The text of the element's own annotation of the first of these types that it has."""
    found: dict[str | None, str] = {}
    for annotation in element.iterchildren("{*}annotation"):
        found.setdefault(annotation.get("type"), _text(annotation).strip())
    return next((found[type] for type in types if found.get(type)), None)


def _text(element: etree._Element) -> str:
    return "".join(map(str, element.itertext())) if len(element) else element.text or ""
