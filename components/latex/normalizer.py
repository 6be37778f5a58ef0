r"""One spelling for each formula: MathWriting's.

`\frac 12 x_1 ^2` and `\dfrac{1}{2} {x}^{2}_{1}` are written alike, so they are labelled alike. A label is cut
into lexemes (other spellings are replaced, by the tables of `commands`), parsed by recursive descent into
atoms (nucleus, subscript and superscript: Knuth, The TeXbook, chapter 17), and the atoms are printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate

from components.latex.commands import (
    ACCENTS,
    ANGLES,
    DISCARDED,
    ENVIRONMENTS,
    FUNCTIONS,
    INFIX,
    INVISIBLE,
    NEGATED,
    OPTIONAL,
    PAIRS,
    SIZES,
    SPELLINGS,
    SYMBOLS,
)
from components.latex.tokenizer import detokenize

Tokens = tuple[str, ...]

MAX_DEPTH = 60  # how deep braces, scripts, fractions … may be nested

_MAX_REBRACED = 200  # lexemes; it takes quadratic time
_LENGTH = r"-?[\d.]+\s*(?:pt|em|ex|mm|cm|in|mu|bp)"
_LEXEME = re.compile(
    rf"(?P<row>\\\\\[{_LENGTH}\])"  # a row's end with extra space
    rf"|(?P<space>\s+|\\\s|\\(?:m?kern|[mh]skip)\s*{_LENGTH})"
    r"|\\(?P<edge>begin|end)\s*\{\s*(?P<environment>[a-zA-Z]+)\*?\s*\}"
    r"|(?P<starred>\\(?:operatorname|[hv]space))\*"
    r"|(?P<other>\\[a-zA-Z]+|\\.|[^\\])"
)
_SPELLING = re.compile(r"\\[a-zA-Z]+|\\.|[^\\]")
FUNCTION = re.compile("|".join(sorted((name[1:] for name in FUNCTIONS), key=len, reverse=True)))
_END = ""  # the lexeme after the last
_CLOSING = (_END, "}", r"\right", "&", "\\\\")
_SCRIPTS = ("_", "^", "'")


class LabelError(ValueError):
    """A label that is no formula; the message says why."""


@dataclass(frozen=True)
class Atom:
    """A symbol or a construct, and what is written at its lower and upper right."""

    nucleus: Tokens
    sub: Tokens = ()
    sup: Tokens = ()

    @property
    def scripted(self) -> bool:
        return bool(self.sub or self.sup)


def normalize(label: str) -> str:
    r"""The canonical LaTeX of a label: `$x^2 \leq \left(\frac12\right)$` → `x^{2}\le(\frac{1}{2})`.

    `normalize(normalize(x)) == normalize(x)`. A `$` marks mathematics and is dropped wherever it stands (a
    written dollar is `\$`). One `}` too many is forgiven where its lost `{` makes no difference.

    Raises LabelError where LaTeX would refuse the label (braces that do not match, a missing argument, two
    superscripts at one symbol), where a command or character is not known, and where nothing is left.
    """
    lexemes = list(_lexemes(label))
    try:
        return _canonical(lexemes)
    except LabelError:
        latex = _rebraced(lexemes)
        if latex is None:
            raise
        return latex


def with_functions(tokens: Sequence[str]) -> Tokens:
    r"""Function names as one token (`s i n x` → `\sin x`), as the papers on CROHME count them.

    A name is taken where it stands among letters, the longest first, whatever was meant by them.
    """
    # One character a token, so that a position in the text is one in the tokens.
    text = "".join(token if len(token) == 1 else "\\" for token in tokens)
    result: list[str] = []
    at = 0
    for match in FUNCTION.finditer(text):
        result += [*tokens[at : match.start()], "\\" + match[0]]
        at = match.end()
    return (*result, *tokens[at:])


def _canonical(lexemes: list[str]) -> str:
    latex = detokenize(_printed(_Parser(lexemes).formula()))
    if not latex:
        raise LabelError("the label is empty")
    return latex


def _rebraced(lexemes: list[str]) -> str | None:
    """The formula of lexemes with one `}` too many, if it is the same wherever its `{` is put."""
    depths = list(accumulate((lexeme == "{") - (lexeme == "}") for lexeme in lexemes))
    if not depths or depths[-1] != -1 or len(lexemes) > _MAX_REBRACED:
        return None
    formulas = set()
    for at in range(depths.index(-1) + 1):
        with suppress(LabelError):
            formulas.add(_canonical([*lexemes[:at], "{", *lexemes[at:]]))
    return formulas.pop() if len(formulas) == 1 else None


def _lexemes(label: str) -> Iterator[str]:
    r"""Cuts a label into characters, commands and `\begin{…}`; respells them, drops what is not drawn."""
    at = 0
    while at < len(label):
        match = _LEXEME.match(label, at)
        if match is None:
            raise LabelError("a backslash with nothing after it ends the label")
        at = match.end()
        if match["edge"]:
            yield f"\\{match['edge']}{{{match['environment']}}}"
        elif match["row"]:
            yield "\\\\"
        elif not match["space"]:
            yield from _spelt(match["starred"] or match["other"])


def _spelt(lexeme: str) -> Iterator[str]:
    if lexeme in SPELLINGS:
        yield from _SPELLING.findall(SPELLINGS[lexeme])
    elif lexeme in INVISIBLE:
        return
    elif lexeme[:3] in (r"\lt", r"\gt") and lexeme not in SYMBOLS:
        yield from (SPELLINGS[lexeme[:3]], *lexeme[3:])  # \gtM: `\gt M` that lost its space
    else:
        yield lexeme


class _Parser:
    """Recursive descent over lexemes. Each method reads what it is named after and leaves the rest."""

    def __init__(self, lexemes: list[str]) -> None:
        self._lexemes = lexemes
        self._at = 0
        self._depth = 0

    def formula(self) -> list[Atom]:
        atoms = self._atoms()
        self._expect(_END)
        return atoms

    @property
    def _next(self) -> str:
        return self._lexemes[self._at] if self._at < len(self._lexemes) else _END

    def _take(self) -> str:
        lexeme = self._next
        self._at += 1
        return lexeme

    def _took(self, *lexemes: str) -> bool:
        """Takes these lexemes if they come next, all or none."""
        if tuple(self._lexemes[self._at : self._at + len(lexemes)]) != lexemes:
            return False
        self._at += len(lexemes)
        return True

    def _expect(self, lexeme: str) -> None:
        found = self._take()
        if found != lexeme:
            raise LabelError(f"{found or 'the end'} stands where {lexeme or 'the end'} is expected")

    def _closes(self) -> bool:
        return self._next in _CLOSING or self._next.startswith(r"\end{")

    def _atoms(self, end: str = _END) -> list[Atom]:
        r"""Atoms up to `end` or whatever else closes a list; this is the scope of `\over`."""
        atoms: list[Atom] = []
        above: list[Atom] | None = None
        infix = ""
        while not self._closes() and self._next != end:
            if self._next not in INFIX:
                _join(atoms, self._scripted())
            elif above is None:
                infix, above, atoms = self._take(), atoms, []
            else:
                raise LabelError(f"{infix} and {self._next} in one group are ambiguous")
        return atoms if above is None else _stacked(infix, above, atoms)

    def _scripted(self) -> list[Atom]:
        """A nucleus with its scripts."""
        atoms = [] if self._next in _SCRIPTS else self._nucleus()
        sub: list[Atom] | None = None
        sup: list[Atom] | None = None
        while self._next in _SCRIPTS:
            if self._took("_"):
                if sub is not None:
                    raise LabelError("two subscripts at one symbol")
                sub = self._argument("_")
            elif sup is None:
                sup = self._superscript()
            else:
                raise LabelError("two superscripts at one symbol")
        return _attached(atoms, _printed(sub or ()), _printed(sup or ()))

    def _superscript(self) -> list[Atom]:
        """Primes, or what follows `^`, or both."""
        atoms: list[Atom] = []
        while self._took("'") or self._took("^", "'"):
            atoms.append(Atom((r"\prime",)))
        if self._took("^"):
            argument = self._argument("^")
            # `^{'}` means a prime, not a prime's prime.
            raised = len(argument) == 1 and not argument[0].nucleus and not argument[0].sub
            _join(atoms, [Atom(argument[0].sup)] if raised else argument)
        return atoms

    def _argument(self, command: str) -> list[Atom]:
        """One argument: a group, or a single nucleus."""
        if self._closes() or self._next in _SCRIPTS or self._next in INFIX:
            raise LabelError(f"{command} lacks an argument")
        return self._nucleus()

    def _nucleus(self) -> list[Atom]:
        """The atoms of one group, symbol or construct. Several, or none, where braces say nothing."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise LabelError(f"nested more than {MAX_DEPTH} deep")
        lexeme = self._take()
        if lexeme in SYMBOLS or (
            len(lexeme) == 1 and lexeme.isascii() and lexeme.isprintable() and lexeme != "{"
        ):
            atoms = [Atom((lexeme,))]
        elif lexeme == "{":
            atoms = self._atoms()
            self._expect("}")
        elif lexeme.startswith(r"\begin{"):
            atoms = self._environment(lexeme[len(r"\begin{") : -1])
        else:
            atoms = self._construct(lexeme)
        self._depth -= 1
        return atoms

    def _construct(self, command: str) -> list[Atom]:
        """What a command makes of its arguments."""
        if command in ACCENTS:
            return [Atom((command, *_braced(self._argument(command))))]
        if command in PAIRS:
            return [_pair(command, self._argument(command), self._argument(command))]
        if command in OPTIONAL:
            return [self._root(command)]
        if command in SIZES:
            return self._delimiter(command)
        if command == r"\left":
            return self._fenced()
        if command == r"\mathbb":
            return [_blackboard(atom) for atom in self._argument(command)]
        if command == r"\binom":
            return _stacked(r"\choose", self._argument(command), self._argument(command))
        if command == r"\pmod":
            return [*_symbols("(mod"), *self._argument(command), *_symbols(")")]
        if command == r"\substack":
            self._expect("{")
            stack = self._matrix()
            self._expect("}")
            return [stack]
        if command in DISCARDED:
            self._argument(command)
            return []
        raise LabelError(_unknown(command))

    def _root(self, command: str) -> Atom:
        index: list[Atom] = []
        if self._took("["):
            index = self._atoms("]")
            self._expect("]")
        body = self._argument(command)
        # The recognition tool of some CROHME 2014 labels writes a root's index like this.
        if not index and self._took(*"ABOVE{"):
            index = self._atoms()
            self._expect("}")
        shown = _printed(index)
        if "]" in shown:
            shown = _braced(index)
        return Atom((command, *(("[", *shown, "]") if shown else ()), *_braced(body)))

    def _fenced(self) -> list[Atom]:
        atoms = self._delimiter(r"\left")
        _join(atoms, self._atoms())
        self._expect(r"\right")
        _join(atoms, self._delimiter(r"\right"))
        return atoms

    def _delimiter(self, command: str) -> list[Atom]:
        """A delimiter, none for `.`."""
        if self._next.isalnum() or self._closes():
            raise LabelError(f"{command} lacks a delimiter")
        if self._took("."):
            return []
        if self._next in ANGLES:
            return [Atom((ANGLES[self._take()],))]
        return self._argument(command)

    def _environment(self, name: str) -> list[Atom]:
        if name not in ENVIRONMENTS:
            raise LabelError(f"unknown environment {name}")
        if name == "array":
            if self._took("["):  # vertical position
                self._atoms("]")
                self._expect("]")
            self._argument("array")  # columns
        opening, closing = ENVIRONMENTS[name]
        matrix = self._matrix()
        self._expect(rf"\end{{{name}}}")
        return [*_symbols(opening), matrix, *_symbols(closing)]

    def _matrix(self) -> Atom:
        """Rows of cells, up to what closes them."""
        tokens = [r"\begin{matrix}", *_printed(self._atoms())]
        while self._next in ("&", "\\\\"):
            tokens += [self._take(), *_printed(self._atoms())]
        return Atom((*tokens, r"\end{matrix}"))


