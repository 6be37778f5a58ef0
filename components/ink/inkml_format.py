"""Trace formats of InkML (section 3.1): which values of a point are X and Y, their directions and units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lxml import etree

from components.ink.ink import InkError
from components.ink.inkml_units import Scale, length_of, resolution_of
from components.ink.inkml_values import DEFAULT, Format

_TIP = "S"  # the channel that tells whether the pen touches the paper
_ORIENTATIONS = {"+ve": 1.0, "-ve": -1.0, "\u2212ve": -1.0, "+": 1.0, "-": -1.0}


@dataclass(frozen=True)
class Axes:
    """X and Y of a trace format."""

    format: Format = DEFAULT
    signs: tuple[float, float] = (1.0, 1.0)  # -1: grows to the left or upwards
    ratio: float = 1.0  # of the length of Y's unit to X's
    scale: Scale | None = None  # the length of X's unit, if known
    anchors: tuple[str, str] = ("", "")  # respectTo of X and Y


def axes_of(element: etree._Element, source: etree._Element | None) -> Axes | None:
    """Reads a `<traceFormat>`, with the resolutions of the `<inkSource>`. None if it has no channels.

    Raises InkError.
    """
    regular, intermittent = _channels(element)
    channels = regular + intermittent
    if not channels:
        return None
    names = [_name(channel) for channel in channels]
    x, y = (_coordinate(name, channels, names) for name in "XY")
    scale, ratio = _units(x, y, _resolutions(source))
    tip = names.index(_TIP) if _TIP in names else None
    if tip is not None and _type(channels[tip]) != "boolean":
        tip = None  # exporters write all kinds of numbers there
    return Axes(
        Format(names.index("X"), names.index("Y"), len(regular), len(intermittent), tip, declared=True),
        (_sign(x), _sign(y)),
        ratio,
        scale,
        ((x.get("respectTo") or "").strip(), (y.get("respectTo") or "").strip()),
    )


def _channels(element: etree._Element) -> tuple[list[etree._Element], list[etree._Element]]:
    """Regular and intermittent channels, in order."""
    regular: list[etree._Element] = []
    intermittent: list[etree._Element] = []
    for channel in element.iter("{*}channel"):
        parent = channel.getparent()
        inside = parent is not None and etree.QName(parent).localname == "intermittentChannels"
        (intermittent if inside else regular).append(channel)
    return regular, intermittent


def _name(channel: etree._Element) -> str:
    return (channel.get("name") or "").strip().upper()


def _coordinate(name: str, channels: list[etree._Element], names: list[str]) -> etree._Element:
    if names.count(name) != 1:
        raise InkError(
            f"<traceFormat> has the channels {', '.join(names)}: exactly one channel {name} is needed"
        )
    channel = channels[names.index(name)]
    if _type(channel) == "boolean":
        raise InkError(f'<channel name="{name}" type="boolean">: a coordinate must be a number')
    for mapping in channel.iterchildren("{*}mapping"):
        if (mapping.get("type") or "unknown").strip().lower() != "identity":
            raise InkError(
                f'<mapping> of <channel name="{name}"> is not supported: write the mapped values into the '
                "traces"
            )
    return channel


def _type(channel: etree._Element) -> str:
    return (channel.get("type") or "decimal").strip().lower()


def _sign(channel: etree._Element) -> float:
    orientation = (channel.get("orientation") or "+ve").strip().lower()
    if orientation not in _ORIENTATIONS:
        raise InkError(f'<channel name="{_name(channel)}" orientation={orientation!r}>: expected +ve or -ve')
    return _ORIENTATIONS[orientation]


def _resolutions(source: etree._Element | None) -> dict[str, Scale]:
    """The property `resolution` of an ink source's channels X and Y, as the length of one of their units."""
    found: dict[str, Scale] = {}
    for element in () if source is None else source.iter("{*}channelProperty"):
        channel = (element.get("channel") or "").strip().upper()
        if channel in ("X", "Y") and (element.get("name") or "").strip().lower() == "resolution":
            found[channel] = resolution_of(element.get("value"), element.get("units"), channel)
    return found


def _units(
    x: etree._Element, y: etree._Element, resolutions: Mapping[str, Scale]
) -> tuple[Scale | None, float]:
    """The length of one unit of X, if known, and the ratio of Y's to it."""
    x_length, y_length = length_of(x.get("units")), length_of(y.get("units"))
    x_count, y_count = resolutions.get("X"), resolutions.get("Y")
    units = f"X (units={x.get('units')!r}) and Y (units={y.get('units')!r})"
    if x_count is not None and y_count is not None:
        ratio = _ratio(x_count, y_count, units)
        differ = x_length and y_length and x_length != y_length
        if differ and not math.isclose(ratio, _ratio(x_length, y_length, units), rel_tol=1e-3):
            raise InkError(f"the channels {units} contradict their resolutions: remove one or the other")
        return x_count, ratio
    count = x_count or y_count
    if count and (x_length is None or not x_length.near(count) or x_length != y_length):
        raise InkError(
            '<channelProperty name="resolution"> is given for only one of the channels X and Y: give it for '
            "both"
        )
    if x_length is None and y_length is None:
        return None, 1.0
    return x_length, _ratio(x_length, y_length, units)


def _ratio(x: Scale | None, y: Scale | None, units: str) -> float:
    if x is None or y is None or x.unit != y.unit:
        raise InkError(
            f"the channels {units} have units whose ratio is not known: write both coordinates in one unit"
        )
    return 1.0 if x == y else y.factor / x.factor
