"""InkML (W3C, 2011) in and out: what CROHME, MathWriting and people's own tools really write.

The reader believes the points, not the header: real files announce channels that their points lack, repeat
ids, refer to traces that are not there, and contain bytes that are no UTF-8. What says clearly where the pen
was is read; anything else is an `InkError`, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from lxml import etree

from components.files import atomic_write
from components.ink.ink import Ink, Stroke, Symbol

Times = Sequence[Sequence[float] | npt.NDArray[np.float64]]  # milliseconds, of each stroke's points

MAX_POINTS = 1_000_000  # a formula has some hundreds
MAX_BYTES = 64 << 20

NAMESPACE = "http://www.w3.org/2003/InkML"
_XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
_LABELS = ("normalizedLabel", "truth", "label")  # MathWriting, CROHME, MathWriting's single symbols
_RELATIVE = tuple("'\"!")  # first difference, second difference, neither (InkML, 3.2.1)


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
    trace groups without subgroups, in the order of the formula's MathML where they refer to it, which is the
    label's; else in the file's.

    Raises InkError where the document is no XML, no InkML, declares entities, has no stroke, more than
    MAX_POINTS points, or a point that is not two or more finite numbers.
    """
    root = _parse(data)
    strokes, index = _strokes(root, _channels(root))
    return Ink(
        id=id,
        strokes=strokes,
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
        # One file of CROHME has a stray byte in the formula's MathML: no reason to lose the ink.
        repaired = data.decode("utf-8", "replace").encode()
        if repaired == data:
            raise _not_xml(error) from None
        try:
            root = etree.fromstring(repaired, _parser())
        except etree.XMLSyntaxError as second:
            raise _not_xml(second) from None
    dtd: Any = root.getroottree().docinfo.internalDTD
    if dtd is not None and dtd.entities():
        raise InkError("the file declares XML entities, which are refused: they can be a bomb")
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


def _not_xml(error: etree.XMLSyntaxError) -> InkError:
    if "XML_PARSE_HUGE" in error.msg:
        return InkError("one element is larger than 10 MB: too many points")
    return InkError(f"not well-formed XML: {error.msg}")


def _channels(root: etree._Element) -> int:
    """The most values that a point may have. Whether it has them is not the header's to say."""
    channels = next(root.iter("{*}traceFormat"), None)
    names = [] if channels is None else [c.get("name", "") for c in channels.iter("{*}channel")]
    if names and names[:2] != ["X", "Y"]:  # drawn all the same, it would be another formula
        raise InkError(f"traceFormat has the channels {', '.join(names)}; X, Y must come first")
    return max(3, len(names))


def _strokes(root: etree._Element, channels: int) -> tuple[tuple[Stroke, ...], dict[str, int]]:
    """The strokes, and which of them a trace's id means. All points are made numbers at once: for speed."""
    xs: list[str] = []
    ys: list[str] = []
    starts: list[int] = []
    index: dict[str, int] = {}
    for trace in root.iter("{*}trace"):
        if trace.get("type") == "penUp":
            continue
        name = trace.get("id") or trace.get(_XML_ID) or ""
        values, step = _values(_text(trace), name, channels)
        if not values:
            continue
        index.setdefault(name, len(starts))
        starts.append(len(xs))
        xs += values[::step]
        ys += values[1::step]
        if len(xs) > MAX_POINTS:
            raise InkError(f"there are more than {MAX_POINTS} points")
    if not starts:
        raise InkError("there is no trace with a point")
    points = _numbers(xs, ys)
    moved = np.empty(len(points), bool)
    moved[1:] = (points[1:] != points[:-1]).any(axis=1)
    moved[starts] = True
    ends = (*starts[1:], len(points))
    return tuple(points[i:j][moved[i:j]] for i, j in zip(starts, ends, strict=True)), index


def _values(text: str, name: str, channels: int) -> tuple[list[str], int]:
    """A trace's words, commas among them, and how many there are from one point's x to the next one's."""
    if text.count(",") > MAX_POINTS:  # before anything is made of them
        raise InkError(f"there are more than {MAX_POINTS} points")
    words = text.strip(" \t\r\n,").replace(",", " , ").split()
    commas = words.count(",")
    width = words.index(",") if commas else len(words)
    whole = len(words) == (commas + 1) * (width + 1) - 1 and words[width :: width + 1].count(",") == commas
    if words and not (whole and 2 <= width <= channels):
        raise InkError(f"trace {name!r}: expected x y or x y t of every point, and commas between points")
    return words, width + 1


def _numbers(xs: list[str], ys: list[str]) -> Stroke:
    """All points, (n, 2), finite."""
    try:
        with np.errstate(over="ignore"):  # of float32; the next line sees it
            points = np.array([np.array(xs, np.float64), np.array(ys, np.float64)], np.float32).T.copy()
    except ValueError as error:
        value = str(error).rpartition(": ")[2][:40]
        why = "relative to the last point; write absolute ones" if value[1:2] in _RELATIVE else "not a number"
        raise InkError(f"the coordinate {value} is {why}") from None
    if not np.isfinite(points).all():
        raise InkError("a coordinate is not a finite number")
    return points


def _symbols(root: etree._Element, index: dict[str, int]) -> tuple[Symbol, ...]:
    """The trace groups without subgroups that have a label and refer to strokes that are there."""
    places = _places(root)
    symbols: list[tuple[int, Symbol]] = []
    for group in root.iter("{*}traceGroup"):
        token = _annotation(group, "truth", "label")
        if token is None or next(group.iterchildren("{*}traceGroup"), None) is not None:
            continue
        views = (view.get("traceDataRef", "").removeprefix("#") for view in group.iter("{*}traceView"))
        if strokes := tuple(dict.fromkeys(index[view] for view in views if view in index)):
            link = next((a.get("href", "") for a in group.iterchildren("{*}annotationXML")), "")
            symbols.append((places.get(link.removeprefix("#"), len(places)), Symbol(token, strokes)))
    # In half of CROHME's files the order of the groups is not the label's.
    return tuple(symbol for _, symbol in sorted(symbols, key=lambda pair: pair[0]))


def _places(root: etree._Element) -> dict[str, int]:
    """The order in which the formula's MathML names its symbols."""
    ids = (
        element.get(_XML_ID) or element.get("id")
        for annotation in root.iterchildren("{*}annotationXML")
        for element in annotation.iter("{*}*")
    )
    return {id: place for place, id in enumerate(dict.fromkeys(filter(None, ids)))}


def _annotation(element: etree._Element, *types: str) -> str | None:
    """The text of the element's own annotation of the first of these types that it has."""
    found: dict[str | None, str] = {}
    for annotation in element.iterchildren("{*}annotation"):
        found.setdefault(annotation.get("type"), _text(annotation).strip())
    return next((found[type] for type in types if found.get(type)), None)


def _text(element: etree._Element) -> str:
    return "".join(map(str, element.itertext())) if len(element) else element.text or ""


def write_inkml(ink: Ink, target: Path | IO[bytes], times: Times | None = None) -> None:
    """Writes an ink as InkML that `parse_inkml` gives back: a file, whole or not at all, or an open buffer.

    Label, writer and symbols stand where CROHME has them; `times` are for tools that want them. Raises
    ValueError for times that do not fit the points and for text that XML cannot hold, and OSError.
    """
    if times is not None and list(map(len, times)) != list(map(len, ink.strokes)):
        raise ValueError("times: expected one for every point of every stroke")
    document = etree.ElementTree(_document(ink, times))
    etree.indent(document)
    data = etree.tostring(document, xml_declaration=True, encoding="UTF-8")
    if not isinstance(target, Path):
        target.write(data)
        return
    with atomic_write(target) as temporary:
        temporary.write_bytes(data)


def _document(ink: Ink, times: Times | None) -> etree._Element:
    default: Any = {None: NAMESPACE}  # lxml's stubs know no default namespace
    root = etree.Element(f"{{{NAMESPACE}}}ink", nsmap=default)
    header = _add(root, "traceFormat")
    for channel in ("X", "Y") if times is None else ("X", "Y", "T"):
        _add(header, "channel", name=channel, type="decimal")
    for type, text in (("UI", ink.id), ("writer", ink.writer), ("truth", ink.label)):
        if text is not None:
            _add(root, "annotation", text, type=type)
    for i, text in enumerate(_traces(ink, times)):
        _add(root, "trace", text, id=str(i))
    if ink.symbols:
        formula = _add(root, "traceGroup")
        _add(formula, "annotation", "Segmentation", type="truth")
        for symbol in ink.symbols:
            group = _add(formula, "traceGroup")
            _add(group, "annotation", symbol.token, type="truth")
            for i in symbol.strokes:
                _add(group, "traceView", traceDataRef=str(i))
    return root


def _add(parent: etree._Element, tag: str, text: str | None = None, **attributes: str) -> etree._Element:
    element = etree.SubElement(parent, f"{{{NAMESPACE}}}{tag}", attributes)
    element.text = text
    return element


def _traces(ink: Ink, times: Times | None) -> Iterator[str]:
    """Each trace's text, every coordinate as short as a float32 can be told."""
    for i, stroke in enumerate(ink.strokes):
        words = [[str(value).removesuffix(".0") for value in point] for point in stroke.astype(np.float32)]
        if times is not None:
            words = [[*point, str(float(time))] for point, time in zip(words, times[i], strict=True)]
        yield ", ".join(map(" ".join, words))
