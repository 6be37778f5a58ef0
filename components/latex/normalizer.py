r"""Normalize labels to one spelling: MathWriting's.

`\frac 12 x_1 ^2` and `\dfrac{1}{2} {x}^{2}_{1}` are written alike, so they are labelled alike. A label is cut
into lexemes (`lexer`, where other spellings are replaced by the tables of `commands`), parsed by recursive
descent into atoms (nucleus, subscript and superscript: Knuth, The TeXbook, chapter 17), and the atoms are
printed. docs/labels.md lists the conventions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate

from components.latex.commands import (
    ACCENTS,
    ANGLES,
    DISCARDED,
    ENCLOSING,
    ENVIRONMENTS,
    FUNCTIONS,
    INFIX,
    INFIX_DELIMITED,
    KEEP_LAST_ROW_END,
    LINES,
    NEGATED,
    OPTIONAL,
    PAIRS,
    ROW_COMMANDS,
    SIZES,
    STRETCHED,
    SYMBOLS,
    UNDER,
)
from components.latex.errors import LabelError
from components.latex.lexer import check_length
from components.latex.lexer import lexemes as _lexemes
from components.latex.refusals import reason_for_command, reason_for_environment
from components.latex.tokenizer import detokenize

__all__ = ["FUNCTION", "MAX_DEPTH", "LabelError", "Tokens", "normalize", "with_functions"]

Tokens = tuple[str, ...]

MAX_DEPTH = 60  # how deep braces, scripts, fractions … may be nested

_MAX_REBRACED = 100  # lexemes; it takes quadratic time
FUNCTION = re.compile("|".join(sorted((name[1:] for name in FUNCTIONS), key=len, reverse=True)))
_END = ""  # the lexeme after the last
_ROW_END = "\\\\"
_CLOSING = (_END, "}", r"\right", "&", _ROW_END)
_NOT = (r"\not",)
_SCRIPTS = ("_", "^", "'")
# What takes an argument; in braces of its own ({\mathbb}{R}) some converters write it.
_TAKES_ARGUMENT = ACCENTS | PAIRS | OPTIONAL | {r"\mathbb"}


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
    r"""Return the canonical LaTeX of a label: `$x^2 \leq \left(\frac12\right)$` → `x^{2}\le(\frac{1}{2})`.

    `normalize(normalize(x)) == normalize(x)`. A `$` marks mathematics and is dropped wherever it stands (a
    written dollar is `\$`). Braces are forgiven where only one reading is possible: one `}` too many, and
    a command in braces of its own, `{\mathbb}{R}`.

    Raises LabelError where LaTeX would refuse the label (braces that do not match, a missing argument, two
    superscripts at one symbol), where a command or character is not known, and where nothing is left.
    """
    lexemes = list(_lexemes(label))
    try:
        return _canonical(lexemes)
    except LabelError:
        latex = _unwrapped(lexemes) or _rebraced(lexemes)
        if latex is None:
            raise
        return latex


def with_functions(tokens: Sequence[str]) -> Tokens:
    r"""Merge function names into one token (`s i n x` → `\sin x`), as papers on CROHME count tokens.

    A name counts wherever its letters stand among letters, the longest first. That is for metrics; to show
    a formula to people, use `function_names.name_functions`.
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
        raise LabelError("the label is empty: nothing in it is drawn", "empty")
    check_length(latex)
    # The result may be nested deeper than the label: {a\over b} becomes a \frac with two groups.
    if latex.count("{") + latex.count("[") > MAX_DEPTH // 2:
        _Parser(list(_lexemes(latex))).formula()
    return latex


def _unwrapped(lexemes: list[str]) -> str | None:
    r"""The formula without the braces round single commands, `{\mathbb}{R}` and `{\left(}`, if any."""
    result: list[str] = []
    at = 0
    while at < len(lexemes):
        command = lexemes[at + 1] if lexemes[at] == "{" and at + 3 < len(lexemes) else ""
        if command in _TAKES_ARGUMENT and lexemes[at + 2 : at + 4] == ["}", "{"]:
            result.append(command)
            at += 3
        elif command in (r"\left", r"\right") and lexemes[at + 3] == "}":
            result += [command, lexemes[at + 2]]
            at += 4
        else:
            result.append(lexemes[at])
            at += 1
    if len(result) < len(lexemes):
        with suppress(LabelError):
            return _canonical(result)
    return None


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


