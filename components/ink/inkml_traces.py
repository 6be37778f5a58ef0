"""Which traces of an InkML document are ink on the page (sections 3.2 and 3.3).

Traces outside `<definitions>` are on the page, those inside once a `<traceView>` on the page refers to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from lxml import etree

from components.ink.ink import InkError, Stroke
from components.ink.inkml_context import Context, Contexts, Parts
from components.ink.inkml_strokes import Segments
from components.ink.inkml_xml import id_of, is_mathml, local_name, mathml_in, text_of, type_of

_NO_CONTEXT = Parts()
_NO_INK = frozenset(
    ("annotation", "annotationXML", "brush", "timestamp", "mapping", "sourceProperty", "channelProperties")
)
_DIRECT = frozenset(("traceFormat", "inkSource", "canvas", "canvasTransform"))
_DATA = frozenset(("trace", "traceGroup", "traceView"))
SEGMENTATION = "Segmentation"  # what CROHME calls the group of a formula's symbols
_TYPES = ("pendown", "penup", "indeterminate")
_MAX_CHAIN = 150  # traceViews one after the other; more are a circle
_MAX_VIEWED = 50_000  # elements that traceViews and symbols refer to, all together

Path = tuple[int, ...]  # `from` and `to` of a view: places in groups, then a point; all from 1
Leaf = tuple["Trace", int, int]  # the first and the last point of a trace, both from 1


@dataclass(eq=False, slots=True)
class Trace:
    """A `<trace>`, and what became of it."""

    element: etree._Element
    parts: Parts
    defined: bool  # in definitions: not on the page by itself
    segments: list[int] = field(default_factory=list)  # of the page; empty if it is not on it as a whole
    _points: int | None = None  # counted once: thousands of views may refer to one long trace

    def text(self) -> str:
        return text_of(self.element)

    def name(self) -> str:
        return repr(id_of(self.element)) if id_of(self.element) else f"on line {self.element.sourceline}"

    def points(self) -> int:
        if self._points is None:
            text = self.text().strip(" \t\r\n,")
            self._points = text.count(",") + 1 if text else 0
        return self._points

    def type(self) -> str:
        type = (self.element.get("type") or "penDown").strip().lower()
        if type not in _TYPES:
            raise InkError(f"<trace type={type!r}>: expected penDown, penUp or indeterminate")
        return type

    def usable(self) -> bool:
        return self.points() > 0 and self.type() != "penup"


@dataclass(eq=False, slots=True)
class Group:
    """The document, a trace group, or a view that has something in it."""

    element: etree._Element
    annotations: dict[str, str] = field(default_factory=dict)  # by type in lower case, the first with text
    members: list[Trace] = field(default_factory=list)  # its traces, and those that its views are of
    whole: bool = True  # `members` are all that it has
    is_leaf: bool = True  # it has no groups in it
    is_part: bool = False  # of a group of a formula's symbols

    def note(self, annotation: etree._Element) -> None:
        """Keeps an annotation's text, or the MathML in it. Exporters write types in any case."""
        if text := (mathml_in(annotation) or text_of(annotation)).strip():
            self.annotations.setdefault(type_of(annotation), text)

    def annotation(self, *types: str) -> str | None:
        """The text of the first of these annotations that it has; types in lower case. Not MathML."""
        texts = (self.annotations.get(type, "") for type in types)
        return next((text for text in texts if text and not is_mathml(text)), None)


@dataclass(slots=True)
class _Level:
    """A place in the document while it is walked through: what is left of an element's children."""

    group: Group  # what the children belong to
    children: Iterator[etree._Element]
    current: Parts  # the current context, which a child may change
    defined: bool  # in definitions
    shares: bool = False  # its current context is the parent's, too


