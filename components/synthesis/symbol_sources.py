"""Sources of the symbol bank: ink, pictures of symbols, single-line fonts, derivations.

A source is a file or folder that params.yaml names; one that is null is left out.
"""

from __future__ import annotations

import json
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from itertools import pairwise
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from components.config import SymbolsParams
from components.data.rows import symbol_token
from components.data.shards import InkTable, read_table
from components.ink.ink import Stroke
from components.ink.inkml import parse_inkml, read_inkml
from components.latex.tokenizer import tokenize
from components.random_streams import Stream
from components.synthesis.derived_symbols import derived_samples
from components.synthesis.symbol_bank import Sample, SymbolBank, samples_of
from components.synthesis.thinning import smoothed, trace

Found = Iterator[tuple[str, Sample]]

_MOUSE_STEP = 3.0  # of the 105 units of Omniglot's canvas
OMNIGLOT_HELD_OUT = frozenset(range(17, 21))  # drawers whose symbols are for measuring alone


def _words(names: str) -> list[str]:
    return names.split()


_HASY = _words(
    r"\int \sum \infty \alpha \xi \equiv \partial \mathbb{R} \in \square \forall \approx \sim \Rightarrow "
    r"\subseteq \pi \pm \ne \varphi \times"
)
_LATIN_FONTS = ("futural", "rowmans", "cursive", "scripts")
_GREEK = _words(
    r"a \alpha b \beta c \gamma d \delta e \epsilon f \zeta g \eta h \vartheta i \iota j \kappa k \lambda "
    r"l \mu m \nu n \xi p \pi q \rho r \sigma s \tau t \upsilon u \varphi v \chi w \psi x \omega "
    r"C \Gamma D \Delta H \Theta K \Lambda N \Xi P \Pi R \Sigma T \Upsilon U \Phi W \Psi X \Omega "
    r"~ \sim & \& # \# : : ; ; @ @"
)
_MATH = _words(
    r'! \pm " \mp # \times $ \square % \% & \le '
    r"' \ge * * : \prod ; \sum ? \ne @ \equiv \ \backslash ^ \propto "
    r"_ \infty ` \circ d \subset e \cup f \supset g \cap h \in i \rightarrow j \uparrow k \leftarrow "
    r"l \downarrow m \partial n \nabla o \surd p \int v \exists w \aleph x \div z \perp "
    r"{ \{ | \angle } \} ~ \therefore"
)
_SIGNS = _words(r"J \triangle K \lozenge L \star o \diamond v \varsigma w \wp")
SCRIPT_FONTS = ("cursive", "scripts")  # with loops: nothing is derived from their letters


class SymbolSourceError(ValueError):
    """A symbol source cannot be read; the message names the parameter."""


def build_bank(params: SymbolsParams, train: Path, seed: int) -> SymbolBank:
    """Build the bank of all sources in `params`. Raises SymbolSourceError, OSError."""
    samples = [(token, s) for token, s in _from_train(train) if _is_token(token)]
    for name, path, read in (
        ("mathwriting", params.mathwriting, mathwriting_symbols),
        ("omniglot", params.omniglot, partial(omniglot_symbols, held_out=False)),
        ("hasy", params.hasy, hasy_symbols),
        ("own", params.own, own_symbols),
    ):
        if path is None:
            continue
        if not path.exists():
            raise SymbolSourceError(
                f"synthesize.symbols.{name}: {path} does not exist; name another, or null"
            )
        try:
            found = [(token, s) for token, s in read(path) if _is_token(token)]
        except SymbolSourceError:
            raise
        except (tarfile.TarError, lzma.LZMAError, EOFError, OSError, LookupError, ValueError) as error:
            raise SymbolSourceError(
                f"synthesize.symbols.{name}: {path} can't be read ({error}); name another, or null"
            ) from error
        if not found:
            raise SymbolSourceError(
                f"synthesize.symbols.{name}: {path} has no symbols of that kind; name another, or null"
            )
        samples += found
    if params.fonts:
        samples += list(font_symbols())
    if params.derived:
        parts = SymbolBank(((t, s) for t, s in samples if s.hand not in SCRIPT_FONTS), params.weights)
        samples += list(derived_samples(parts, np.random.default_rng([seed, Stream.SYMBOLS])))
    if not samples:
        raise SymbolSourceError("synthesize.symbols: no source has a symbol; name one")
    return SymbolBank(samples, params.weights)


def held_out_symbol(id: str) -> bool:
    """Whether a MathWriting symbol is held out for evaluation: half of them, by a hash of the name."""
    return zlib.crc32(id.encode()) % 2 == 0


def _is_token(token: str) -> bool:
    return len(tokenize(token)) == 1


def _from_train(train: Path) -> Found:
    inks = InkTable([read_table(train, ["strokes", "symbols"])])
    return iter(list(samples_of(((inks.strokes(i), inks.symbols(i)) for i in range(len(inks))), "train")))