def _join(atoms: list[Atom], more: Iterable[Atom]) -> None:
    """Appends atoms to a list, where what stands side by side may become one."""
    for atom in more:
        last = atoms[-1] if atoms else None
        if last == Atom((r"\not",)) and len(atom.nucleus) == 1 and atom.nucleus[0] in NEGATED:
            atoms[-1] = replace(atom, nucleus=(NEGATED[atom.nucleus[0]],))
        elif atom.nucleus or last is None:
            atoms.append(atom)
        elif last.scripted:
            atoms.append(replace(atom, nucleus=("{", "}")))  # T^{a}{}_{b}
        else:
            atoms[-1] = replace(atom, nucleus=last.nucleus)


def _attached(atoms: list[Atom], sub: Tokens, sup: Tokens) -> list[Atom]:
    """The atoms of a nucleus with scripts, which the last of them takes if it has room."""
    if not (sub or sup):
        return atoms
    if not atoms:
        return [Atom((), sub, sup)]
    *rest, last = atoms
    if (sub and last.sub) or (sup and last.sup):
        if last.nucleus == ("{", "}"):  # which it needs only beside the scripts before it
            last = replace(last, nucleus=())
        return [*rest, Atom(_braced([last]), sub, sup)]  # {y^{*}}^{2}
    return [*rest, replace(last, sub=sub or last.sub, sup=sup or last.sup)]


