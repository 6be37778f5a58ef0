from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.latex.tokenizer import TokenError, detokenize, spaced, tokenize

# Sequences that LaTeX reads back as they were: `\mathbb` followed by `{`, `R`, `}` would become one token.
TOKENS = st.sampled_from(
    [
        "x",
        "Z",
        "1",
        "+",
        "{",
        "}",
        "^",
        "_",
        "&",
        r"\\",
        r"\pi",
        r"\frac",
        r"\{",
        r"\mathbb{R}",
        r"\begin{matrix}",
    ]
)


@pytest.mark.parametrize(
    ("latex", "tokens"),
    [
        (r"\pi r^{2}", [r"\pi", "r", "^", "{", "2", "}"]),
        (r"\mathbb{R}\mathbb{12}", [r"\mathbb{R}", r"\mathbb", "{", "1", "2", "}"]),
        (
            r"\begin{matrix}a&b\\ c&\}\end{matrix}",
            [r"\begin{matrix}", *"a&b", r"\\", *"c&", r"\}", r"\end{matrix}"],
        ),
        (r"\operatorname*{lim}", [r"\operatorname*", *"{lim}"]),
        ("", []),
    ],
)
def test_splits_as_mathwriting_does(latex: str, tokens: list[str]) -> None:
    assert list(tokenize(latex)) == tokens


def test_a_backslash_at_the_end_is_an_error() -> None:
    assert tokenize("a\\\\") == ("a", "\\\\")
    with pytest.raises(TokenError, match="backslash"):
        tokenize("a\\")


@given(st.lists(TOKENS))
def test_tokens_come_back_from_text(tokens: list[str]) -> None:
    assert tokenize(detokenize(tokens)) == tuple(tokens)


@given(st.text(st.sampled_from("\\{}^_& \nabR1é")))
def test_tokens_hold_everything_but_white_space(text: str) -> None:
    try:
        tokens = tokenize(text)
    except TokenError:
        return
    assert [c for c in "".join(tokens) if not c.isspace()] == [c for c in text if not c.isspace()]


def test_spaces_stand_where_mathwriting_writes_them() -> None:
    assert spaced([r"\pi", "r", r"\pi", "2", r"\\", "1"]) == (r"\pi", " ", "r", r"\pi", "2", r"\\", " ", "1")
