"""Compose formulas from handwritten symbols, with the irregular layout of handwriting.

Boxes on a baseline, as TeX sets them (Knuth, The TeXbook, appendix G), but with the sizes, gaps and heights
of handwriting, none of them twice the same. A unit is the height of a capital.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from components.ink.ink import Ink, Stroke, Symbol
from components.latex.commands import ACCENTS, LARGE
from components.latex.tokenizer import detokenize
from components.latex.tree import MATRIX, ROW, SCRIPT, Tree, row, tokens_of
from components.synthesis.symbol_bank import SymbolBank, box_of

_AXIS = 0.38  # height of minus signs and fraction bars over the baseline
_BAR = "-"  # what fraction bars are written as


def _table(*groups: tuple[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    return {token: value for tokens, value in groups for token in tokens.split()}


# From where to where over the baseline a symbol reaches; others are as high as capitals.
_EXTENT = _table(
    (r"a c e m n o r s u v w x z \alpha \epsilon \iota \kappa \nu \omega \pi \sigma \tau", (0, 0.62)),
    (r"\upsilon \varpi \imath \varkappa", (0, 0.62)),
    (r"\infty : \vartheta", (0.02, 0.6)),
    (r"f j \beta \phi \psi \xi \zeta", (-0.35, 1.0)),
    (r"Q J", (-0.08, 1.0)), (r"\jmath \varsigma", (-0.3, 0.62)),
    (r"g p q y \gamma \eta \mu \rho \chi \varphi \varrho \wp", (-0.4, 0.6)),
    (r"( ) [ ] | \{ \} / \backslash \langle \rangle \lfloor \rfloor \lceil \rceil", (-0.25, 1.1)),
    (r"+ \pm \mp \div \oplus \otimes \ominus \odot \oslash < > \le \ge \ne \in \ni \notin", (0.1, 0.7)),
    (r"\subset \subseteq \supset \supseteq \subsetneq \supsetneq \nsubseteq \sqsubseteq \equiv", (0.1, 0.7)),
    (r"\approx", (0.1, 0.7)),
    (r"\cong \approxeq \triangleq \doteq \asymp \propto \ll \gg \prec \succ \preceq \succeq", (0.08, 0.68)),
    (r"\lesssim \gtrsim \bowtie \star * \triangle \square \diamond \triangleleft", (0.08, 0.72)),
    (r"\triangleright", (0.08, 0.72)),
    (r"\bigtriangleup \bigtriangledown \rtimes \ltimes \therefore \because \angle", (0.02, 0.75)),
    (r"\times \ast \circ \cup \cap \wedge \vee \uplus \sqcup \sqcap \amalg", (0.12, 0.6)),
    (r"\bullet", (0.2, 0.5)),
    (r"\neg", (0.3, 0.6)), (r"\vdash \dashv \models \vDash \Vdash \perp \bot \top", (0, 0.85)),
    (r"\smile \frown", (0.25, 0.5)), (r"\ddots", (0.05, 0.75)), (r"\vdots", (-0.1, 0.8)),
    (".", (0, 0.1)), (",", (-0.2, 0.12)), (";", (-0.2, 0.5)), (r"\cdot", (0.33, 0.43)),
    (r"\prime", (0.7, 1.05)), ('" `', (0.7, 1.0)), (r"\not", (-0.1, 0.9)),
    (" ".join(LARGE), (-0.35, 1.25)), (r"\int \iint \iiint \oint", (-0.6, 1.5)),
)  # fmt: skip
# How wide a flat symbol is, and the height of its middle.
_FLAT = _table(
    (r"- \frac", (0.55, _AXIS)), (r"= \sim \simeq", (0.6, _AXIS)), (r"\_", (0.6, -0.05)),
    (r"\rightarrow \leftarrow \Rightarrow \Leftarrow \leftrightarrow \Leftrightarrow \mapsto", (0.95, _AXIS)),
    (r"\hookrightarrow \hookleftarrow \rightleftharpoons \rightleftarrows \rightharpoonup", (1.0, _AXIS)),
    (r"\rightsquigarrow \twoheadrightarrow \nrightarrow", (1.0, _AXIS)),
    (r"\iff \longrightarrow \longleftarrow \longleftrightarrow \longmapsto", (1.45, _AXIS)),
    (r"\Longrightarrow \Longleftarrow", (1.45, _AXIS)),
)  # fmt: skip
# How wide and high the mark of an accent is; 0: as wide as what it stands over.
_MARKS = _table(
    (r"\overline \underline", (0, 0.03)), (r"\vec \overleftarrow \overleftrightarrow", (0, 0.24)),
    (r"\overbrace \underbrace", (0, 0.22)), (r"\hat \check", (0.42, 0.2)), (r"\tilde", (0.48, 0.16)),
    (r"\breve", (0.4, 0.16)), (r"\acute \grave", (0.18, 0.2)), (r"\mathring", (0.18, 0.18)),
    (r"\dot", (0.07, 0.07)), (r"\ddot", (0.28, 0.07)), (r"\dddot", (0.45, 0.07)),
)  # fmt: skip
_GROWING = (r"\hat", r"\tilde", r"\check")  # over several symbols these are wide, more often than not
# These have more room around them.
_ROOM = frozenset(
    [*_FLAT, *"+<>", r"\pm", r"\mp", r"\times", r"\div", r"\le", r"\ge", r"\ne", r"\in", r"\equiv",
     r"\approx", r"\subset", r"\subseteq", r"\supset", r"\cong", r"\ll", r"\gg", r"\propto",
     r"\models", r"\vdash"]
)  # fmt: skip
_OPEN = ("(", "[", r"\{", r"\langle", r"\lfloor", r"\lceil")
_CLOSE = (")", "]", r"\}", r"\rangle", r"\rfloor", r"\rceil")
_FENCES = frozenset([*_OPEN, *_CLOSE, "|"])
_LIMITS = ("lim", "max", "min", "sup", "inf")  # have their subscript below


class LayoutError(ValueError):
    """A symbol of the formula has no sample."""


@dataclass
class _Block:
    """A placed group of symbols: its baseline runs from (0, 0) to (width, 0), y upwards."""

    width: float = 0.0
    above: float = 0.0
    below: float = 0.0  # positive: reaches under the baseline
    marks: list[tuple[str, tuple[Stroke, ...]]] = field(default_factory=list)

    @property
    def height(self) -> float:
        return self.above + self.below

    def add(self, other: _Block, x: float, y: float) -> None:
        """Add another block's marks with its origin at (x, y)."""
        offset = np.array([x, y], np.float32)
        self.marks += [(token, tuple(s + offset for s in strokes)) for token, strokes in other.marks]
        self.width = max(self.width, x + other.width)
        self.above = max(self.above, other.above + y)
        self.below = max(self.below, other.below - y)