class _Parser:
    """Recursive descent over lexemes. Each method reads what it is named after and leaves the rest."""

    def __init__(self, lexemes: list[str]) -> None:
        self._lexemes = lexemes
        self._at = 0
        self._depth = 0

    def formula(self) -> list[Atom]:
        atoms = self._atoms()
        if atoms:
            self._skip_row_ends(_END)
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
        if found == lexeme:
            return
        message = f"{found or 'the end'} stands where {lexeme or 'the end'} is expected: "
        if found in ("&", _ROW_END):
            hint = r"put rows between \begin{aligned} and \end{aligned}; an ampersand is \&"
            raise LabelError(message + hint, "rows", found)
        hint = f"delete {found}, or add what it closes" if found else f"add {lexeme}"
        raise LabelError(message + hint, "braces", found or lexeme)

    def _skip_row_ends(self, closing: str) -> None:
        """Skips ends of rows that nothing follows: outside an environment they draw nothing."""
        at = self._at
        while at < len(self._lexemes) and self._lexemes[at] == _ROW_END:
            at += 1
        if closing == (self._lexemes[at] if at < len(self._lexemes) else _END):
            self._at = at

    def _closes(self) -> bool:
        return self._next in _CLOSING or self._next.startswith(r"\end{")

    def _atoms(self, end: str = _END) -> list[Atom]:
        r"""Atoms up to `end` or whatever else closes a list; this is the scope of `\over`."""
        atoms: list[Atom] = []
        above: list[Atom] | None = None
        infix = ""
        around: tuple[list[Atom], list[Atom]] = ([], [])
        while not self._closes() and self._next != end:
            if self._next not in INFIX and self._next not in INFIX_DELIMITED:
                _join(atoms, self._scripted())
            elif above is None:
                infix, above, atoms = self._take(), atoms, []
                if infix in INFIX_DELIMITED:
                    around = self._delimiter(infix), self._delimiter(infix)
            else:
                raise LabelError(
                    f"{infix} and {self._next} in one group are ambiguous: put braces round one of them",
                    "ambiguous",
                    self._next,
                )
        if above is None:
            return atoms
        if infix in INFIX_DELIMITED:
            return _chained([around[0], _stacked(INFIX_DELIMITED[infix], above, atoms), around[1]])
        return _stacked(infix, above, atoms)

    def _scripted(self) -> list[Atom]:
        """A nucleus with its scripts."""
        atoms = [] if self._next in _SCRIPTS else self._nucleus()
        sub: list[Atom] | None = None
        sup: list[Atom] | None = None
        while self._next in _SCRIPTS:
            if self._took("_"):
                if sub is not None:
                    raise LabelError(
                        "two subscripts at one symbol: write x_{1}{}_{2} or x_{12}", "scripts", "_"
                    )
                sub = self._argument("_")
            elif sup is None:
                sup = self._superscript()
            else:
                raise LabelError(
                    "two superscripts at one symbol: write {x^{1}}^{2} or x^{12}", "scripts", "^"
                )
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
            raise LabelError(
                f"{command} lacks an argument: write it in braces after {command}", "argument", command
            )
        return self._nucleus()

    def _nucleus(self) -> list[Atom]:
        """The atoms of one group, symbol or construct. Several, or none, where braces say nothing."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise LabelError(f"nested more than {MAX_DEPTH} deep: use fewer braces", "depth")
        lexeme = self._take()
        if lexeme in SYMBOLS or (
            len(lexeme) == 1 and lexeme.isascii() and lexeme.isprintable() and lexeme != "{"
        ):
            atoms = [Atom((lexeme,))]
        elif lexeme == "{":
            atoms = self._atoms()
            self._skip_row_ends("}")
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
        if command in ENCLOSING:
            opening, closing = ENCLOSING[command]
            return _chained([_symbols(opening), self._argument(command), _symbols(closing)])
        if command in STRETCHED:
            return [self._stretched(command)]
        if command in UNDER:
            return [_pair(r"\underset", [Atom((UNDER[command],))], self._argument(command))]
        if command in ROW_COMMANDS:
            return self._rows_of_command(command)
        if command in DISCARDED:
            self._argument(command)
            return []
        return self._special(command)

    def _special(self, command: str) -> list[Atom]:
        """Commands with a syntax or layout of their own."""
        match command:
            case r"\left":
                return self._fenced()
            case r"\mathbb":
                return [_blackboard(atom) for atom in self._argument(command)]
            case r"\binom":
                return _stacked(r"\choose", self._argument(command), self._argument(command))
            case r"\ddddot":
                return [_pair(r"\overset", _symbols("...."), self._argument(command))]
            case r"\sfrac" | r"\nicefrac":
                above, below = self._argument(command), self._argument(command)
                return _chained([above, [Atom(("/",))], below])
            case r"\stackrel":
                return [self._stackrel(command)]
            case r"\buildrel":
                above = self._atoms(r"\over")
                self._expect(r"\over")
                return [_pair(r"\overset", above, self._argument(command))]
            case r"\root":
                index = self._atoms(r"\of")
                self._expect(r"\of")
                return [_rooted(r"\sqrt", index, self._argument(command))]
            case r"\genfrac":
                return self._genfrac(command)
            case r"\sideset":
                before, after = self._argument(command), self._argument(command)
                return _chained([before, self._argument(command), after])
            case r"\prescript":
                upper, lower = self._argument(command), self._argument(command)
                scripts = Atom((), _printed(lower), _printed(upper))
                return _chained([[scripts] if scripts.scripted else [], self._argument(command)])
        raise _unknown(command)

    def _root(self, command: str) -> Atom:
        index = self._optional()
        body = self._argument(command)
        # The recognition tool of some CROHME 2014 labels writes a root's index like this.
        if not index and self._took(*"ABOVE{"):
            index = self._atoms()
            self._expect("}")
        return _rooted(command, index, body)

    def _optional(self) -> list[Atom]:
        """An argument in brackets, if there is one."""
        if not self._took("["):
            return []
        atoms = self._atoms("]")
        self._expect("]")
        return atoms

    def _stackrel(self, command: str) -> Atom:
        r"""\stackrel[below]{above}{base}"""
        below = self._optional()
        stacked = _pair(r"\overset", self._argument(command), self._argument(command))
        return _pair(r"\underset", below, [stacked]) if below else stacked

    def _stretched(self, command: str) -> Atom:
        r"""A sign with something above and, in brackets, below: \xmapsto[below]{above}."""
        below, above = self._optional(), self._argument(command)
        atom = Atom((STRETCHED[command],))
        if above:
            atom = _pair(r"\overset", above, [atom])
        return _pair(r"\underset", below, [atom]) if below else atom

    def _genfrac(self, command: str) -> list[Atom]:
        r"""\genfrac{left}{right}{thickness}{style}{above}{below}"""
        left, right, thickness, _, above, below = (self._argument(command) for _ in range(6))
        size = "".join(_printed(thickness))
        stack = _stacked(r"\atop" if re.fullmatch(r"0*(?:\.0*)?[a-z]+", size) else r"\over", above, below)
        return _chained([left, stack, right])

    def _fenced(self) -> list[Atom]:
        atoms = self._delimiter(r"\left")
        _join(atoms, self._atoms())
        self._skip_row_ends(r"\right")
        self._expect(r"\right")
        _join(atoms, self._delimiter(r"\right"))
        return atoms

    def _delimiter(self, command: str) -> list[Atom]:
        """A delimiter, none for `.`."""
        if self._next.isalnum() or self._closes():
            raise LabelError(
                f"{command} lacks a delimiter: write one after it, or {command}. for none",
                "delimiter",
                command,
            )
        if self._took("."):
            return []
        if self._next in ANGLES:
            return [Atom((ANGLES[self._take()],))]
        return self._argument(command)

    def _environment(self, name: str) -> list[Atom]:
        """What stands between a \\begin that was taken and its \\end."""
        if name not in ENVIRONMENTS and name not in LINES:
            raise LabelError(reason_for_environment(name), "environment", name)
        rows = self._rows(keep_last_end=name in KEEP_LAST_ROW_END)
        self._expect(rf"\end{{{name}}}")
        return _in_environment(name, rows)

    def _rows_of_command(self, command: str) -> list[Atom]:
        r"""Rows as the argument of a command: \substack{i\\j}, \pmatrix{a&b\cr c&d}."""
        if not self._took("{"):
            raise LabelError(
                f"{command} lacks an argument: write it in braces after {command}", "argument", command
            )
        rows = self._rows()
        self._expect("}")
        return _in_environment(ROW_COMMANDS[command], rows)

    def _rows(self, keep_last_end: bool = False) -> list[list[list[Atom]]]:
        """Rows of cells, up to what closes them; without the empty row after a last row's end."""
        rows = [[self._atoms()]]
        while self._next in ("&", _ROW_END):
            if self._take() == "&":
                rows[-1].append(self._atoms())
            else:
                rows.append([self._atoms()])
        while not keep_last_end and len(rows) > 1 and rows[-1] == [[]]:
            rows.pop()
        return rows


