"""Writes InkML that the reader gives back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from lxml import etree

from components.files import atomic_write
from components.ink.ink import Ink

Times = Sequence[Sequence[float] | npt.NDArray[np.float64]]  # milliseconds, of each stroke's points

NAMESPACE = "http://www.w3.org/2003/InkML"


def write_inkml(ink: Ink, target: Path | IO[bytes], times: Times | None = None) -> None:
    """Writes an ink as InkML that `parse_inkml` gives back, to an open buffer or, atomically, to a file.

    Label, writer and symbols stand where CROHME has them; a label in MathML is not written, and coordinates
    are the strokes', without their origin. `times` are written for tools that use them. Raises ValueError for
    times that do not fit the points and for text that XML cannot contain, and OSError.
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
    """Each trace's text, with the shortest decimal number of each float32."""
    for i, stroke in enumerate(ink.strokes):
        words = [[str(value).removesuffix(".0") for value in point] for point in stroke.astype(np.float32)]
        if times is not None:
            words = [[*point, str(float(time))] for point, time in zip(words, times[i], strict=True)]
        yield ", ".join(map(" ".join, words))
