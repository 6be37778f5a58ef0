"""Synthetic handwriting: grammar formulas, laid out by mathtext, written in single-line fonts.

Every writer has a hand: a font, a slant, proportions, a way to deform each symbol, a shake, an order and a
direction of strokes, a speed. Every symbol that a writer writes differs a little from the last one.
"""

from __future__ import annotations

import multiprocessing
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from dask.system import CPU_COUNT

from components.ink.ink import Ink, Stroke, Symbol
from components.ink.inkml import write_inkml
from components.random_streams import Stream
from components.synthesis.formula_grammar import Node, drawn_leaves, formula, label_tokens, mathtext

Points = npt.NDArray[np.float64]

_HANDS = ("futural", "futural", "rowmans", "rowmans", "cursive")  # Hershey's fonts for letters and digits
_EM = 21.0  # height of Hershey's capitals, font units
_CAPITAL = 7.3  # height of mathtext's capitals at size 10, points
_SYMBOLS = {  # token: (Hershey font, character)
    r"\phi": ("greeks", "u"), r"\beta": ("greeks", "b"), r"\gamma": ("greeks", "c"),
    r"\sigma": ("greeks", "r"), r"\lambda": ("greeks", "k"), r"\pi": ("greeks", "p"),
    r"\omega": ("greeks", "x"), r"\Delta": ("greeks", "D"), r"\le": ("mathlow", "&"),
    r"\ne": ("mathlow", "?"), r"\pm": ("mathlow", "!"), r"\infty": ("mathlow", "_"),
    r"\int": ("mathlow", "p"), r"\sum": ("mathlow", ";"),
}  # fmt: skip
_NO_HAND = frozenset("+-=<>()")  # alike in all fonts


@dataclass(frozen=True)
class Placed:
    """A symbol's place on the page: its token, and the box (left, top, right, bottom) in points, y down."""

    token: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Formula:
    """A formula with the layout of its written symbols."""

    tokens: tuple[str, ...]
    placed: tuple[Placed, ...]  # in the order of the label


def writer_processes() -> ProcessPoolExecutor:
    """A process a core, which write splits; each takes seconds to start."""
    # A fresh interpreter a process: forking one that has threads (rich, DVC) may lock up.
    return ProcessPoolExecutor(CPU_COUNT, mp_context=multiprocessing.get_context("spawn"))


