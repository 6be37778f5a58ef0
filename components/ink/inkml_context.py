"""Contexts of InkML (section 4): what a trace's values mean, and where they lie on the page.

A trace's context names its trace format (channels, their orientation, units and resolution) and its canvas
with the transform to it. Of all that, the reader needs which values are X and Y, and one affine map to
coordinates with x to the right and y downwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lxml import etree

from components.ink.ink import InkError
from components.ink.inkml_format import Axes, axes_of
from components.ink.inkml_mapping import IDENTITY, Matrix, affine, determinant, scaled, targets
from components.ink.inkml_units import Scale
from components.ink.inkml_values import DEFAULT, Format

_MAX_CHAIN = 100  # references one after the other; more are a cycle or an attack


@dataclass(frozen=True)
class Context:
    """How to read a trace: `matrix` maps its values to the page."""

    format: Format = DEFAULT
    matrix: Matrix = IDENTITY
    scale: Scale | None = None  # of the page's x, if known
    anchors: tuple[str, str] = ("", "")  # respectTo of X and Y: what their zero is


@dataclass(frozen=True)
class Parts:
    """The elements that a context consists of."""

    format: etree._Element | None = None
    source: etree._Element | None = None
    canvas: etree._Element | None = None
    transform: etree._Element | None = None


Find = Callable[[str, str], etree._Element | None]  # an element by reference, and who refers


class Contexts:
    """The contexts of one document, each resolved once."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._parts: dict[etree._Element, Parts] = {}
        self._contexts: dict[Parts, Context] = {}

    def parts(self, element: etree._Element, inherited: Parts = Parts(), depth: int = 0) -> Parts:
        """What a `<context>` consists of: its own parts, else those of the one it refers to, else inherited.

        A context outside `<definitions>` inherits from the current one. Raises InkError.
        """
        if depth > _MAX_CHAIN:
            raise InkError("contextRef: the contexts refer to each other in a circle")
        if (known := self._parts.get(element)) is None or inherited != Parts():
            found = self.referred(element, depth + 1) if element.get("contextRef") else inherited
            known = self._parts[element] = self._own(element, found)
        return known

    def referred(self, by: etree._Element, depth: int = 0) -> Parts:
        """What the context consists of that the `contextRef` of an element names."""
        element = self.target(by, "contextRef", "context", "#DefaultContext")
        return Parts() if element is None else self.parts(element, depth=depth)

    def with_own(self, element: etree._Element, parts: Parts) -> Parts:
        """With an element that stands directly in `<ink>`, outside a context, as CROHME's `<traceFormat>`."""
        match etree.QName(element).localname:
            case "traceFormat":
                return replace(parts, format=element)
            case "inkSource":
                return replace(parts, source=element, format=None)
            case "canvas":
                return replace(parts, canvas=element)
            case "canvasTransform":
                return replace(parts, transform=element)
            case name:
                raise AssertionError(name)

    def _own(self, element: etree._Element, parts: Parts) -> Parts:
        source = self._part(element, "inkSource", "#DefaultInkSource")
        if source is not None:
            parts = replace(parts, source=source, format=None)
        changes = {
            field: found
            for field, name, default in (
                ("format", "traceFormat", "#DefaultTraceFormat"),
                ("canvas", "canvas", "#DefaultCanvas"),
                ("transform", "canvasTransform", "#DefaultCanvasTransform"),
            )
            if (found := self._part(element, name, default)) is not None
        }
        return replace(parts, **changes) if changes else parts

    def _part(self, element: etree._Element, name: str, default: str) -> etree._Element | None:
        """A context's child of that name, else what its attribute refers to."""
        own = next(element.iterchildren("{*}" + name), None)
        return self.target(element, name + "Ref", name, default) if own is None else own

    def target(
        self, element: etree._Element, attribute: str, name: str, default: str = ""
    ) -> etree._Element | None:
        """The element that an attribute refers to; None if it refers to nothing, or to a built-in default."""
        reference = element.get(attribute)
        if not reference or reference == default:
            return None
        found = self._find(reference, f"<{etree.QName(element).localname} {attribute}>")
        if found is None or etree.QName(found).localname != name:
            raise InkError(
                f"{attribute}={reference!r} of <{etree.QName(element).localname}> refers to no <{name}> in "
                "the file: add it or remove the attribute"
            )
        return found

    def resolve(self, parts: Parts) -> Context:
        """What the parts mean. Raises InkError if it cannot be honoured."""
        if (known := self._contexts.get(parts)) is None:
            known = self._contexts[parts] = self._resolved(parts)
        return known

    def _resolved(self, parts: Parts) -> Context:
        format, source = parts.format, parts.source
        if format is None and source is not None:
            format = self._part(source, "traceFormat", "#DefaultTraceFormat")
        axes = self._axes(format, source)
        canvas = None if parts.canvas is None else self._canvas(parts.canvas)
        transform = IDENTITY if parts.transform is None else self._transform(parts.transform)
        matrix, scale = _to_page(axes, canvas, transform)
        return Context(axes.format, matrix, scale, axes.anchors)

    def _canvas(self, element: etree._Element) -> Axes | None:
        """X and Y of a canvas's trace format; None if it has the default one."""
        format = self._part(element, "traceFormat", "#DefaultTraceFormat")
        return None if format is None else self._axes(format, None)

    def _axes(self, element: etree._Element | None, source: etree._Element | None) -> Axes:
        """X and Y of a trace format. Its channels may stand in another one that it refers to."""
        for _ in range(_MAX_CHAIN):
            if element is None:
                return Axes()
            if (axes := axes_of(element, source)) is not None:
                return axes
            if element.get("href") is None:
                return Axes()
            element = self.target(element, "href", "traceFormat", "#DefaultTraceFormat")
        raise InkError("href of <traceFormat>: they refer to each other in a circle")

    def _transform(self, element: etree._Element) -> Matrix:
        """The first mapping of a `<canvasTransform>` goes to the canvas; a second one is its inverse."""
        mapping = next(element.iterchildren("{*}mapping"), None)
        matrix = IDENTITY if mapping is None else self._mapping(mapping)
        if determinant(matrix) == 0:
            raise InkError("the <mapping> of <canvasTransform> has no inverse: it would draw the ink flat")
        return matrix

    def _mapping(self, element: etree._Element, depth: int = 0) -> Matrix:
        """The affine map that a `<mapping>` is. Raises InkError for those of other types."""
        if depth > _MAX_CHAIN:
            raise InkError("mappingRef: the mappings refer to each other in a circle")
        if (target := self.target(element, "mappingRef", "mapping")) is not None:
            return self._mapping(target, depth + 1)
        type = (element.get("type") or "unknown").strip().lower()
        if type == "identity":
            return IDENTITY
        if type == "affine":
            return affine(element)
        if type == "product":
            rows: dict[int, tuple[float, float, float]] = {}
            for child in element.iterchildren("{*}mapping"):
                matrix = self._mapping(child, depth + 1)
                for row in targets(child):
                    if row in rows:
                        raise InkError('<mapping type="product">: two mappings have the same target channel')
                    rows[row] = matrix[row]
            return rows.get(0, IDENTITY[0]), rows.get(1, IDENTITY[1])
        raise InkError(
            f"<mapping type={type!r}> of <canvasTransform> is not supported, only identity, affine and "
            "product are: write the transformed coordinates into the traces"
        )


