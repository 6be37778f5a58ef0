"""Pen strokes as JSON, in the forms that devices and libraries send.

A stroke is a list of points `[x, y, …]`, a list of objects `{"x": …, "y": …}`, an object of columns
`{"x": […], "y": […]}` (MyScript), or a list of columns `[[x, …], [y, …], [t, …]]` (Quick, Draw!). An ink is a
list of strokes, one stroke, or an object of columns of strokes `{"x": [[…], …], "y": [[…], …]}` (Mathpix), by
itself or below `strokes`. Only x and y are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic_core import from_json

from components.serving.schemas.problems import Problem

Points = npt.NDArray[np.float64]  # (n, 2)

EXPECTED = 'expected {"strokes": [[[x, y], [x, y], …], …]}'
_MAX_VALUES = 8  # of a point: x, y, time, pressure, tilt, …


def parse_strokes(data: bytes) -> list[Points]:
    """The strokes of a JSON body, without empty ones. Raises Problem (422) that says where the fault is."""
    try:
        content = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise _fault("the body", f"not JSON ({error})") from None
    strokes = _strokes(content, "strokes")
    in_columns = _in_columns([stroke for stroke in strokes if isinstance(stroke, list)])
    parsed = [_points(stroke, in_columns, f"strokes.{number}") for number, stroke in enumerate(strokes)]
    return [points for points in parsed if len(points)]


def _strokes(content: Any, where: str, depth: int = 0) -> list[Any]:
    """The list of strokes, each still in its own form."""
    if isinstance(content, dict) and depth < 3:
        if "strokeGroups" in content and isinstance(content["strokeGroups"], list):
            groups = content["strokeGroups"]
            return [stroke for group in groups for stroke in _strokes(group, where, depth + 1)]
        if "strokes" in content:
            return _strokes(content["strokes"], where, depth + 1)
        if (x := _named(content, "x")) is not None and (y := _named(content, "y")) is not None:
            return _column_strokes(x, y, where)
    if not isinstance(content, list) or not content:
        raise _fault(where, f"found {_kind(content)}")
    first = next((element for element in content if element != []), None)
    is_point = isinstance(first, dict) and _is_number(_named(first, "x"))
    is_row = isinstance(first, list) and _is_number(first[0])
    return [content] if is_point or is_row else content


def _column_strokes(x: Any, y: Any, where: str) -> list[Any]:
    """One stroke of two columns, or a list of strokes of two columns each."""
    if isinstance(x, list) and isinstance(y, list) and x and isinstance(x[0], list):
        if len(x) != len(y):
            raise _fault(where, f"x has {len(x)} strokes and y {len(y)}")
        return [{"x": xs, "y": ys} for xs, ys in zip(x, y, strict=True)]
    return [{"x": x, "y": y}]


def _in_columns(strokes: Sequence[list[Any]]) -> bool:
    """Whether lists of rows are `[[x, …], [y, …]]`, not points: where some stroke can be nothing else."""
    return any(
        2 <= len(stroke) <= 4
        and all(isinstance(row, list) for row in stroke)
        and len({len(row) for row in stroke}) == 1
        and (len(stroke[0]) == 1 or len(stroke[0]) > _MAX_VALUES)
        for stroke in strokes
    )


def _points(stroke: Any, in_columns: bool, where: str) -> Points:
    if isinstance(stroke, dict) and isinstance(stroke.get("points"), list):
        stroke = stroke["points"]
    if isinstance(stroke, dict):
        return _from_columns(_named(stroke, "x"), _named(stroke, "y"), where)
    if not isinstance(stroke, list):
        raise _fault(where, f"found {_kind(stroke)}")
    if in_columns and stroke:
        return _from_columns(stroke[0], stroke[1] if len(stroke) > 1 else None, where)
    return _array([_xy(point, f"{where}.{place}") for place, point in enumerate(stroke)])


def _from_columns(x: Any, y: Any, where: str) -> Points:
    if not isinstance(x, list) or not isinstance(y, list):
        raise _fault(where, f"found {_kind(x)} as x and {_kind(y)} as y")
    if len(x) != len(y):
        raise _fault(where, f"x has {len(x)} values and y {len(y)}")
    for place, pair in enumerate(zip(x, y, strict=True)):
        if not all(map(_is_number, pair)):
            raise _fault(f"{where}.{place}", f"found {_kind(next(v for v in pair if not _is_number(v)))}")
    return _array(list(zip(x, y, strict=True)))


def _xy(point: Any, where: str) -> tuple[float, float]:
    if isinstance(point, dict):
        point = [_named(point, "x"), _named(point, "y")]
    if not isinstance(point, list):
        raise _fault(where, f"found {_kind(point)}")
    if not 2 <= len(point) <= _MAX_VALUES:
        raise _fault(where, f"found {len(point)} values")
    x, y = point[:2]
    if not (_is_number(x) and _is_number(y)):
        raise _fault(where, f"found {_kind(y if _is_number(x) else x)}")
    return x, y


def _named(values: dict[str, Any], name: str) -> Any:
    """A member, in lower or upper case."""
    return values.get(name, values.get(name.upper()))


def _array(pairs: list[tuple[float, float]]) -> Points:
    try:
        return np.array(pairs, np.float64).reshape(-1, 2)
    except OverflowError:  # an integer beyond float64
        raise Problem(422, "invalid-body", "strokes: a coordinate is too large to be drawn.") from None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: object) -> str:
    """What a JSON value is, in a word or two; never the value, which can be of any size."""
    if isinstance(value, list):
        return "an empty list" if not value else "a list"
    names = {dict: "an object", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _fault(where: str, found: str) -> Problem:
    return Problem(422, "invalid-body", f"{where}: {found}; {EXPECTED}.")