class Page:
    """The traces of a document, and the ink that they put on the page."""

    def __init__(self, root: etree._Element) -> None:
        self._root = root
        self._contexts = Contexts(self._find)
        self._order: list[Trace | etree._Element] = []  # traces and views, as they stand on the page
        self._by_id: dict[str, Trace] = {}
        self._by_element: dict[etree._Element, Trace] = {}
        self._ids: dict[str, etree._Element] | None = None
        self._definitions = False
        self._viewed = 0
        self._stroke_of: list[int] = []
        self.document = Group(root)
        self.groups: list[Group] = []
        self.strokes: tuple[Stroke, ...] = ()
        self.origin = (0.0, 0.0)

    def read(self) -> None:
        """Reads the strokes. Raises InkError."""
        first = next(self._root.iterchildren("{*}traceFormat"), None)  # counts for what stands before it, too
        self._walk(_NO_CONTEXT if first is None else Parts(format=first))
        segments = Segments()
        self._draw(segments)
        try:
            made = segments.strokes()
        except ValueError as error:
            if isinstance(error, InkError):
                raise
            segments = Segments(plain=False)  # something is no plain number
            self._draw(segments)
            made = segments.strokes()
        self.strokes, self.origin, self._stroke_of = made

    def strokes_of(self, group: Group) -> tuple[int, ...] | None:
        """The strokes of a group. None if it has a part of a stroke, which is no stroke."""
        self._count(1 + len(group.members))
        found: list[int] = []
        if group.whole:
            for trace in group.members:
                found += trace.segments
        else:
            for trace, first, last in self._leaves(group.element):
                if (first, last) != (1, trace.points()):
                    return None
                found += trace.segments
        return tuple(dict.fromkeys([self._stroke_of[segment] for segment in found]))

    def _walk(self, current: Parts) -> None:
        """Notes what is in the document.

        No recursion: where a frame crosses a chunk of CPython's stack, each call allocates and frees a chunk,
        and traces 200 groups deep took four times as long.
        """
        levels = [_Level(self.document, iter(self._root), current, False)]
        while levels:
            level = levels[-1]
            for child in level.children:
                if (inner := self._visit(child, level)) is not None:
                    levels.append(inner)
                    break
            else:
                levels.pop()
                if level.shares:
                    levels[-1].current = level.current

    def _visit(self, child: etree._Element, level: _Level) -> _Level | None:
        """Notes an element; returns the level below, if what is in the element is to be noted, too."""
        name, group, defined = local_name(child), level.group, level.defined
        if name == "annotation":
            group.note(child)
        elif name == "traceView":
            self._note_view(child, group, defined)
        elif name == "trace":
            own = self._contexts.referred(child) if child.get("contextRef") else level.current
            group.members.append(self._note(child, own, defined))
        elif name == "traceGroup":
            own = self._contexts.referred(child) if child.get("contextRef") else level.current
            group.whole = group.is_leaf = False
            return _Level(self._new_group(child, group), iter(child), own, defined)
        elif name in _NO_INK:
            return None
        elif name == "definitions":
            self._definitions = True
            return _Level(Group(child), iter(child), _NO_CONTEXT, True)
        elif defined:
            return None
        elif name == "context":
            level.current = self._contexts.parts(child, level.current)
        elif name in _DIRECT:
            level.current = self._contexts.with_own(child, level.current)
        else:  # of no InkML; its annotations say nothing of the group
            group.whole = False
            return _Level(Group(child), iter(child), level.current, defined, shares=True)
        return None

    def _new_group(self, element: etree._Element, parent: Group) -> Group:
        group = Group(element, is_part=parent.is_part or parent.annotations.get("truth") == SEGMENTATION)
        self.groups.append(group)
        return group

    def _note(self, element: etree._Element, parts: Parts, defined: bool) -> Trace:
        trace = self._by_element[element] = Trace(element, parts, defined)
        id = id_of(element)
        known = self._by_id.setdefault(id, trace)
        if known is not trace and not known.usable():  # real files repeat ids
            self._by_id[id] = trace
        if not defined:
            self._order.append(trace)
        return trace

    def _note_view(self, view: etree._Element, group: Group, defined: bool) -> None:
        if not len(view) and len(view.attrib) == 1:
            trace = self._by_id.get((view.get("traceDataRef") or "").removeprefix("#"))
            if trace is not None and not trace.defined:  # as in CROHME: it adds no ink
                group.members.append(trace)
                return
        group.whole = False
        if not defined:
            self._order.append(view)
        for inner in view.iter("{*}traceView") if len(view) else ():
            if len(inner):
                self._note_view_group(inner, group)
                group.is_leaf = False

    def _note_view_group(self, view: etree._Element, parent: Group) -> None:
        group = self._new_group(view, parent)
        group.whole, group.is_leaf = False, not any(len(child) for child in view.iterchildren("{*}traceView"))
        for child in view.iterchildren("{*}annotation"):
            group.note(child)

    def _draw(self, segments: Segments) -> None:
        for trace in self._by_element.values():
            trace.segments.clear()
        parts: set[Leaf] = set()
        for item in self._order:
            if isinstance(item, Trace):
                self._draw_trace(item, segments)
                continue
            for leaf in self._leaves(item):
                trace, first, last = leaf
                if not trace.defined or leaf in parts:
                    continue
                parts.add(leaf)
                if (first, last) == (1, trace.points()):
                    self._draw_trace(trace, segments)
                elif trace.usable():
                    segments.add_part(trace.text(), trace.name(), self._context(trace), first, last)

    def _draw_trace(self, trace: Trace, segments: Segments) -> None:
        prior = None
        if len(trace.element.attrib) > 1 or not id_of(trace.element):
            if trace.element.get("type") and not self._is_down(trace):
                return
            prior = self._prior(trace)
        trace.segments += segments.add(trace.text(), trace.name, self._context(trace), prior)

    def _is_down(self, trace: Trace) -> bool:
        """Whether the pen writes. An indeterminate trace counts if it has channel S, or all are such."""
        if trace.type() != "indeterminate":
            return trace.type() == "pendown"
        if self._contexts.resolve(trace.parts).format.tip is not None:
            return True
        return not self._any_down

    @cached_property
    def _any_down(self) -> bool:
        """Whether of some trace it is said that the pen writes."""
        return any(trace.type() == "pendown" for trace in self._by_element.values())

    def _prior(self, trace: Trace) -> int | None:
        """The segment that a trace goes on from; None if it begins a stroke."""
        element = trace.element
        continuation = (element.get("continuation") or "").strip().lower()
        reference = element.get("priorRef")
        if continuation == "begin" or (not continuation and not reference):
            return None
        if continuation not in ("", "middle", "end"):
            raise InkError(f"<trace continuation={continuation!r}>: expected begin, middle or end")
        prior = self._by_id.get((reference or "").removeprefix("#"))
        if reference is None or prior is None:
            raise InkError(
                f"trace {trace.name()}: priorRef={reference!r} is not the id of the trace that it continues"
            )
        if prior.segments:
            return prior.segments[-1]
        if prior.usable():
            raise InkError(f"trace {trace.name()}: priorRef={reference!r} names a trace that comes after it")
        return None  # the pen came from above the paper

    def _context(self, trace: Trace) -> Context:
        context = self._contexts.resolve(trace.parts)
        if not self._definitions or trace.parts != _NO_CONTEXT:
            return context
        # A tool that defines one context and forgets to refer to it: the default one has but two channels.
        width = len(trace.text().lstrip(" \t\r\n,").partition(",")[0].split())
        if width <= 2 or (only := self._only_context) is None or only.format.regular != width:
            return context
        return only

    @cached_property
    def _only_context(self) -> Context | None:
        """The context, or else the trace format, in the definitions, if there is just one."""
        for name in ("context", "traceFormat"):
            found = [
                element
                for definitions in self._root.iter("{*}definitions")
                for element in definitions.iter("{*}" + name)
            ]
            if len(found) == 1:
                parts = self._contexts.parts(found[0]) if name == "context" else Parts(format=found[0])
                return self._contexts.resolve(parts)
        return None

    def _find(self, reference: str, by: str) -> etree._Element | None:
        """The element with an id. Raises InkError if it is in another document."""
        document, _, id = reference.rpartition("#")
        if document or "/" in reference:
            raise InkError(
                f"{by} refers to another document ({reference!r}): copy what it needs into this one"
            )
        if self._ids is None:
            self._ids = {}
            for element in self._root.iter("*"):
                if id_of(element):
                    self._ids.setdefault(id_of(element), element)
        return self._ids.get(id)

    def _leaves(
        self, element: etree._Element, start: Path = (), end: Path = (), depth: int = 0
    ) -> list[Leaf]:
        """The traces in a trace, group or view, from one place in it to another."""
        self._count(1 + len(element))
        if depth > _MAX_CHAIN:
            raise InkError("traceDataRef: views refer to each other in a circle, or are nested too deep")
        name = local_name(element)
        if name == "trace":
            trace = self._by_element.get(element)
            if trace is None:
                raise InkError(
                    f"traceDataRef: trace {id_of(element)!r} is in an element that has no traces: move it out"
                )
            return self._part(trace, start, end)
        if name == "traceView" and element.get("traceDataRef"):
            leaves = self._referred(element, start, end, depth)
        else:
            children = [child for child in element if local_name(child) in _DATA]
            first, last = _range(start, end, len(children), f"<{name}>")
            leaves = []
            for place, child in enumerate(children[first - 1 : last], first):
                inner = start[1:] if place == first else (), end[1:] if place == last else ()
                leaves += self._leaves(child, *inner, depth + 1)
        if name == "traceView" and "contextRef" in element.attrib:
            self._view_in(self._contexts.referred(element), leaves)
        return leaves

    def _referred(self, view: etree._Element, start: Path, end: Path, depth: int) -> list[Leaf]:
        """What a view refers to, and from and to which place in that."""
        target = self._target(view)
        if target is None:
            return []
        own = _path(view, "from"), _path(view, "to")
        if own == ((), ()):
            return self._leaves(target, start, end, depth + 1)
        leaves = self._leaves(target, *own, depth + 1)
        if (start, end) == ((), ()):
            return leaves
        if len(leaves) != 1:
            raise InkError("<traceView>: from and to of a view that itself has from or to are not supported")
        trace, first, last = leaves[0]
        inner_first, inner_last = _range(start, end, last - first + 1, "<traceView>")
        return [(trace, first + inner_first - 1, first + inner_last - 1)]

    def _target(self, view: etree._Element) -> etree._Element | None:
        """The element that a view refers to; None if it is not there, as in files of CROHME."""
        reference = view.get("traceDataRef") or ""
        if trace := self._by_id.get(reference.removeprefix("#")):
            return trace.element
        target = self._find(reference, "<traceView traceDataRef>")
        return target if target is not None and local_name(target) in _DATA else None

    def _part(self, trace: Trace, start: Path, end: Path) -> list[Leaf]:
        if not trace.usable():
            return []
        if len(start) > 1 or len(end) > 1:
            raise InkError(
                "<traceView>: from or to has more numbers than there are levels in what it refers to"
            )
        return [(trace, *_range(start, end, trace.points(), f"<trace> {trace.name()}"))]

    def _view_in(self, parts: Parts, leaves: list[Leaf]) -> None:
        """Lets traces be seen in a view's context, if they have none of their own."""
        for trace, _, _ in leaves:
            if trace.defined and trace.parts == _NO_CONTEXT:
                trace.parts = parts
            elif self._contexts.resolve(trace.parts) != self._contexts.resolve(parts):
                raise InkError(
                    f"<traceView contextRef>: trace {trace.name()} has another context of its own, which "
                    "says otherwise where its points lie: remove one"
                )

    def _count(self, elements: int) -> None:
        self._viewed += elements
        if self._viewed > _MAX_VIEWED:
            raise InkError(f"trace groups and views refer to more than {_MAX_VIEWED} elements")


def _range(start: Path, end: Path, count: int, what: str) -> tuple[int, int]:
    """The first and the last place, both from 1, that `from` and `to` say."""
    first, last = (start or (1,))[0], (end or (count,))[0]
    if start + end and not 1 <= first <= last <= count:
        raise InkError(f"<traceView>: from={first} to={last} is no range of {what}, which has {count}")
    return first, last


def _path(view: etree._Element, attribute: str) -> Path:
    text = view.get(attribute)
    if text is None:
        return ()
    try:
        return tuple(int(number) for number in text.split(":"))
    except ValueError:
        raise InkError(
            f"<traceView {attribute}={text[:40]!r}>: expected numbers with colons between them"
        ) from None
