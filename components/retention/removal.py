"""Something that may go, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

_UNITS = ("B", "kB", "MB", "GB")


@dataclass(frozen=True)
class Removal:
    """One thing that the settings no longer keep."""

    setting: str  # that says so, as retention.bentos
    name: str
    size: int | None  # bytes; None: not known
    run: Callable[[], object] = field(repr=False, compare=False)

    def __str__(self) -> str:
        size = "" if self.size is None else f" ({readable(self.size)})"
        return f"{self.setting}: {self.name}{size}"


def readable(size: float) -> str:
    """A size for people: 12.3 MB."""
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} {_UNITS[-1]}"


def total(removals: Iterable[Removal]) -> int:
    """Bytes of all removals whose size is known."""
    return sum(removal.size or 0 for removal in removals)