def compose(tree: Tree, samples: SymbolBank, rng: np.random.Generator, id: str) -> Ink:
    """Compose a formula of samples of its symbols, in the order of the label.

    Raises LayoutError where there is none of a symbol.
    """
    block = _Hand(samples, rng).block(tree, 1.0)
    strokes: list[Stroke] = []
    symbols: list[Symbol] = []
    for token, written in block.marks:
        symbols.append(Symbol(token, tuple(range(len(strokes), len(strokes) + len(written)))))
        strokes += [stroke * np.array([100, -100], np.float32) for stroke in written]
    return Ink(id, tuple(strokes), detokenize(tokens_of(tree)), None, tuple(symbols))


class _Hand:
    """Lays out one formula."""

    def __init__(self, samples: SymbolBank, rng: np.random.Generator) -> None:
        self._samples, self._rng = samples, rng
        self._gap = rng.uniform(0.06, 0.22)
        self._untidy = rng.uniform(0.3, 1.2)
        self._small = rng.uniform(0.55, 0.8)  # scripts to their base

    def block(self, tree: Tree | None, size: float) -> _Block:
        assert tree is not None
        match tree.head:
            case "row":
                return self._row([part for part in tree.parts if part is not None], size)
            case "script":
                return self._script(tree, size)
            case r"\frac":
                return self._fraction(tree, size)
            case r"\sqrt":
                return self._root(tree, size)
            case r"\overset" | r"\underset":
                return self._stack(tree, size)
            case r"\begin{matrix}":
                return self._matrix(tree, size)
            case "{}":
                return self.block(tree.parts[0], size)
        if tree.head in ACCENTS:
            return self._accent(tree, size)
        return self._symbol(tree.head, size)

    def _row(self, parts: Sequence[Tree], size: float) -> _Block:
        parts = _with_names(parts)
        blocks = [self.block(part, size) for part in parts]
        for places, inner in _fences(parts):
            above = max(blocks[place].above for place in inner)
            below = max(blocks[place].below for place in inner)
            matrix = any(_base(parts[place]) == MATRIX for place in inner)
            tall = above + below
            if (matrix and tall > 0.5 * size) or (tall > 1.5 * size and self._rng.random() < 0.85):
                for place in places:
                    fence = self._stretched(_base(parts[place]), 0.35 * size, -below, above)
                    scripted = parts[place].head == SCRIPT
                    blocks[place] = self._script(parts[place], size, fence) if scripted else fence
        whole, x, y = _Block(), 0.0, 0.0
        for part, block in zip(parts, blocks, strict=True):
            room = self._rng.uniform(0.05, 0.3) * size if part.head in _ROOM else 0.0
            if x:
                x += room + self._gap * size * self._rng.uniform(0.5, 1.5)
            y += self._noise(0.02) * size
            whole.add(block, x, y)
            x += block.width + room
        return whole

    def _symbol(self, token: str, size: float) -> _Block:
        if token in _FLAT:
            width, middle = _FLAT[token]
            return self._flat(
                _BAR if token == r"\frac" else token, width * size * self._factor(0.2), middle * size
            )
        low, high = _EXTENT.get(token, (0.0, 1.0))
        strokes = self._any(token)
        (left, top), (right, bottom) = box_of(strokes).tolist()
        scale = min((high - low) / max(bottom - top, 1e-6), 1.7 / max(right - left, 1e-6))
        scale *= size * self._factor(0.1)
        low = low * size + self._noise(0.04) * size
        # A flat one of its kind stands in the middle of where it should be.
        low += max(0.0, (high - _EXTENT.get(token, (0.0, 1.0))[0]) * size - scale * (bottom - top)) / 2
        return _placed(token, strokes, scale, scale, 0.0, low)

    def _flat(self, token: str, width: float, middle: float) -> _Block:
        strokes = self._any(token)
        (left, top), (right, bottom) = box_of(strokes).tolist()
        scale = width / max(right - left, 1e-6)
        tall = min(scale, 0.5 * width / max(bottom - top, 1e-6))
        if token == _BAR:  # a long bar is no more bent than a short one
            tall = min(scale, 0.12 * min(width, 1.0) / max(bottom - top, 1e-6))
        return _placed(token, strokes, scale, tall, 0.0, middle - tall * (bottom - top) / 2)

    def _stretched(self, token: str, width: float, low: float, high: float) -> _Block:
        """Stretch a symbol to fill a box: fences, roots."""
        if token not in self._samples:
            raise LayoutError(f"no sample of {token}")
        if high - low < 1e-3:
            raise LayoutError(f"{token} encloses nothing")
        strokes = self._samples.like(token, width / (high - low), self._rng)
        (left, top), (right, bottom) = box_of(strokes).tolist()
        tall = (high - low) / max(bottom - top, 1e-6)
        wide = np.clip(width / max(right - left, 1e-6), 0.3 * tall, 3 * tall)
        return _placed(token, strokes, float(wide), tall, 0.0, low)

    def _script(self, tree: Tree, size: float, inner: _Block | None = None) -> _Block:
        base, sub, sup = tree.parts
        assert base is not None
        under = (
            (base.head == ROW and base.parts)
            or base.head in (r"\overbrace", r"\underbrace")
            or (base.head in LARGE and self._rng.random() < (0.25 if "int" in base.head else 0.85))
        )
        whole = _Block()
        inner = self.block(base, size) if inner is None else inner
        small = max(self._small * size, 0.32)
        scripts = [None if part is None else self.block(part, small) for part in (sub, sup)]
        if under:
            width = max([inner.width, *(s.width for s in scripts if s)])
            whole.add(inner, (width - inner.width) / 2, 0)
            for script, sign in zip(scripts, (-1, 1), strict=True):
                if script:
                    gap = self._rng.uniform(0.08, 0.25) * size
                    y = inner.above + gap + script.below if sign > 0 else -inner.below - gap - script.above
                    whole.add(script, (width - script.width) / 2 + self._noise(0.08) * size, y)
            return whole
        whole.add(inner, 0, 0)
        x = inner.width + self._rng.uniform(0.02, 0.15) * size
        if scripts[0]:
            drop = -inner.below + self._rng.uniform(0.0, 0.3) * small
            # Half of a subscript stands under the line.
            whole.add(scripts[0], x, min(drop, -0.15 * size) - 0.35 * (scripts[0].above - 0.6 * small))
        if scripts[1]:
            top = max(inner.above, 0.6 * size)
            whole.add(scripts[1], x, top - self._rng.uniform(0.1, 0.45) * small + 0.5 * scripts[1].below)
        return whole

    def _fraction(self, tree: Tree, size: float) -> _Block:
        inner = max(size * self._rng.uniform(0.75, 1.0), 0.4)
        over, under = (self.block(part, inner) for part in tree.parts)
        width = max(over.width, under.width, 0.4 * size) + self._rng.uniform(0.05, 0.4) * size
        axis = _AXIS * size
        whole = _Block()
        whole.add(self._flat(_BAR, width, axis), 0, 0)
        for block, sign in ((over, 1), (under, -1)):
            gap = self._rng.uniform(0.1, 0.3) * size
            y = axis + gap + block.below if sign > 0 else axis - gap - block.above
            slack = width - block.width
            whole.add(block, slack / 2 + self._noise(0.15) * slack, y)
        return whole

    def _root(self, tree: Tree, size: float) -> _Block:
        body = self.block(tree.parts[0], size * self._rng.uniform(0.85, 1.0))
        hook = self._rng.uniform(0.35, 0.6) * size
        above = max(body.above, 0.6 * size) + self._rng.uniform(0.08, 0.25) * size
        below = max(body.below, 0.05 * size)
        width = hook + body.width + self._rng.uniform(0.0, 0.2) * size
        whole = _Block()
        shift = 0.0
        index = self.block(tree.parts[1], max(0.5 * size, 0.3)) if len(tree.parts) > 1 else None
        if index:
            shift = max(0.0, index.width - 0.4 * hook)
        whole.add(self._stretched(r"\sqrt", width, -below, above), shift, 0)
        if index:
            whole.add(index, 0, 0.45 * above + index.below)
        whole.add(body, shift + hook, 0)
        return whole

    def _accent(self, tree: Tree, size: float) -> _Block:
        body = self.block(tree.parts[0], size)
        wide, high = _MARKS.get(tree.head, (0.4, 0.2))
        width = wide * size * self._factor(0.25) or max(body.width, 0.35 * size) * self._rng.uniform(0.8, 1.2)
        if tree.head in _GROWING and body.width > size and self._rng.random() < 0.7:
            width = body.width * self._rng.uniform(0.5, 1.0)
        gap = self._rng.uniform(0.05, 0.2) * size
        token = _BAR if "line" in tree.head and tree.head not in self._samples else tree.head
        mark = self._fitted(token, width, high * size * self._factor(0.25))
        y = -body.below - gap - mark.above if "under" in tree.head else body.above + gap + mark.below
        whole = _Block()
        slack = (body.width - width) / 2
        whole.add(mark, max(0.0, slack) + self._noise(0.04) * size, y)
        whole.add(body, max(0.0, -slack), 0)
        return whole

    def _fitted(self, token: str, width: float, height: float) -> _Block:
        """Fit a symbol to a width and about a height, on the baseline."""
        strokes = self._any(token)
        (left, top), (right, bottom) = box_of(strokes).tolist()
        wide = width / max(right - left, 1e-6)
        tall = height / max(bottom - top, 1e-6)
        if min(right - left, bottom - top) < 0.15 * max(right - left, bottom - top):
            tall = wide = min(wide, tall) if right - left < bottom - top else wide  # a stroke, or a tap
            tall = min(tall, 2 * height / max(bottom - top, 1e-6))
        return _placed(token, strokes, wide, tall, 0.0, 0.0)

    def _stack(self, tree: Tree, size: float) -> _Block:
        small, base = self.block(tree.parts[0], self._small * size), self.block(tree.parts[1], size)
        width, gap = max(small.width, base.width), self._rng.uniform(0.08, 0.25) * size
        y = base.above + gap + small.below if tree.head == r"\overset" else -base.below - gap - small.above
        whole = _Block()
        whole.add(small, (width - small.width) / 2, y)
        whole.add(base, (width - base.width) / 2, 0)
        return whole

    def _matrix(self, tree: Tree, size: float) -> _Block:
        at_left = self._rng.random() < 0.3
        lines = [[self.block(cell, 0.9 * size) for cell in line.parts] for line in tree.parts if line]
        widths = [
            max((line[place].width for line in lines if place < len(line)), default=0.0)
            for place in range(max(map(len, lines)))
        ]
        gap, lead = self._rng.uniform(0.4, 0.9) * size, self._rng.uniform(0.2, 0.6) * size
        high = [max((cell.above for cell in line), default=0.5) for line in lines]
        deep = [max((cell.below for cell in line), default=0.1) for line in lines]
        total = sum(high) + sum(deep) + lead * (len(lines) - 1)
        whole, y = _Block(), _AXIS * size + total / 2
        for line, up, down in zip(lines, high, deep, strict=True):
            y -= up
            for place, cell in enumerate(line):
                x = sum(widths[:place]) + gap * place + (0.0 if at_left else (widths[place] - cell.width) / 2)
                whole.add(cell, x, y)
            y -= down + lead
        return whole

    def _any(self, token: str) -> tuple[Stroke, ...]:
        if token not in self._samples:
            raise LayoutError(f"no sample of {token}")
        return self._samples.any(token, self._rng)

    def _factor(self, spread: float) -> float:
        return float(np.exp(self._rng.normal(0, spread * self._untidy)))

    def _noise(self, spread: float) -> float:
        return float(self._rng.normal(0, spread * self._untidy))


