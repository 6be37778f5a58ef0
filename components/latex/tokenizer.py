r"""LaTeX text to tokens and back.

Tokens are those of MathWriting (Gervais et al., "MathWriting: A Dataset For Handwritten Mathematical
Expression Recognition", 2024, appendix on tokenization) without its space tokens: spaces are not written, so
the model does not learn them. `spaced` inserts them where MathWriting's metric counts them.
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
    r"""Split LaTeX into tokens, dropping white space: `\pi r^{2}` → `\pi r ^ { 2 }`.

    Raises TokenError if a backslash ends the text.
    """
    tokens = tuple(token for token in _TOKEN.findall(latex) if not token.isspace())
    # The pattern matches everything except a backslash at the end.
    if (len(latex) - len(latex.rstrip("\\"))) % 2:
        raise TokenError(f"the text ends with an incomplete command, a single backslash: {latex[-20:]!r}")
    return tokens


def detokenize(tokens: Iterable[str]) -> str:
    r"""Join tokens to LaTeX as MathWriting writes it; `tokenize` is the inverse."""
    return "".join(spaced(tokens))


def spaced(tokens: Iterable[str]) -> tuple[str, ...]:
    r"""Insert MathWriting's space tokens: after `\\`, and between a control word and a letter."""
    result: list[str] = []
    for token in tokens:
        last = result[-1] if result else ""
        if last == "\\\\" or (_WORD.fullmatch(last) and _LETTER.match(token)):
            result.append(" ")
        result.append(token)
    return tuple(result)
