r"""LaTeX text to tokens and back.

A token is what MathWriting counts as one (Gervais et al., "MathWriting: A Dataset For Handwritten
Mathematical Expression Recognition", 2024, appendix on tokenization), but for spaces: they are not written,
so no model learns them. `spaced` puts them back where MathWriting's metric wants to count them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_TOKEN = re.compile(
    r"\\(?:mathbb\{[a-zA-Z]\}|begin\{[a-z]+\}|end\{[a-z]+\}|operatorname\*|[a-zA-Z]+|.)|[^\\]", re.DOTALL
)
_WORD = re.compile(r"\\[a-zA-Z]+")
_LETTER = re.compile(r"[a-zA-Z]")


class TokenError(ValueError):
    """The text is not a sequence of LaTeX tokens."""


def tokenize(latex: str) -> tuple[str, ...]:
    r"""Splits LaTeX into tokens; white space between them is dropped: `\pi r^{2}` → `\pi r ^ { 2 }`.

    Raises TokenError where a backslash ends the text.
    """
    tokens = tuple(token for token in _TOKEN.findall(latex) if not token.isspace())
    # The pattern matches all characters but a backslash that nothing follows.
    if (len(latex) - len(latex.rstrip("\\"))) % 2:
        raise TokenError(f"the text ends with a backslash that nothing follows: {latex[-20:]!r}")
    return tokens


def detokenize(tokens: Iterable[str]) -> str:
    r"""Joins tokens to LaTeX as MathWriting writes it; `tokenize` gives the same tokens back."""
    return "".join(spaced(tokens))


def spaced(tokens: Iterable[str]) -> tuple[str, ...]:
    r"""The tokens with MathWriting's space tokens: after `\\`, and between a control word and a letter."""
    result: list[str] = []
    for token in tokens:
        last = result[-1] if result else ""
        if last == "\\\\" or (_WORD.fullmatch(last) and _LETTER.match(token)):
            result.append(" ")
        result.append(token)
    return tuple(result)
