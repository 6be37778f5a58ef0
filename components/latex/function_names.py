r"""Function names for people: `s i n ^ { 2 } \theta` → `\sin^{2}\theta`, and back.

The model writes names letter by letter, as MathWriting's labels do, so that `sin x` and a product of four
letters are the same tokens. `name_functions` takes letters for a name where a reader would; `spell_functions`
undoes it exactly. Normalizing what `name_functions` gives yields the tokens that it was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from components.latex.commands import FUNCTIONS
from components.latex.tokenizer import detokenize


def _split(names: str) -> list[str]:
    return names.split()


# Names that LaTeX has no command for, and that are hardly ever products of letters.
_OPERATORS = _split("""
    cosec sgn tg ctg arctg arcctg arccot arcsec arccsc arcsinh arccosh arctanh arccoth arsinh arcosh
    artanh arcoth sech csch sinc lcm argmax argmin erfc codim coker colim supp
""")
# These are names only before a parenthesis, and with no letter at their sides.
_APPLIED = _split("""
    tr Tr rank rk diag Var Cov Corr Res Log Ln Arg Im Re id sign span vol card erf dist diam Hom End Aut
    Gal Ext Tor grad curl rot div vec
""")
_COMMANDS = {
    **{name[1:]: name for name in FUNCTIONS - {r"\mod"}},
    "mod": r"\bmod",
    **{name: rf"\operatorname{{{name}}}" for name in (*_OPERATORS, *_APPLIED)},
}
_LETTERS = {command: tuple(name) for name, command in _COMMANDS.items()}
_NAME = re.compile(
    "|".join(
        # Prob, Proof and Prec begin with no name.
        name + ("(?![a-z])" if name == "Pr" else "")
        for name in sorted(_COMMANDS, key=lambda name: (-len(name), name))
        if name not in _APPLIED
    )
)

# Words of labels that have a name in them and are short enough to be taken for a product with one. Labels
# have no spaces: a word may stand anywhere among letters.
_WORD = re.compile(
    "|".join(
        _split("""
            admin analog argue causing charge climb closing coset cosine cousin degree delimit detail
            deter determin distance expand expect expert homeo homol homog infer info inform instance
            isinert kernel large limit logic login losing margin marker maxima minima minor minus
            missing mode modul modern passing raising remind second sector since single sink supper
            supply support suppose tangent target using whom worker
        """)
    )
)
_AROUND = 3  # letters at a name's side, at most: more of them are a word
_DIFFERENTIAL = re.compile("d[a-z]$")  # \sin nxdx is no word
_TO = {r"\rightarrow": r"\to"}
_LIMITS = (r"\lim", r"\limsup", r"\liminf")


@dataclass(frozen=True)
class NamedFormula:
    """Tokens with function names, and where each comes from."""

    tokens: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]  # of each token: first and one past the last of the tokens it replaces

    @property
    def latex(self) -> str:
        """The formula as text."""
        return detokenize(self.tokens)

    @cached_property
    def positions(self) -> tuple[int, ...]:
        """For each token that was given, the place of the token that stands for it now."""
        return tuple(place for place, (start, end) in enumerate(self.spans) for _ in range(start, end))


def name_functions(tokens: Sequence[str]) -> NamedFormula:
    r"""Replace letters by function names in the tokens of a normalized label.

    A name stands among at most three letters on each side that are no name, as in `2 a s i n x d x`; a longer
    run of letters is a word (`m i n i m u m`). In the limits of `\lim`, `\rightarrow` becomes `\to`.
    """
    named: list[str] = []
    spans: list[tuple[int, int]] = []
    at = 0
    for start, end, command in _names(tokens):
        named += [*tokens[at:start], command]
        spans += [*((place, place + 1) for place in range(at, start)), (start, end)]
        at = end
    named += tokens[at:]
    spans += ((place, place + 1) for place in range(at, len(tokens)))
    return NamedFormula(tuple(_approached(named)), tuple(spans))


def spell_functions(tokens: Sequence[str]) -> tuple[str, ...]:
    """Spell function names letter by letter: the inverse of `name_functions`."""
    spelt: list[str] = []
    for token in tokens:
        spelt += _LETTERS.get(token, (r"\rightarrow",) if token == r"\to" else (token,))
    return tuple(spelt)


def _names(tokens: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Where names are: first letter, one past the last, command."""
    for start, end in _runs(tokens):
        letters = "".join(tokens[start:end])
        if letters in _APPLIED:
            if end < len(tokens) and tokens[end] == "(":
                yield start, end, _COMMANDS[letters]
        elif not _is_word(letters):
            for match in _NAME.finditer(letters):
                yield start + match.start(), start + match.end(), _COMMANDS[match[0]]


def _is_word(letters: str) -> bool:
    """Whether letters with names among them are a word rather than a product."""
    return bool(_WORD.search(letters)) or any(
        len(part) > _AROUND for part in _NAME.split(_DIFFERENTIAL.sub("", letters))
    )


def _runs(tokens: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where letters stand side by side."""
    start = 0
    for place in range(len(tokens) + 1):
        letter = place < len(tokens) and len(tokens[place]) == 1 and tokens[place].isalpha()
        if not letter:
            if start < place:
                yield start, place
            start = place + 1


def _approached(tokens: Sequence[str]) -> Iterator[str]:
    r"""The tokens with `\to` for arrows in the subscripts of limits."""
    depth = 0  # of braces, within such a subscript
    for place, token in enumerate(tokens):
        if depth or (
            token == "{" and place > 1 and tokens[place - 1] == "_" and tokens[place - 2] in _LIMITS
        ):
            depth += (token == "{") - (token == "}")
            yield _TO.get(token, token)
        else:
            yield token
