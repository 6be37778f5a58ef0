"""Units of InkML's channels: how long one unit is, from `units` or from the property `resolution`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from components.ink.ink import InkError

_INCH = 0.0254
_METRES = {
    "m": 1.0,
    "dm": 0.1,
    "cm": 1e-2,
    "mm": 1e-3,
    "um": 1e-6,
    "\u00b5m": 1e-6,
    "\u03bcm": 1e-6,
    "nm": 1e-9,
    "himetric": 1e-5,
    "in": _INCH,
    "inch": _INCH,
    "pt": _INCH / 72,
    "pc": _INCH / 6,
    "px": _INCH / 96,
    "twip": _INCH / 1440,
    "twips": _INCH / 1440,
}
_PER_INCH = ("dpi", "lpi", "ppi")
_DEVICE = ("", "dev", "device")  # of the digitizer: not said how long


@dataclass(frozen=True)
class Scale:
    """The length of one unit: `factor` of a named unit, metres if it is a known one."""

    factor: float
    unit: str

    def near(self, other: Scale | None) -> bool:
        """Whether both are the same length."""
        return other is not None and self.unit == other.unit and math.isclose(self.factor, other.factor)


def length_of(units: str | None) -> Scale | None:
    """One unit of a channel with these `units`; None if they are the device's own."""
    name = (units or "").strip().lower()
    if name in _DEVICE:
        return None
    return Scale(_METRES[name], "m") if name in _METRES else Scale(1.0, name)


def resolution_of(value: str | None, units: str | None, channel: str) -> Scale:
    """One unit of a channel with so many units in a length: `value="1000" units="1/cm"`.

    Raises InkError for a value that is not a positive number.
    """
    try:
        count = float(value or "")
    except ValueError:
        count = math.nan
    if not (count > 0 and math.isfinite(count)):
        raise InkError(
            f'<channelProperty channel="{channel}" name="resolution" value={value!r}>: expected a positive '
            "number"
        )
    name = (units or "").strip().lower()
    if name in _PER_INCH:
        name = "in"
    per = length_of(name.removeprefix("1").strip().removeprefix("/").strip() if "/" in name else name)
    return Scale(1 / count, "dev") if per is None else Scale(per.factor / count, per.unit)
