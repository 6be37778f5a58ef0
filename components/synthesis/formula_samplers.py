# ruff: noqa: E501 (tables)
r"""Formulas aimed at what recognizers read wrong: each sampler makes one kind, as LaTeX text.

`SAMPLERS` is the table: what it aims at, how often, and the function. Everything is built of `Source`, which
knows the symbols that can be written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from components.latex.commands import ACCENTS, LARGE

_SMALL, _DIGITS = "abcdefghijklmnopqrstuvwxyz", "0123456789"
_CAPITALS = _SMALL.upper()
_COMMON = "xyzabcnmkijtpqrsuvfgh"


def _words(names: str) -> list[str]:
    return names.split()


_GREEK = _words(
    r"\alpha \beta \gamma \delta \epsilon \zeta \eta \theta \iota \kappa \lambda \mu \nu \xi \pi \rho \sigma "
    r"\tau \upsilon \phi \varphi \chi \psi \omega \vartheta \varsigma \Gamma \Delta \Theta \Lambda \Xi \Pi "
    r"\Sigma \Upsilon \Phi \Psi \Omega"
)
_OPERATORS = _words(
    r"+ + + - - - \cdot \cdot \times / \pm \mp \div \circ \ast \cup \cap \wedge \vee \oplus \otimes "
    r"\backslash \odot \ominus \bullet"
)
_RELATIONS = _words(
    r"= = = = < > \le \ge \ne \in \approx \equiv \sim \simeq \subset \subseteq \supset \notin \cong "
    r"\propto \ll \gg \rightarrow \Rightarrow \mapsto \leftrightarrow \iff \perp \models \vdash : "
    r"\leftarrow \Leftrightarrow \triangleq \hookrightarrow \longrightarrow \supseteq \ni"
)
_FENCES = (("(", ")"), ("(", ")"), ("[", "]"), (r"\{", r"\}"), ("|", "|"), (r"\langle", r"\rangle"),
           (r"\lfloor", r"\rfloor"), (r"\lceil", r"\rceil"), ("||", "||"))  # fmt: skip
_ALIKE = (
    "Cc", "Pp", "Ss", "Vv", "Xx", "Ww", "Oo0", "Zz2", "Uu", "Kk", "l1|", "S5", "b6", "g9q", "gq", "Tt+", "Yy",
    (r"\epsilon", r"\in", "E", "e"), (r"\Lambda", "A", r"\wedge"), (r"\omega", "w", "W"), (r"\nu", "v", r"\vee"),
    (r"\rho", "p", "P"), (r"\chi", "x", "X", r"\times"), (r"\kappa", "k", "K"), (r"\tau", "T", "t"),
    (r"\alpha", "a", r"\propto", "d"), (r"\mu", "u", "M"), (r"\eta", "n"), (r"\gamma", "y", "r"), (r"\beta", "B"),
    (r"\sigma", "6", "o", r"\delta"), (r"\theta", "0", r"\Theta"), (r"\phi", r"\varphi", r"\Phi", r"\emptyset"),
    (r"\xi", r"\zeta", "3"), (r"\cup", "U", "u"), (r"\subset", "C", "c"), (r"\langle", "<"), (r"\prime", "1", ","),
    (r"\sum", r"\Sigma"), (r"\prod", r"\Pi", r"\pi"), (r"\partial", r"\delta", "d"), (r"\ell", "l", "e"),
    (r"\psi", r"\Psi", "4"), (r"\lambda", r"\Lambda", "x"), (r"\circ", "o", "0"), (r"\cdot", "."),
    (r"\mathbb{R}", "R"), (r"\mathbb{N}", "N"), (r"\mathbb{Z}", "Z"), (r"\mathbb{C}", "C"), (r"\mathbb{Q}", "Q"),
)  # fmt: skip
_WRITTEN_ALONE = "+++-----===1230xynabAB"
# Alone these are a dot, a line or a tick, which means something else to whoever writes nothing beside it.
NEVER_ALONE = frozenset(["`", ".", ",", '"', r"\_", r"\prime", r"\cdot", r"\not", r"\neg", r"\mid", r"\wr"])
_COMMAND = re.compile(r"\\[a-zA-Z]+$")
_ROW, _INFINITY = "\\\\", r"\infty"
_WIDE_ACCENTS = (r"\overline", r"\underline", r"\overbrace", r"\underbrace", r"\vec", r"\hat", r"\tilde")


class Source:
    """Samples parts of formulas from the symbols that have samples."""

    def __init__(self, symbols: Sequence[str], rng: np.random.Generator) -> None:
        """`symbols`: all tokens that there are samples of."""
        self.rng, self._known = rng, frozenset(symbols)
        self._alone = [s for s in symbols if s not in ACCENTS and s != r"\sqrt"]
        self._accents = [a for a in sorted(ACCENTS) if a in self._known]
        self._blackboard = [s for s in symbols if s.startswith(r"\mathbb")]

    def of(self, choices: Sequence[str]) -> str:
        """Sample a choice that has samples; the first if none has."""
        possible = [c for c in choices if (len(c) > 1 and not c.startswith("\\")) or c in self._known]
        return _spaced(possible[int(self.rng.integers(len(possible)))] if possible else choices[0])

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def number(self, most: int = 4) -> str:
        digits = "".join(_DIGITS[int(d)] for d in self.rng.integers(0, 10, int(self.rng.integers(1, most))))
        return f"{digits}.{self.rng.integers(0, 100)}" if self.chance(0.06) else digits

    def letter(self) -> str:
        kind = self.rng.random()
        if kind < 0.45:
            return self.of(_COMMON)
        if kind < 0.62:
            return self.of(_SMALL)
        if kind < 0.82:
            return self.of(_CAPITALS)
        return self.of(_GREEK)

    def symbol(self) -> str:
        """Sample any symbol that can stand alone, uniformly."""
        return _spaced(self._alone[int(self.rng.integers(len(self._alone)))])

    def blackboard(self) -> str:
        found = self._blackboard or _CAPITALS
        return found[int(self.rng.integers(len(found)))]

    def accent(self) -> str:
        return self._accents[int(self.rng.integers(len(self._accents)))] if self._accents else ""

    def atom(self) -> str:
        kind = self.rng.random()
        if kind < 0.55:
            return self.letter()
        if kind < 0.75:
            return self.number(3)
        if kind < 0.88:
            return f"{self.letter()}_{{{self.of((self.of(_DIGITS), self.of('ijkn'), 'n+1', 'i-1', 'ij'))}}}"
        power = self.of((self.of("23n"), r"\ast", "-1", self.of(_COMMON), "n-1"))
        return f"{self.letter()}^{{{power}}}"

    def term(self) -> str:
        kind = self.rng.random()
        if kind < 0.6:
            return self.atom()
        if kind < 0.75:
            return self.atom() + self.letter()
        if kind < 0.85:
            return f"{self.letter()}({self.atom()})"
        if kind < 0.93:
            return rf"\frac{{{self.atom()}}}{{{self.atom()}}}"
        return rf"\sqrt{{{self.atom()}}}"

    def expression(self, terms: int = 3) -> str:
        parts = [self.term()]
        for _ in range(int(self.rng.integers(0, terms))):
            parts += [self.of(_OPERATORS), self.term()]
        return " ".join(parts)

    def relation(self) -> str:
        return f"{self.expression(2)} {self.of(_RELATIONS)} {self.expression(2)}"


def _spaced(text: str) -> str:
    """Append a space to text that ends with a command."""
    return text + " " if _COMMAND.search(text) else text


def single(s: Source) -> str:
    """Sample a single symbol that means something alone, common ones more often."""
    symbol = s.symbol()
    return s.of(_WRITTEN_ALONE) if s.chance(0.4) or symbol.strip() in NEVER_ALONE else symbol


def short(s: Source) -> str:
    """Sample two or three symbols of every kind."""
    kind = s.rng.random()
    if kind < 0.3:
        return f"{s.letter()} {s.of(_RELATIONS)} {s.atom()}"
    if kind < 0.5:
        return f"{s.of('+-')} {s.atom()}" if s.chance(0.6) else f"{s.of(_RELATIONS)} {s.atom()}"
    if kind < 0.75:
        return f"{s.symbol()} {s.letter()}" if s.chance(0.5) else f"{s.letter()} {s.symbol()}"
    return f"{s.atom()} {s.of(_OPERATORS)} {s.atom()}"


def school(s: Source) -> str:
    """Sample school arithmetic and equations."""
    x = s.of("xxxyzabnt")
    n = s.number
    forms: tuple[Callable[[], str], ...] = (
        lambda: f"{x}={n()}", lambda: f"{n(3)}{x}+{n()}={n()}", lambda: f"{n()}{s.of('+-')}{n()}={n()}",
        lambda: rf"{n(3)}\times {n(3)}={n()}", lambda: rf"{n(3)}\div {n(3)}={n(3)}",
        lambda: f"{x}^{{2}}{s.of('+-')}{n(2)}{x}{s.of('+-')}{n(2)}=0", lambda: f"{n(2)}({x}{s.of('+-')}{n(2)})={n(3)}",
        lambda: rf"\frac{{{x}}}{{{n(2)}}}={n(3)}", lambda: rf"\frac{{{n(2)}}}{{{n(2)}}}{s.of('+-')}\frac{{{n(2)}}}{{{n(2)}}}=\frac{{{n(2)}}}{{{n(3)}}}",
        lambda: f"y={n(2)}{x}{s.of('+-')}{n(2)}", lambda: f"{x}_{{1}}={n(3)},{x}_{{2}}={n(3)}",
        lambda: rf"{x}=\frac{{-b\pm\sqrt{{b^{{2}}-4ac}}}}{{2a}}", lambda: f"f(x)={n(2)}x^{{{n(2)}}}{s.of('+-')}{n(2)}x",
        lambda: rf"\sqrt{{{n(3)}}}={n(2)}", lambda: f"{n(2)}{x}={n(3)}", lambda: rf"{n(3)}\%", lambda: f"{x}>{n(2)}",
    )  # fmt: skip
    return forms[int(s.rng.integers(len(forms)))]()


def slash(s: Source) -> str:
    a, b = (s.atom() if s.chance(0.7) else f"({s.expression(2)})" for _ in range(2))
    return f"{a}/{b}" + (f" {s.of(_RELATIONS)} {s.expression(2)}" if s.chance(0.4) else "")


def bars(s: Source) -> str:
    kind, inner = s.rng.random(), s.expression(2)
    if kind < 0.4:
        text = f"|{inner}|"
    elif kind < 0.55:
        text = rf"\|{inner}\|"
    elif kind < 0.75:
        text = f"{s.of('PEpf')}({s.letter()}|{s.letter()})"
    else:
        text = rf"\{{{s.letter()}|{s.relation()}\}}"
    return (
        text + (f"^{{{s.of('2np')}}}" if s.chance(0.15) else "") + (f"={s.atom()}" if s.chance(0.4) else "")
    )


def primes(s: Source) -> str:
    mark = "'" * int(s.rng.choice([1, 1, 1, 2]))
    kind = s.rng.random()
    if kind < 0.4:
        return f"{s.letter()}{mark}({s.atom()})" + (f"={s.expression(2)}" if s.chance(0.5) else "")
    if kind < 0.7:
        return f"{s.letter()}{mark} {s.of(_OPERATORS)} {s.letter()}"
    return f"{s.letter()}_{{{s.of('ij12n')}}}{mark}" if s.chance(0.5) else f"{s.letter()}{mark}"


def dots(s: Source) -> str:
    kind, x = s.rng.random(), s.letter()
    if kind < 0.45:
        return rf"{s.atom()}\cdot {s.atom()}" + (rf"\cdot {s.atom()}" if s.chance(0.3) else "")
    if kind < 0.7:
        return rf"{x}_{{1}},{x}_{{2}},\ldots,{x}_{{{s.of('nmk')}}}"
    if kind < 0.85:
        return rf"{x}_{{1}}+{x}_{{2}}+\cdots+{x}_{{n}}"
    return (
        f"{x}:{s.of(_CAPITALS)}\\rightarrow {s.of(_CAPITALS)}"
        if s.chance(0.6)
        else f"{s.number()}:{s.number()}"
    )


def alike(s: Source) -> str:
    """Sample symbols that look alike, side by side or in context."""
    kinds = _ALIKE[int(s.rng.integers(len(_ALIKE)))]
    first, second = s.of(kinds), s.of(kinds)
    kind = s.rng.random()
    if kind < 0.3:
        return f"{first} {second}" + (f" {s.of(kinds)}" if s.chance(0.4) else "")
    if kind < 0.5:
        return f"{first}_{{{second}}}"
    if kind < 0.75:
        return f"{first} {s.of(_OPERATORS)} {second}"
    return f"{s.letter()} {first} {s.of(_RELATIONS)} {second} {s.atom()}"


def cased(s: Source) -> str:
    """Sample capitals beside small letters."""
    letter = s.of("cpsvxwozukyijmn")
    a, b = (letter.upper(), letter) if s.chance(0.5) else (letter, letter.upper())
    return s.of((f"{a}({b})", f"{a}_{{{b}}}", f"{a}{b}", f"{a}={b}+{s.atom()}", f"{a}^{{{b}}}", f"{a}{b}{a}{b}",
                 f"{s.letter()}{a}-{b}{s.letter()}", rf"\frac{{{a}}}{{{b}}}"))  # fmt: skip


def doubled(s: Source) -> str:
    x = s.letter()
    return s.of((f"{x}{x}", f"{x}{x}{x}", f"{x}{x}^{{{s.of('T2n')}}}", f"{s.atom()}{x}{x}", f"{x}{x}={s.atom()}",
                 f"({x}{x})", f"{x}_{{{s.of('ijkn') * 2}}}", f"{s.of(_DIGITS) * 2}{x}"))  # fmt: skip


def nested(s: Source) -> str:
    x, a, b = s.letter(), s.letter(), s.atom()
    return s.of((f"{x}_{{{a}_{{{s.of('ijk012')}}}}}", f"{x}^{{{a}^{{{b}}}}}", f"e^{{-{b}/{a}}}",
                 f"{x}_{{{a}}}^{{{b}}}", f"{x}^{{-\\frac{{{a}}}{{{b}}}}}", f"{x}_{{{a}+{b}}}^{{({s.of('nk12')})}}",
                 f"2^{{{a}_{{{b}}}}}", f"{x}^{{{a}_{{{s.of('ij12')}}}}}+{b}", f"({s.expression(2)})^{{{b}}}",
                 rf"\frac{{{x}^{{{a}}}}}{{{x}_{{{b}}}}}", f"{x}_{{{s.of('ij')}_{{{s.of('kl')}_{{{s.of('mn')}}}}}}}"))  # fmt: skip


def brackets(s: Source) -> str:
    left, right = _FENCES[int(s.rng.integers(len(_FENCES)))]
    tall = rf"\frac{{{s.expression(2)}}}{{{s.expression(2)}}}"
    inner = tall if s.chance(0.5) else s.expression(3)
    if s.chance(0.3):
        l2, r2 = _FENCES[int(s.rng.integers(len(_FENCES)))]
        inner = f"{l2} {inner} {r2}" + (f"{s.of('+-')}{s.atom()}" if s.chance(0.5) else "")
    if s.chance(0.15):
        inner = f"{s.atom()},{s.atom()}"
    text = f"{left} {inner} {right}" + (f"^{{{s.of('2n')}}}" if s.chance(0.25) else "")
    return f"{s.atom()} {text}" if s.chance(0.3) else text


def matrix(s: Source) -> str:
    kind = s.of(("pmatrix",) * 5 + ("bmatrix",) * 5 + ("vmatrix",) * 2 + ("matrix", "Bmatrix", "Vmatrix"))
    rows, columns = (int(s.rng.choice([1, 2, 2, 2, 3, 3, 4])) for _ in range(2))
    if rows * columns == 1:
        rows = 2
    style, x = s.rng.random(), s.letter()

    def cell(i: int, j: int) -> str:
        if style < 0.4:
            return s.of(("0", "1", "-1", s.number(2), s.number(2)))
        if style < 0.6:
            return f"{x}_{{{i + 1}{j + 1}}}" if columns > 1 and rows > 1 else f"{x}_{{{max(i, j) + 1}}}"
        if style < 0.8:
            return s.atom()
        return s.of((s.letter(), "0", r"\cdots" if i else s.letter(), r"\vdots", s.atom()))

    body = _ROW.join("&".join(cell(i, j) for j in range(columns)) for i in range(rows))
    text = rf"\begin{{{kind}}}{body}\end{{{kind}}}"
    before = s.of(("", "", f"{s.of(_CAPITALS)}=", f"{s.letter()}=", r"\det"))
    return before + text + s.of(("", "", "^{T}", "^{-1}", f"={s.atom()}", f"{s.letter()}"))


def binomial(s: Source) -> str:
    text = rf"\binom{{{s.atom()}}}{{{s.atom()}}}"
    return s.of((text, text, f"{text}={s.atom()}", rf"\sum_{{k=0}}^{{n}}{text}", f"{text}{s.term()}"))


def cases(s: Source) -> str:
    lines = [f"{s.expression(2)}" + (f"&{s.relation()}" if s.chance(0.7) else "")
             for _ in range(int(s.rng.choice([2, 2, 3])))]  # fmt: skip
    return (f"{s.letter()}=" if s.chance(0.4) else "") + rf"\begin{{cases}}{_ROW.join(lines)}\end{{cases}}"


def lines(s: Source) -> str:
    """Sample several lines, also under an operator."""
    if s.chance(0.4):
        inner = rf"\begin{{matrix}}{s.letter()}{s.of(_RELATIONS)}{s.atom()}\\{s.relation()}\end{{matrix}}"
        large = s.of((r"\sum", r"\prod", r"\bigcup"))
        return rf"{large}_{{{inner}}}{s.term()}"
    count = int(s.rng.choice([2, 2, 3]))
    return rf"\begin{{matrix}}{_ROW.join(s.relation() for _ in range(count))}\end{{matrix}}"


def accents(s: Source) -> str:
    accent = s.accent()
    if not accent:
        return s.term()
    inner = s.letter()
    if accent in _WIDE_ACCENTS and s.chance(0.6 if "over" in accent or "under" in accent else 0.25):
        inner = s.expression(2) if s.chance(0.5) else s.letter() + s.letter()
    text = f"{accent}{{{inner}}}"
    if accent == r"\overbrace" and s.chance(0.5):
        text += f"^{{{s.atom()}}}"
    if accent == r"\underbrace" and s.chance(0.5):
        text += f"_{{{s.atom()}}}"
    other = f"{accent}{{{s.letter()}}}"
    return s.of((text, f"{text}={s.expression(2)}", f"{s.atom()} {text}", f"{text}{s.of(_OPERATORS)}{other}",
                 f"{text}_{{{s.of('ij012n')}}}", f"{text}^{{{s.of('2Tn')}}}", f"{s.of('fFgp')}({text})",
                 rf"\frac{{{text}}}{{{s.atom()}}}", f"{text}{s.of(_RELATIONS)}{other}"))  # fmt: skip


def stacked(s: Source) -> str:
    """Sample oversets and undersets."""
    if s.chance(0.6):
        over = s.of(("def", "?", "d", "!", r"\triangle", s.letter(), r"\ast"))
        base = s.of(("=", r"\rightarrow", r"\sim", r"\longrightarrow"))
        return rf"{s.letter()}\overset{{{over}}}{{{base}}}{s.atom()}"
    return rf"\underset{{{s.of((s.letter(), s.relation()))}}}{{{s.of(('max', 'min', 'argmax', s.letter()))}}}{s.term()}"


def limits(s: Source) -> str:
    """Sample large operators with limits."""
    i, n = s.of("ijknmt"), s.of("nNmkMK")
    body = s.expression(2)
    kind = s.rng.random()
    large = s.of([x for x in sorted(LARGE) if "int" not in x] + [r"\prod"] * 6 + [r"\sum"] * 6)
    if kind < 0.3:
        return rf"{large}_{{{i}={s.of('01')}}}^{{{s.of((n, _INFINITY))}}}{body}"
    if kind < 0.45:
        under = s.of((i, rf"{i}\in {s.letter()}", rf"{i}\ge {s.of(_DIGITS)}", rf"{i}<{n}", rf"{i}\ne j"))
        return rf"{large}_{{{under}}}{body}"
    if kind < 0.7:
        low, high = (
            s.of(("0", "a", r"-\infty", "-1", s.atom())),
            s.of(("1", "b", r"\infty", r"\pi", s.atom())),
        )
        scripts = s.of((f"_{{{low}}}^{{{high}}}", f"_{{{low}}}^{{{high}}}", f"_{{{s.letter()}}}", ""))
        integral = s.of((r"\int", r"\int", r"\int", r"\iint", r"\oint", r"\iiint"))
        return rf"{integral}{scripts}{body}d{s.of('xtyzsr')}"
    if kind < 0.88:
        name = s.of(("lim", "lim", "lim", "max", "min", "sup", "inf"))
        end = s.of(("0", _INFINITY, "a", s.atom()))
        return rf"{name}_{{{s.of('xnthk')}\rightarrow {end}}}{body}"
    return rf"{s.of(('log', 'ln', 'sin', 'cos', 'tan', 'exp'))}{s.of(('', '_{2}', '^{2}'))}{s.of((s.atom(), f'({body})'))}"


def logic(s: Source) -> str:
    """Sample sets, maps and quantifiers."""
    big, a, b = s.blackboard(), s.of(_CAPITALS), s.of(_CAPITALS)
    join = s.of((r"\cup", r"\cap", r"\backslash", r"\times"))
    inside = s.of((r"\subset", r"\subseteq", r"\supset", r"\supseteq", r"\subsetneq"))
    then = s.of((r"\vee", r"\wedge", r"\Rightarrow", r"\iff"))
    times, like = s.of(("", r"\cdot", r"\times")), s.of((r"\equiv", r"\cong", r"\sim", r"\perp"))
    return s.of((rf"{s.letter()}\in {big}", rf"{s.letter()}\in {big}^{{{s.of('n2dmk')}}}", rf"\forall {s.letter()}\in {a}",
                 rf"\exists {s.letter()}{s.of(('', ':'))}{s.relation()}", f"{a}{join} {b}", f"{a}{inside} {b}",
                 rf"{s.letter()}:{big}\rightarrow {big}", rf"\neg {a}{then} {b}", rf"{s.letter()}\notin {a}", rf"{a}=\emptyset",
                 rf"{s.letter()}\mapsto {s.expression(2)}", rf"\frac{{\partial {s.letter()}}}{{\partial {s.letter()}}}",
                 rf"\nabla {times} {s.letter()}", f"{s.letter()}{like} {s.letter()}"))  # fmt: skip


def mixed(s: Source) -> str:
    """Sample every symbol among others."""
    parts = [s.term(), s.symbol(), s.term()]
    if s.chance(0.5):
        parts += [s.of(_RELATIONS), s.symbol(), s.atom()]
    return " ".join(parts)


SAMPLERS: tuple[tuple[float, Callable[[Source], str]], ...] = (
    (10, single), (8, short), (8, school), (6, slash), (6, bars), (5, primes), (7, dots), (8, alike), (5, cased),
    (3, doubled), (5, nested), (6, brackets), (9, matrix), (3, binomial), (3, cases), (3, lines), (14, accents),
    (2, stacked), (7, limits), (8, logic), (8, mixed),
)  # fmt: skip
_CUMULATIVE = np.cumsum([weight for weight, _ in SAMPLERS]) / sum(weight for weight, _ in SAMPLERS)


def sample(source: Source) -> str:
    """Sample a formula as LaTeX that is not yet normalized."""
    place = int(np.searchsorted(_CUMULATIVE, source.rng.random(), side="right"))
    return SAMPLERS[min(place, len(SAMPLERS) - 1)][1](source)
