"""SVG by hand: boxes, arrows and words that read well on light and on dark paper, with nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import dist

Point = tuple[float, float]

_CORNER = 8.0  # radius of an arrow's turns
# Of each kind of box: fill and edge on light paper, then on dark paper.
_KINDS = {
    "band": ("#f6f8fa", "#d8dee4", "#151b23", "#2f3742"),
    "when": ("#ddf4ff", "#54aeff", "#132339", "#388bfd"),
    "what": ("#fbefff", "#c297ff", "#231a35", "#8957e5"),
    "gate": ("#fff8c5", "#d4a72c", "#2b2412", "#bb8009"),
    "kept": ("#dafbe1", "#4ac26b", "#12261e", "#2ea043"),
    "live": ("#ffefe7", "#f0883e", "#2d1d12", "#db6d28"),
    "file": ("#ffffff", "#8c959f", "#0d1117", "#6e7681"),
}
_FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif"
_CODE = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace"


@dataclass(frozen=True)
class Box:
    """A rectangle, in pixels from the top left."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> Point:
        return self.x + self.width, self.y + self.height / 2

    @property
    def top(self) -> Point:
        return self.x + self.width / 2, self.y

    @property
    def bottom(self) -> Point:
        return self.x + self.width / 2, self.y + self.height


def drawing(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """The whole file; `title` is what a screen reader says."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">',
        f'<title id="title">{escape(title)}</title>',
        f"<style>\n{_style()}\n</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" '
        'markerUnits="userSpaceOnUse" orient="auto"><path class="head" d="M0,0.5 L8,4 L0,7.5 z"/></marker>'
        "</defs>",
        f'<rect class="paper" width="{width}" height="{height}" rx="10"/>',
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def rectangle(box: Box, kind: str, radius: float = 6) -> str:
    """`kind` is one of _KINDS."""
    return (
        f'<rect class="{kind}" x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" '
        f'rx="{radius:g}"/>'
    )


def named(box: Box, kind: str, name: str, note: str = "") -> str:
    """A box with its name in the middle, and under it a note."""
    x, middle = box.top[0], box.left[1]
    parts = [rectangle(box, kind), words((x, middle + (-2 if note else 5)), name, "name", "middle")]
    return "\n".join([*parts, words((x, middle + 14), note, "note", "middle")] if note else parts)


def words(at: Point, text: str, kind: str = "", anchor: str = "start") -> str:
    """One line of words; `kind` is name, note, title, code or number, `anchor` start, middle or end."""
    return f'<text class="{kind}" x="{at[0]:g}" y="{at[1]:g}" text-anchor="{anchor}">{escape(text)}</text>'


def arrow(*points: Point, back: bool = False) -> str:
    """A line through the points, its turns rounded, with a head at the end; dashed where it leads back."""
    first, last = points[0], points[-1]
    steps = [f"M{first[0]:g},{first[1]:g}"]
    for before, turn, after in zip(points, points[1:], points[2:], strict=False):
        (x1, y1), (x2, y2) = _towards(turn, before), _towards(turn, after)
        steps.append(f"L{x1:g},{y1:g} Q{turn[0]:g},{turn[1]:g} {x2:g},{y2:g}")
    steps.append(f"L{last[0]:g},{last[1]:g}")
    return f'<path class="line{" back" if back else ""}" d="{" ".join(steps)}" marker-end="url(#head)"/>'


def badge(at: Point, number: int) -> str:
    """A number in a disc."""
    x, y = at
    return f'<circle class="disc" cx="{x:g}" cy="{y:g}" r="9"/>\n' + words(
        (x, y + 4), str(number), "number", "middle"
    )


def chain(boxes: Sequence[Box]) -> list[str]:
    """Arrows from each box to the next one to its right, or to its left."""
    return [arrow(a.right, b.left) if a.x < b.x else arrow(a.left, b.right) for a, b in pairwise(boxes)]


def _towards(start: Point, end: Point) -> Point:
    """The point at the corner's radius from `start` on the way to `end`."""
    share = min(_CORNER, dist(start, end) / 2) / dist(start, end)
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _style() -> str:
    return "\n".join(
        [
            f"text {{ font: 12px {_FONT}; }}",
            ".name { font-size: 13px; font-weight: 600; }",
            ".note { font-size: 11px; }",
            ".title { font-size: 13px; }",
            f".code {{ font: 11px {_CODE}; }}",
            ".number { font-size: 11px; font-weight: 700; }",
            "rect { stroke-width: 1.2; }",
            ".line { fill: none; stroke-width: 1.5; }",
            ".back { stroke-dasharray: 5 3; }",
            *_colours(0, "#ffffff", "#1f2328", "#59636e", "#6e7781", "#0969da", "#ffffff"),
            "@media (prefers-color-scheme: dark) {",
            *_colours(2, "#0d1117", "#e6edf3", "#a0a8b1", "#8b949e", "#58a6ff", "#0d1117"),
            "}",
        ]
    )


def _colours(first: int, paper: str, ink: str, faint: str, line: str, disc: str, on_disc: str) -> list[str]:
    """The rules of one paper; `first` is where its colours start in _KINDS."""
    boxes = [
        f".{kind} {{ fill: {colours[first]}; stroke: {colours[first + 1]}; }}"
        for kind, colours in _KINDS.items()
    ]
    return [
        f".paper {{ fill: {paper}; stroke: none; }}",
        f"text {{ fill: {ink}; }}",
        f".note, .title {{ fill: {faint}; }}",
        f".line {{ stroke: {line}; }} .head {{ fill: {line}; }}",
        f".disc {{ fill: {disc}; }} .number {{ fill: {on_disc}; }}",
        *boxes,
    ]
