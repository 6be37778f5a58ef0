"""What an InkML document says that its ink means: label, writer, symbols (as CROHME and MathWriting write them)."""

from __future__ import annotations

from lxml import etree

from components.ink.ink import Symbol
from components.ink.inkml_traces import Page
from components.ink.inkml_xml import id_of, local_name, text_of

_LABELS = ("normalizedLabel", "truth", "label")  # MathWriting, CROHME, MathWriting's single symbols
_SEGMENTATION = "Segmentation"  # what CROHME calls the group of a formula's symbols
_GROUPS = ("{*}traceGroup", "{*}traceView")


def label_of(root: etree._Element, page: Page) -> tuple[str | None, etree._Element | None]:
    """The label in LaTeX, and the group that says it if not the document itself does."""
    if (label := annotation(root, *_LABELS)) is not None:
        return label, None
    for group in _groups(root):
        label = annotation(group, *_LABELS)
        if label not in (None, _SEGMENTATION) and _is_all(group, page):
            return label, group
    return None, None


def mathml_of(root: etree._Element, page: Page) -> str | None:
    """The label as MathML: of the document, else of a group of all its ink."""
    if (found := _mathml(root)) is not None:
        return found
    return next((math for group in _groups(root) if (math := _mathml(group)) and _is_all(group, page)), None)


def symbols_of(root: etree._Element, page: Page, label: etree._Element | None) -> tuple[Symbol, ...]:
    """The symbols: groups without subgroups that have a label, and strokes that are there.

    Not a group that has a part of a stroke, nor the one that says the formula's label.
    """
    places = _places(root)
    symbols: list[tuple[int, Symbol]] = []
    for group in _groups(root):
        token = annotation(group, "truth", "label")
        if token is None or group is label or _has_groups(group):
            continue
        if strokes := page.strokes_of(group):
            link = next((a.get("href", "") for a in group.iterchildren("{*}annotationXML")), "")
            symbols.append((places.get(link.removeprefix("#"), len(places)), Symbol(token, strokes)))
    # In half of CROHME's files the order of the groups is not the label's.
    return tuple(symbol for _, symbol in sorted(symbols, key=lambda pair: pair[0]))


def annotation(element: etree._Element, *types: str) -> str | None:
    """The text of the element's own annotation of the first of these types that it has."""
    found: dict[str | None, str] = {}
    for child in element.iterchildren("{*}annotation"):
        found.setdefault(child.get("type"), text_of(child).strip())
    return next((found[type] for type in types if found.get(type)), None)


def _groups(root: etree._Element) -> list[etree._Element]:
    """Trace groups, and views that have something in them, in document order."""
    return [group for group in root.iter(*_GROUPS) if len(group)]


def _has_groups(group: etree._Element) -> bool:
    return any(len(child) or local_name(child) == "traceGroup" for child in group.iterchildren(*_GROUPS))


def _is_all(group: etree._Element, page: Page) -> bool:
    strokes = page.strokes_of(group)
    return strokes is not None and len(strokes) == len(page.strokes)


def _mathml(element: etree._Element) -> str | None:
    for child in element.iterchildren("{*}annotationXML"):
        math = next(child.iter("{*}math"), None)
        if math is not None and len(math) and child.get("type", "truth") in _LABELS:
            return etree.tostring(math, encoding="unicode", with_tail=False)
    return None


def _places(root: etree._Element) -> dict[str, int]:
    """The order in which the formula's MathML names its symbols."""
    ids = (
        id_of(element) for child in root.iterchildren("{*}annotationXML") for element in child.iter("{*}*")
    )
    return {id: place for place, id in enumerate(dict.fromkeys(filter(None, ids)))}