def _pair(command: str, first: list[Atom], second: list[Atom]) -> Atom:
    if command == r"\frac" and not (first or second):
        return Atom(("-",))  # all that is seen of it
    return Atom((command, *_braced(first), *_braced(second)))


def _stacked(infix: str, above: list[Atom], below: list[Atom]) -> list[Atom]:
    brackets = INFIX[infix]
    if brackets is None:
        return [_pair(r"\frac", above, below)]
    stack = Atom((r"\begin{matrix}", *_printed(above), "\\\\", *_printed(below), r"\end{matrix}"))
    return [*_symbols(brackets[0]), stack, *_symbols(brackets[1])]


def _blackboard(atom: Atom) -> Atom:
    letter = "".join(atom.nucleus)
    return (
        replace(atom, nucleus=(rf"\mathbb{{{letter}}}",)) if len(letter) == 1 and letter.isalpha() else atom
    )


def _symbols(tokens: Iterable[str]) -> list[Atom]:
    return [Atom((token,)) for token in tokens]


def _braced(atoms: Iterable[Atom]) -> Tokens:
    return ("{", *_printed(atoms), "}")


def _printed(atoms: Iterable[Atom]) -> Tokens:
    """Tokens of atoms: a nucleus, then its subscript, then its superscript."""
    tokens: list[str] = []
    for atom in atoms:
        tokens += atom.nucleus
        for mark, script in (("_", atom.sub), ("^", atom.sup)):
            if script:
                tokens += (mark, "{", *script, "}")
    return tuple(tokens)


def _unknown(lexeme: str) -> str:
    if len(lexeme) == 1:
        return f"unknown character {lexeme!r} (U+{ord(lexeme):04X})"
    return f"{lexeme} without its beginning" if lexeme == r"\right" else f"unknown command {lexeme}"