def write_split(
    folder: Path,
    split: str,
    count: int,
    processes: Executor,
    *,
    seed: int,
    max_tokens: int,
    writers: int,
    repeats: int,
) -> None:
    """Write `count` InkML files of one split (train, valid or test) into `folder`.

    A formula is in one split only, and so is a writer; `repeats` inks of train share a formula.
    """
    folder.mkdir(parents=True, exist_ok=True)
    each = repeats if split == "train" else 1
    jobs = [
        (folder, split, number, node, seed, writers, range(number * each, min((number + 1) * each, count)))
        for number, node in enumerate(_formulas(split, -(-count // each), seed, max_tokens))
    ]
    for _ in processes.map(_write, jobs, chunksize=16):
        pass


def _write(job: tuple[Path, str, int, Node, int, int, range]) -> None:
    folder, split, number, node, seed, writers, inks = job
    typeset = set_formula(node)
    rng = np.random.default_rng([seed, _SPLIT_NUMBER[split], number])
    for index in inks:
        writer = int(rng.choice(_writers_of(split, writers)))
        name = f"{split}-{index:06d}"
        ink, times = Writer(writer, seed).write(typeset, name, rng)
        write_inkml(ink, folder / f"{name}.inkml", times=times)


_SPLIT_NUMBER = {"test": 0, "valid": 1, "train": 2}


def _formulas(split: str, count: int, seed: int, max_tokens: int) -> Iterator[Node]:
    """Formulas of one split. A label belongs to the split that a hash of it names, so that no two splits
    share one, whatever their sizes: one in eight to test, one in eight to valid, the rest to train."""
    rng = np.random.default_rng([seed, Stream.FORMULAS, _SPLIT_NUMBER[split]])
    seen: set[tuple[str, ...]] = set()
    tries = 0
    while len(seen) < count:
        node = formula(rng, max_tokens)
        tokens = tuple(label_tokens(node))
        tries += 1
        if tries > 20 * count + 2_000:
            raise ValueError(
                f"data.synthetic: found only {len(seen)} different formulas of at most {max_tokens} tokens "
                f"for {split}, not {count}; raise max_tokens or ask for fewer"
            )
        if tokens not in seen and _SPLIT_OF[_bucket(tokens)] == split:
            seen.add(tokens)
            yield node


_SPLIT_OF = ("test", "valid", *("train",) * 6)


def _bucket(tokens: Sequence[str]) -> int:
    return zlib.crc32(" ".join(tokens).encode()) % len(_SPLIT_OF)


def _writers_of(split: str, writers: int) -> list[int]:
    """Return a split's writer numbers: of ten, one test, one valid, eight train (few write everything)."""
    if writers < 10:
        return list(range(writers))
    last = {"test": (0,), "valid": (1,)}.get(split, tuple(range(2, 10)))
    return [w for w in range(writers) if w % 10 in last]


def set_formula(node: Node) -> Formula:
    """Lay out a formula with mathtext and return the box of every symbol."""
    from matplotlib.ft2font import LoadFlags

    parsed = _typesetter().parse(f"${mathtext(node)}$")
    glyphs, rules = drawn_leaves(node)
    boxes: dict[int, list[tuple[float, float, float, float]]] = {}
    for leaf, (font, size, _, glyph_index, x, y) in zip(glyphs, parsed.glyphs, strict=True):
        font.set_size(size, 72)
        left, bottom, right, top = (
            side / 64 for side in font.load_glyph(glyph_index, flags=LoadFlags.NO_HINTING).bbox
        )
        boxes.setdefault(leaf, []).append((x + left, -(y + top), x + right, -(y + bottom)))
    for leaf, (x, y, width, height) in zip(rules, parsed.rects, strict=True):
        boxes.setdefault(leaf, []).append((x, -(y + height), x + width, -y))
    tokens = tuple(label_tokens(node))
    placed = tuple(
        Placed(
            tokens[leaf],
            (min(b[0] for b in box), min(b[1] for b in box), max(b[2] for b in box), max(b[3] for b in box)),
        )
        for leaf, box in sorted(boxes.items())
    )
    return Formula(tokens, placed)


@lru_cache(maxsize=1)
def _typesetter() -> Any:
    from matplotlib.mathtext import MathTextParser

    return MathTextParser("path")


class Writer:
    """A simulated writer, the same for the same number and seed."""

    def __init__(self, number: int, seed: int) -> None:
        self.number = number
        self._seed = seed
        rng = np.random.default_rng([seed, Stream.WRITER, number])
        self.font = str(rng.choice(_HANDS))
        self.slant = rng.normal(0.08, 0.12)
        self.widen = np.exp(rng.normal(0, 0.12))
        self.shake = rng.uniform(0.1, 0.55)  # of a stroke, Hershey units
        self.untidy = rng.uniform(0.3, 1.0)  # how far symbols differ from one another
        self.rise = rng.normal(0, 0.02)  # of the line of writing
        self.hurry = rng.uniform(0.0, 0.5)  # how round corners get
        self.size = np.exp(rng.normal(2.5, 0.5))  # units a point: another one on each device
        self.backwards = rng.random() < 0.15
        self.disorder = rng.uniform(0, 0.15)  # how often two symbols change places in time
        self.speed = np.exp(rng.normal(0, 0.3))  # of the pen

    def write(self, typeset: Formula, name: str, rng: np.random.Generator) -> tuple[Ink, list[Points]]:
        """Write a formula; returns the ink, and each stroke's point times in milliseconds."""
        by_symbol = [self._symbol(placed, rng) for placed in typeset.placed]
        order = list(range(len(by_symbol)))
        for i in range(1, len(order)):
            if rng.random() < self.disorder:
                order[i - 1], order[i] = order[i], order[i - 1]
        strokes: list[Stroke] = []
        owned: dict[int, tuple[int, ...]] = {}
        for i in order:
            owned[i] = tuple(range(len(strokes), len(strokes) + len(by_symbol[i])))
            strokes += [
                np.round(self._on_page(points) * self.size, 2).astype(np.float32) for points in by_symbol[i]
            ]
        symbols = tuple(Symbol(placed.token, owned[i]) for i, placed in enumerate(typeset.placed))
        label = _latex(typeset.tokens)
        ink = Ink(name, tuple(strokes), label, f"synthetic-{self.number}", symbols)
        return ink, self._times(strokes, rng)

    def _symbol(self, placed: Placed, rng: np.random.Generator) -> list[Points]:
        """Return the strokes of one symbol in its box on the page, in points."""
        left, top, right, bottom = placed.box
        if placed.token == r"\frac":
            strokes = [np.array([[left, (top + bottom) / 2], [right, (top + bottom) / 2]])]
        elif placed.token == r"\sqrt":
            height, foot = bottom - top, min(0.45 * (bottom - top), 5.0)
            strokes = [
                np.array(
                    [
                        [left, top + 0.6 * height],
                        [left + 0.3 * foot, top + 0.55 * height],
                        [left + 0.6 * foot, bottom],
                        [left + foot * 1.2, top],
                        [right, top],
                    ]
                )
            ]
        else:
            strokes = self._glyph(placed)
        scale = max(min(right - left, 8.0), min(bottom - top, 8.0)) / _EM  # points a Hershey unit
        shaken = [self._shaken(_resampled(s, 0.9 * max(scale, 0.1)), scale, rng) for s in strokes]
        centre = np.array([(left + right) / 2, (top + bottom) / 2])
        wide = placed.token in (r"\frac", r"\sqrt")
        untidy = self.untidy * (0.3 if wide else 1.0)
        turn = rng.normal(0, 0.06) * untidy
        stretch = np.exp(rng.normal(0, 0.1, 2) * untidy)
        linear = np.array([[stretch[0], -turn], [turn, stretch[1]]])
        shift = rng.normal(0, 0.5, 2) * untidy * min(1.0, scale * _EM / 8 + 0.3)
        result = [(points - centre) @ linear.T + centre + shift for points in shaken]
        return [points[::-1] for points in result] if self.backwards and len(result) == 1 else result

    def _glyph(self, placed: Placed) -> list[Points]:
        """Return a token's glyph, fitted into its box, with this writer's deformation."""
        font, character = _SYMBOLS.get(placed.token, (self.font, placed.token))
        if placed.token in _NO_HAND:
            font = "futural"
        strokes = [np.array(s) for s in _hershey(font, character)]
        habit = np.random.default_rng([self._seed, Stream.HABIT, self.number, sum(placed.token.encode())])
        left, top, right, bottom = placed.box
        points = np.concatenate(strokes)
        low, size = points.min(axis=0), np.maximum(np.ptp(points, axis=0), 1e-3)
        box = np.array([right - left, bottom - top])
        # A glyph without width (-) or height keeps that; none is stretched so far that 1 becomes 7.
        across, down = np.where(size > 1, box / np.maximum(size, 1), np.inf)
        stretch = np.minimum([across, down], 1.3 * min(across, down))
        fitted = [(s - low - size / 2) * stretch + box / 2 for s in strokes]
        bend = habit.normal(0, 0.07, 4)
        centre = box / 2
        for i, s in enumerate(fitted):
            u = (s - centre) / np.maximum(box, 1e-3)
            warp = np.stack([bend[0] * u[:, 1] ** 2 + bend[1] * u[:, 0] * u[:, 1],
                             bend[2] * u[:, 0] ** 2 + bend[3] * u[:, 0] * u[:, 1]], axis=1)  # fmt: skip
            fitted[i] = s + warp * box * 1.5 + placed.box[:2]
        return fitted

    def _shaken(self, points: Points, scale: float, rng: np.random.Generator) -> Points:
        """Add smooth tremor and cut corners."""
        count = len(points)
        if count < 3:
            return points + rng.normal(0, 0.2 * self.shake * scale, points.shape)
        knots = max(2, count // 6)
        tremor = rng.normal(0, 2.0 * self.shake * scale, (knots, 2))
        where = np.linspace(0, knots - 1, count)
        wobble = np.stack([np.interp(where, np.arange(knots), tremor[:, axis]) for axis in (0, 1)], axis=1)
        rounded = points.copy()
        rounded[1:-1] += self.hurry * (0.5 * (points[:-2] + points[2:]) - points[1:-1])
        return rounded + wobble

    def _on_page(self, points: Points) -> Points:
        """Apply the writer's proportions, slant and baseline to points on the page."""
        x, y = points[:, 0] * self.widen, points[:, 1]
        return np.stack([x - self.slant * y, y + self.rise * x], axis=1)

    def _times(self, strokes: Sequence[Stroke], rng: np.random.Generator) -> list[Points]:
        """Return point times: slow at the ends of a stroke, with pauses between strokes."""
        now, times = 0.0, []
        for stroke in strokes:
            count = len(stroke)
            phase = np.linspace(0, np.pi, count)
            pace = (12.0 / self.speed) * (1.5 - np.sin(phase))
            times.append(np.round(now + np.cumsum(pace), 1))
            now = float(times[-1][-1]) + rng.uniform(80, 400)
        return times


@lru_cache(maxsize=512)
def _hershey(font: str, character: str) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Return the strokes of a glyph in font units, y down."""
    fonts = _font(font)
    strokes = tuple(
        tuple((float(x), float(y)) for x, y in stroke) for stroke in fonts.strokes_for_text(character)
    )
    if not strokes:
        raise ValueError(f"Hershey's font {font} has no glyph for {character!r}")
    return strokes


@lru_cache(maxsize=16)
def _font(name: str) -> Any:
    from HersheyFonts import HersheyFonts

    fonts = HersheyFonts()
    fonts.load_default_font(name)
    return fonts


def _resampled(points: Points, step: float) -> Points:
    """Resample a polyline at even distances of about `step`."""
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    count = max(2, int(np.ceil(lengths[-1] / step)) + 1)
    where = np.linspace(0, lengths[-1], min(count, 400))
    return np.stack([np.interp(where, lengths, points[:, axis]) for axis in (0, 1)], axis=1)


def _latex(tokens: Sequence[str]) -> str:
    """Join tokens to LaTeX, with a space only between a control word and a letter."""
    return "".join(
        token + " " if token[-1:].isalpha() and token.startswith("\\") and after[:1].isalpha() else token
        for token, after in zip(tokens, [*tokens[1:], ""], strict=True)
    )