def mathwriting_symbols(archive: Path, held_out: bool = False) -> Found:
    """Read MathWriting's single symbols (see `held_out_symbol`) and those of `symbols.jsonl`."""
    inks: dict[str, bytes] = {}
    listed: list[dict[str, object]] = []
    for name, data in _members(archive):
        place = PurePosixPath(name)
        if place.suffix == ".inkml" and place.parent.name in ("symbols", "train"):
            inks[f"{place.parent.name}/{place.stem}"] = data
        elif place.name == "symbols.jsonl":
            listed = [json.loads(line) for line in data.decode().splitlines()]
    for name, data in inks.items():
        if name.startswith("symbols/") and held_out_symbol(name) == held_out:
            ink = parse_inkml(data, name)
            yield _spelt(ink.label or ""), Sample(ink.strokes, "mathwriting", name)
    if held_out:
        return
    for entry in listed:
        found = inks.get(f"train/{entry['sourceSampleId']}")
        indices = entry["strokeIndices"]
        assert isinstance(indices, list)
        if found is not None:
            strokes = parse_inkml(found, "train").strokes
            if all(index < len(strokes) for index in indices):
                kept = tuple(strokes[index] for index in indices)
                yield _spelt(str(entry["label"])), Sample(kept, "mathwriting", str(entry["sourceSampleId"]))


def omniglot_symbols(archive: Path, held_out: bool = False) -> Found:
    """Read Omniglot's letters, without or only with the held-out drawers."""
    for name, data in _members(archive):
        if not name.endswith(".jsonl"):
            continue
        for line in data.decode().splitlines():
            entry = json.loads(line)
            if (entry["drawer"] in OMNIGLOT_HELD_OUT) == held_out:
                strokes = tuple(np.array(s, np.float32)[:, :2] for s in entry["strokes"] if s)
                if not held_out:  # what is measured stays as it was drawn
                    strokes = tuple(map(_without_steps, strokes))
                hand = f"{entry['alphabet']}-{entry['drawer']}"
                yield symbol_token(entry["label"]), Sample(strokes, "omniglot", hand)


def hasy_symbols(archive: Path) -> Found:
    """Read HASYv2's pictures of symbols, thinned to strokes."""
    pictures: dict[str, bytes] = {}
    labels: dict[str, list[int]] = {}
    for name, data in _members(archive):
        if name.endswith(".png"):
            pictures[name] = data
        elif name.endswith("_labels.csv"):
            labels[PurePosixPath(name).name.removesuffix("_labels.csv")] = [
                int(line) for line in data.decode().split()
            ]
    for split, numbers in sorted(labels.items()):
        names = sorted(n for n in pictures if f"/{split}" in n)
        if len(names) != len(numbers):
            raise SymbolSourceError(
                f"synthesize.symbols.hasy: {archive}: {len(names)} pictures of {split}, {len(numbers)} labels"
            )
        for name, number in zip(names, numbers, strict=True):
            picture = cv2.imdecode(np.frombuffer(pictures[name], np.uint8), cv2.IMREAD_GRAYSCALE)
            strokes = trace(np.asarray(picture) < 128) if picture is not None else ()
            if strokes:
                yield _HASY[number], Sample(strokes, "hasy", name)


def own_symbols(folder: Path) -> Found:
    """Read a folder of InkML files, one labelled symbol each."""
    for path in sorted(folder.rglob("*.inkml")):
        ink = read_inkml(path)
        if ink.label is not None:
            yield _spelt(ink.label), Sample(ink.strokes, "own", ink.writer or "")


def font_symbols() -> Found:
    """Read Hershey's single-line fonts."""
    from HersheyFonts import HersheyFonts

    fonts = HersheyFonts()
    letters = [(c, c) for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!?,.()[]+-=/"]
    tables = (("greeks", _GREEK), ("mathlow", _MATH), ("symbolic", _SIGNS))
    others = ((font, list(zip(table[::2], table[1::2], strict=True))) for font, table in tables)
    for font, characters in (*((name, letters) for name in _LATIN_FONTS), *others):
        fonts.load_default_font(font)
        for character, token in characters:
            if font == "scripts" and not character.isupper():
                continue
            strokes = tuple(np.array(s, np.float32) for s in fonts.strokes_for_text(character))
            if strokes:
                yield token, Sample(tuple(map(_dense, strokes)), "fonts", font)


def _dense(stroke: Stroke) -> Stroke:
    """Insert points into a stroke, so that it can be bent."""
    pieces = [np.linspace(a, b, 5)[:-1] for a, b in pairwise(stroke)]
    return np.concatenate([*pieces, stroke[-1:]]).astype(np.float32)


def _without_steps(stroke: Stroke) -> Stroke:
    """Remove the steps of a mouse: keep every few points and smooth them."""
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))])
    if length[-1] < 4 * _MOUSE_STEP:
        return stroke
    places = np.linspace(0, length[-1], int(length[-1] / _MOUSE_STEP) + 1)
    points = np.stack([np.interp(places, length, axis) for axis in stroke.T], axis=1)
    return smoothed(points.astype(np.float32), _MOUSE_STEP / 2)


def _spelt(label: str) -> str:
    return "-" if label == r"\frac" else symbol_token(label)


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an archive or folder by name."""
    if archive.is_dir():
        for path in sorted(archive.rglob("*")):
            if path.is_file():
                yield path.relative_to(archive).as_posix(), path.read_bytes()
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None:
                yield member.name, BytesIO(file.read()).getvalue()
