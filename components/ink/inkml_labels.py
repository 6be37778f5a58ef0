"""What an InkML document says that its ink means: label and symbols, as CROHME and MathWriting write them."""

from __future__ import annotations

import re

from lxml import etree

from components.ink.ink import Symbol
from components.ink.inkml_traces import SEGMENTATION, Group, Page
from components.ink.inkml_xml import id_of, is_mathml, mathml_in, type_of

_LABELS = ("normalizedlabel", "truth", "label", "latex")  # MathWriting, CROHME, MathWriting's symbols, others
_SYMBOL = re.compile(r"\$?\s*(?:\\[A-Za-z]+|\\?[^\\\s])\s*\$?")


def label_of(page: Page) -> tuple[str | None, Group | None]:
    """The label in LaTeX, and the group that says it if not the document itself does."""
    if (label := page.document.annotation(*_LABELS)) is not None:
        return label, None
    for group in page.groups:
        label = group.annotation(*_LABELS)
        if label not in (None, SEGMENTATION) and not group.is_part and _is_all(group, page):
            return label, group
    return None, None


def mathml_of(page: Page) -> str | None:
    """The label as MathML: of the document, else of a group of all its ink."""
    if (found := _mathml(page.document)) is not None:
        return found
    found_in = ((math, group) for group in page.groups if (math := _mathml(group)) is not None)
    return next((math for math, group in found_in if _is_all(group, page)), None)


def symbols_of(page: Page, label: Group | None) -> tuple[Symbol, ...]:
    """The symbols: groups without subgroups that have a label, and strokes that are there.

    Not a group that has a part of a stroke, nor one that says the label of a formula of several symbols.
    """
    places = _places(page.document.element)
    symbols: list[tuple[int, Symbol]] = []
    for group in page.groups:
        token = group.annotation("truth", "label")
        if token is None or not group.is_leaf or (group is label and not _SYMBOL.fullmatch(token)):
            continue
        if strokes := page.strokes_of(group):
            link = next((a.get("href", "") for a in group.element.iterchildren("{*}annotationXML")), "")
            symbols.append((places.get(link.removeprefix("#"), len(places)), Symbol(token, strokes)))
    # In half of CROHME's files the order of the groups is not the label's.
    return tuple(symbol for _, symbol in sorted(symbols, key=lambda pair: pair[0]))


def _is_all(group: Group, page: Page) -> bool:
    strokes = page.strokes_of(group)
    return strokes is not None and len(strokes) == len(page.strokes)


def _mathml(group: Group) -> str | None:
    for child in group.element.iterchildren("{*}annotationXML"):
        math = mathml_in(child)
        if math is not None and type_of(child) in (*_LABELS, "mathml", ""):
            return math
    texts = (group.annotations.get(type, "") for type in _LABELS)
    return next((text for text in texts if is_mathml(text)), None)


def _places(root: etree._Element) -> dict[str, int]:
    """The order in which the formula's MathML names its symbols."""
    ids = (
        id_of(element) for child in root.iterchildren("{*}annotationXML") for element in child.iter("{*}*")
    )
    return {id: place for place, id in enumerate(dict.fromkeys(filter(None, ids)))}
