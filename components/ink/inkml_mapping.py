"""Affine mappings of InkML (section 6): matrices from a trace's coordinates to the page's."""

from __future__ import annotations

import math

from lxml import etree

from components.ink.ink import InkError

Row = tuple[float, float, float]
Matrix = tuple[Row, Row]  # rows: x, y; columns: x, y, 1

IDENTITY: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))

_SHAPES = {4: (2, 2), 6: (2, 3), 9: (3, 3)}  # of numbers without commas


def determinant(matrix: Matrix) -> float:
    """Negative if the matrix mirrors."""
    (a, b, _), (c, d, _) = matrix
    return a * d - b * c


def scaled(matrix: Matrix, x: float, y: float) -> Matrix:
    """The matrix, with another scale of the coordinates that it gives."""
    first, second = matrix
    return (x * first[0], x * first[1], x * first[2]), (y * second[0], y * second[1], y * second[2])


def targets(mapping: etree._Element) -> tuple[int, ...]:
    """Which coordinates a mapping gives: 0 is x, 1 is y."""
    names = _bound(mapping, "target") or ["X", "Y"]
    return tuple("XY".index(name) for name in names if name in ("X", "Y"))


def affine(mapping: etree._Element) -> Matrix:
    """Reads a `<mapping type="affine">`: rows are targets, columns are sources and the translation.

    `<bind>` elements name them, in order; without them they are X and Y. Raises InkError.
    """
    sources = _bound(mapping, "source") or ["X", "Y"]
    names = _bound(mapping, "target") or ["X", "Y"]
    rows = _rows(mapping, len(sources))
    if len(rows) != len(names):
        raise InkError(f"<matrix> has {len(rows)} rows, but the mapping has {len(names)} target channels")
    found: dict[str, Row] = {}
    for name, row in zip(names, rows, strict=True):
        if name not in ("X", "Y"):
            continue
        factors = dict(zip(sources, row[:-1], strict=True))
        if any(factors[source] for source in factors if source not in ("X", "Y")):
            others = ", ".join(source for source in factors if source not in ("X", "Y"))
            raise InkError(f"<mapping>: {name} depends on the channels {others}, only X and Y are supported")
        found[name] = factors.get("X", 0.0), factors.get("Y", 0.0), row[-1]
    return found.get("X", IDENTITY[0]), found.get("Y", IDENTITY[1])


def _bound(mapping: etree._Element, attribute: str) -> list[str]:
    binds = mapping.iterchildren("{*}bind")
    return [name.strip().upper() for bind in binds if (name := bind.get(attribute)) is not None]


def _rows(mapping: etree._Element, sources: int) -> list[list[float]]:
    """The matrix, each row with a translation at its end."""
    element = next(mapping.iterchildren("{*}matrix", "{*}affine", "{*}table"), None)
    text = "" if element is None else "".join(map(str, element.itertext()))
    try:
        rows = [
            [float(word) for word in row.split()] for row in text.replace(";", ",").split(",") if row.strip()
        ]
    except ValueError as error:
        raise InkError(f"<matrix> of <mapping>: {error}") from None
    if len(rows) == 1 and len(rows[0]) in _SHAPES and sources == 2:
        height, width = _SHAPES[len(rows[0])]
        rows = [rows[0][i * width : (i + 1) * width] for i in range(height)]
    if len(rows) == sources + 1 and rows[-1] == [0.0] * sources + [1.0]:
        del rows[-1]  # of homogeneous coordinates
    rows = [[*row, 0.0] if len(row) == sources else row for row in rows]
    if not rows or any(len(row) != sources + 1 for row in rows):
        raise InkError(
            f"<matrix> of <mapping>: expected rows of {sources + 1} numbers, {sources} factors and a "
            "translation, with commas between rows"
        )
    if not all(math.isfinite(number) for row in rows for number in row):
        raise InkError("<matrix> of <mapping>: a number is not finite")
    return rows