def _placed(
    token: str, strokes: Sequence[Stroke], wide: float, tall: float, left: float, low: float
) -> _Block:
    """Scale a symbol and place its lower left corner at (left, low). Ink has y downwards, a block upwards."""
    (x0, y0), (x1, y1) = box_of(strokes).tolist()
    scale, corner = np.array([wide, -tall], np.float32), np.array([x0, y1], np.float32)
    moved = tuple((s - corner) * scale + np.array([left, low], np.float32) for s in strokes)
    return _Block(left + wide * (x1 - x0), low + tall * (y1 - y0), -low, [(token, moved)])


def _base(part: Tree) -> str:
    """Return the base of a part without its scripts."""
    base = part.parts[0] if part.head == SCRIPT else part
    return base.head if base is not None else ""


def _fences(parts: Sequence[Tree]) -> list[tuple[list[int], range]]:
    """Places of brackets that belong together, and what is between them; what stands beside a matrix
    belongs to it, with or without a partner."""
    stack: list[int] = []
    pairs: list[tuple[list[int], range]] = []
    bars = [place for place, part in enumerate(parts) if _base(part) == "|"]
    if len(bars) % 2 == 0:
        pairs += [([a, b], range(a + 1, b)) for a, b in zip(bars[::2], bars[1::2], strict=True) if a + 1 < b]
    for place, part in enumerate(parts):
        if part.head in _OPEN:
            stack.append(place)
        elif _base(part) in _CLOSE and stack and (start := stack.pop()) + 1 < place:
            pairs.append(([start, place], range(start + 1, place)))
    for place, part in enumerate(parts):
        if part.head == MATRIX:
            left, right = place, place
            while left and parts[left - 1].head in _FENCES:
                left -= 1
            while right + 1 < len(parts) and _base(parts[right + 1]) in _FENCES:
                right += 1
            beside = [at for at in range(left, right + 1) if at != place]
            if beside:
                pairs.append((beside, range(place, place + 1)))
    return pairs


def _with_names(parts: Sequence[Tree]) -> list[Tree]:
    r"""Attach the script of `l i m_{x}` to the whole name."""
    result: list[Tree] = []
    for part in parts:
        base = part.parts[0] if part.head == SCRIPT else None
        name = "".join(p.head for p in result[-2:]) + (base.head if base else "")
        if base is not None and name in _LIMITS:
            letters = row([*result[-2:], base])
            result[-2:] = [Tree(SCRIPT, (letters, *part.parts[1:]))]
        else:
            result.append(part)
    return result