def _to_page(axes: Axes, canvas: Axes | None, transform: Matrix) -> tuple[Matrix, Scale | None]:
    """The map from a trace's values to the page, and the length of the page's unit."""
    if transform == IDENTITY:
        signs, units = _untransformed(axes, canvas)
        return scaled(IDENTITY, signs[0], signs[1] * units.ratio), units.scale
    if canvas is None:
        if axes.ratio != 1:
            raise InkError(
                "the channels X and Y have different units, and <canvasTransform> does not say which unit "
                "the canvas has: add a <traceFormat> to the <canvas>"
            )
        return scaled(transform, *_inherited(axes.signs, transform)), None
    matrix = scaled(transform, canvas.signs[0], canvas.signs[1] * canvas.ratio)
    if _mirrors(axes.signs) and determinant(matrix) > 0:
        raise InkError(
            "<canvasTransform> and the orientation of the canvas contradict the orientation of the trace's "
            "channels: the writing would be mirrored"
        )
    return matrix, canvas.scale


def _untransformed(axes: Axes, canvas: Axes | None) -> tuple[tuple[float, float], Axes]:
    """The directions of X and Y, and the axes whose units count, if the trace and its canvas share them."""
    if canvas is None:
        return axes.signs, axes
    default = Axes().signs
    if axes.signs != canvas.signs and default not in (axes.signs, canvas.signs):
        raise InkError(
            "the orientations of the channels of the canvas and of the trace contradict each other"
        )
    signs = canvas.signs if axes.signs == default else axes.signs
    return signs, canvas if axes.scale is None else axes


def _inherited(signs: tuple[float, float], transform: Matrix) -> tuple[float, float]:
    """The directions of a canvas without a trace format of its own.

    They are the trace's, unless the transform itself turns those into the default ones, as one that flips a Y
    that grows upwards.
    """
    turned = transform[0][0] < 0 and transform[1][1] < 0
    turns = determinant(transform) < 0 if _mirrors(signs) else turned
    return (1.0, 1.0) if turns else signs


def _mirrors(signs: tuple[float, float]) -> bool:
    return signs[0] * signs[1] < 0
