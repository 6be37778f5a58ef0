"""How often several lines of writing are told, and how often a single formula is taken for several.

    python -m benchmarks.lines --inks FOLDER

Every ink is a single formula: whatever is told of it is a false alarm. Inks stacked in twos and threes, at
distances of 0.4 to 1.6 symbols, are several lines. Both are drawn plainly, and photographed as
`benchmarks.photographs` does it.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.photographs import photographed
from benchmarks.sheet_kinds import written
from components.ink.ink import Ink, Stroke
from components.ink.raster import RasterSettings, bounds, draw, symbol_height
from components.recognizer.bundle import bundled_model, load_bundle
from components.recognizer.lines import count_lines
from components.recognizer.preprocessing import PictureError, prepare_source

Counted = Callable[[Sequence[Stroke], int], int]  # strokes and a seed to lines; 0 where nothing can be read
_LENGTH = range(6, 41)  # characters of LaTeX: a shorter formula is no line of writing


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--inks", type=Path, required=True, help="a folder of InkML files, searched in depth")
    parser.add_argument("--stacks", type=int, default=300)
    parser.add_argument("--photographs", type=int, default=300, help="of single formulas, and of stacks")
    options = parser.parse_args()
    settings = load_bundle(bundled_model()).settings.raster
    inks = list(written(options.inks))
    parts = [ink for ink, label in inks if len(label) in _LENGTH]
    alone = [(ink.strokes, zlib.crc32(ink.id.encode())) for ink, _ in inks]
    stacks = list(stacked(parts, options.stacks))
    table = Table("", "n", "taken for several lines")
    for kind, count, most in (
        ("plain", on_drawing(settings), None),
        ("photographed", on_photograph(settings), options.photographs),
    ):
        for name, sources in (("single formulas", alone[:most]), ("several lines", stacks[:most])):
            told = sum(count(strokes, seed) > 1 for strokes, seed in sources)
            table.add_row(f"{name}, {kind}", str(len(sources)), f"{told}, {told / len(sources):.1%}")
    Console().print(table)


def stacked(inks: Sequence[Ink], count: int, seed: int = 17) -> Iterator[tuple[list[Stroke], int]]:
    """Two or three inks below one another, with their symbols of one size; and a seed."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        strokes: list[Stroke] = []
        down = 0.0
        for place in rng.choice(len(inks), rng.integers(2, 4), replace=False):
            line = inks[place].strokes
            (low, high), symbol = bounds(line), symbol_height(line)
            start = np.array([rng.uniform(0, 1.5), down])
            strokes += [((stroke - low) / symbol + start).astype(np.float32) for stroke in line]
            down += float(high[1] - low[1]) / symbol + rng.uniform(0.4, 1.6)
        yield strokes, number


def on_drawing(settings: RasterSettings) -> Counted:
    return lambda strokes, seed: count_lines(draw(strokes, settings))


def on_photograph(settings: RasterSettings) -> Counted:
    def count(strokes: Sequence[Stroke], seed: int) -> int:
        try:
            picture = prepare_source(photographed(strokes, np.random.default_rng(seed)), settings).picture
        except PictureError:
            return 0
        return count_lines(picture)

    return count


if __name__ == "__main__":
    main()
