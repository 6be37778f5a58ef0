"""Convert LaTeX to MathML whose elements name the tokens that they stand for."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from functools import lru_cache
from xml.etree.ElementTree import Element, tostring
from xml.sax.saxutils import unescape

from latex2mathml.converter import convert_to_element

from components.latex.commands import ACCENTS
from components.latex.structure import written

# Elements with ink of their own: a fraction bar, a root sign.
_SIGNS = {"mfrac": r"\frac", "msqrt": r"\sqrt", "mroot": r"\sqrt"}
# Their first child comes last in LaTeX: a root's body after its index, the base of an accent.
_TURNED = ("mroot", "mover", "munder")


def mathml(formula: str, tokens: Sequence[str] = ()) -> str | None:
    """Convert a formula to MathML; None if it can't be converted.

    Where its tokens are given, each element with ink has in `data-tokens` the places of its tokens; no
    element has, where it is not sure which are whose.
    """
    try:
        made: Element = convert_to_element(formula)
        for element, places in _aligned(made, tokens):
            element.set("data-tokens", " ".join(map(str, places)))
    except Exception:  # the library raises various errors for unbalanced LaTeX
        return None
    return unescape(tostring(made, encoding="unicode"))  # the library escapes on its own


def _aligned(math: Element, tokens: Sequence[str]) -> list[tuple[Element, list[int]]]:
    """Pair the elements with ink with their tokens' places; empty unless all match."""
    if _superscript_first(tokens):  # the library swaps the scripts
        return []
    result: list[tuple[Element, list[int]]] = []
    waiting = written(tokens)[::-1]
    for element in _as_written(math):
        wanted = _SIGNS.get(element.tag) or html.unescape(element.text or "")
        text, places = "", list[int]()
        while waiting and text != wanted:
            places.append(waiting.pop())
            text += _alone(tokens[places[-1]])
        if text != wanted:
            return []
        result.append((element, places))
    return [] if waiting else result


def _as_written(element: Element) -> Iterator[Element]:
    """The elements with ink, in LaTeX order."""
    if element.tag in _SIGNS or (element.text and not len(element)):
        yield element
    for child in reversed(element) if element.tag in _TURNED else element:
        yield from _as_written(child)


@lru_cache(4096)
def _alone(token: str) -> str:
    """The text of the element for this token alone; the token itself if it can't stand alone."""
    try:
        made = convert_to_element(token + "{}" if token in ACCENTS else token)
    except Exception:  # the library raises various errors
        return token
    return html.unescape("".join(element.text or "" for element in made.iter())) or token


def _superscript_first(tokens: Sequence[str]) -> bool:
    """Whether some `_` follows the `^` that has the same base."""
    opened: list[str] = []
    before = [""]  # the token that a script or group belongs to
    for place, token in enumerate(tokens):
        if token == "_" and before[-1] == "^":
            return True
        if token == "{":
            opened.append(tokens[place - 1] if place else "")
        before.append(opened.pop() if token == "}" and opened else tokens[place - 1] if place else "")
    return False