def _join(atoms: list[Atom], more: Iterable[Atom]) -> None:
    """Appends atoms to a list, where what stands side by side may become one."""
    for atom in more:
        if atom.nucleus and not (atoms and atoms[-1].nucleus == _NOT):
            atoms.append(atom)  # by far the most; the rest takes time
        elif not atoms:
            atoms.append(atom)
        elif atoms[-1] == Atom(_NOT) and len(atom.nucleus) == 1 and atom.nucleus[0] in NEGATED:
            atoms[-1] = replace(atom, nucleus=(NEGATED[atom.nucleus[0]],))
        elif atom.nucleus:
            atoms.append(atom)
        elif atoms[-1].scripted:
            atoms.append(replace(atom, nucleus=("{", "}")))  # T^{a}{}_{b}
        else:
            atoms[-1] = replace(atom, nucleus=atoms[-1].nucleus)


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


def _rooted(command: str, index: list[Atom], body: list[Atom]) -> Atom:
    shown = _printed(index)
    if "]" in shown:
        shown = _braced(index)
    return Atom((command, *(("[", *shown, "]") if shown else ()), *_braced(body)))


def _in_environment(name: str, rows: list[list[list[Atom]]]) -> list[Atom]:
    """Rows with the brackets of their environment; a line alone stands for itself."""
    if name in LINES and len(rows) == len(rows[0]) == 1:
        return rows[0][0]
    tokens = [r"\begin{matrix}"]
    for number, row in enumerate(rows):
        tokens += [_ROW_END] if number else []
        for place, cell in enumerate(row):
            tokens += ["&"] if place else []
            tokens += _printed(cell)
    opening, closing = ENVIRONMENTS.get(name, ((), ()))
    return [*_symbols(opening), Atom((*tokens, r"\end{matrix}")), *_symbols(closing)]


def _chained(parts: Iterable[list[Atom]]) -> list[Atom]:
    """Atoms side by side; scripts with nothing to stand at join the symbol before them."""
    atoms: list[Atom] = []
    for part in parts:
        for atom in part:
            if not atom.nucleus and atoms:
                atoms = _attached(atoms, atom.sub, atom.sup)
            else:
                _join(atoms, [atom])
    return atoms


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


def _unknown(lexeme: str) -> LabelError:
    if len(lexeme) == 1:
        name = unicodedata.name(lexeme, "a control character")
        return LabelError(
            f"unknown character {lexeme!r} (U+{ord(lexeme):04X}, {name}): write the LaTeX command for it",
            "character",
            lexeme,
        )
    if lexeme == r"\right":
        return LabelError(r"\right without its beginning: add \left", "braces", lexeme)
    return LabelError(reason_for_command(lexeme), "command", lexeme)
