"""How long preprocessing takes on one core, for photographs of one megapixel.

    python -m benchmarks.preprocessing --inks FOLDER

Times are of the thread's processor, the best of some turns, so that other load on the machine does not count.
Decoding the JPEG, which is Pillow's part, is in a column of its own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from io import BytesIO
from itertools import islice
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.sheet_kinds import KINDS, Pixels, photographed, plain, written
from components.ink.raster import RasterSettings
from components.recognizer.bundle import load_bundle
from components.recognizer.preprocessing import open_pixels, prepare_pixels

_SHAPE = (866, 1155)  # one megapixel, 4:3
_NAMES = ("plain", "photo, blank", "photo, ruled", "photo, squared", "photo, squared on desk", "dotted paper")


def photograph(kind: str, sheet: Pixels, seed: int) -> bytes:
    """A JPEG of one megapixel that shows the sheet as a kind of `sheet_kinds` does."""
    rng = np.random.default_rng(seed)
    taken = photographed(30 + sheet * 0.75, rng) if kind == "photo, blank" else KINDS[kind](sheet, rng)
    size = _SHAPE[::-1]
    file = BytesIO()
    Image.fromarray(cv2.resize(taken, size, interpolation=cv2.INTER_AREA)).save(file, "JPEG", quality=85)
    return file.getvalue()


def on_sheet(picture: Pixels) -> Pixels:
    """The picture in the middle of a white sheet of 4:3."""
    height = max(picture.shape[0], round(picture.shape[1] * _SHAPE[0] / _SHAPE[1]))
    above = (height - picture.shape[0]) // 2
    below = height - picture.shape[0] - above
    return np.asarray(
        cv2.copyMakeBorder(picture, above, below, 0, 0, cv2.BORDER_CONSTANT, value=(255,) * 3), np.uint8
    )


def milliseconds(work: Callable[[], object], turns: int) -> float:
    """The best of some turns."""
    best = float("inf")
    for _ in range(turns):
        start = time.thread_time()
        work()
        best = min(best, time.thread_time() - start)
    return 1000 * best


def times(data: bytes, settings: RasterSettings, turns: int) -> tuple[float, float]:
    """Milliseconds of preprocessing and of decoding the file."""
    pixels = open_pixels(data)
    prepare = milliseconds(lambda: prepare_pixels(pixels, settings), turns)
    return prepare, milliseconds(lambda: open_pixels(data), turns)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/default"))
    parser.add_argument("--inks", type=Path, required=True, help="a folder of InkML files with labels")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    settings = load_bundle(options.bundle).settings.raster
    sheets = [on_sheet(plain(ink.strokes)) for ink, _ in islice(written(options.inks), options.count)]
    table = Table("1 megapixel", "preprocessing, median", "largest", "decoding the JPEG")
    for kind in _NAMES:
        taken = [photograph(kind, sheet, seed) for seed, sheet in enumerate(sheets)]
        prepare, decode = zip(*(times(data, settings, options.turns) for data in taken), strict=True)
        table.add_row(kind, f"{median(prepare):.2f} ms", f"{max(prepare):.2f} ms", f"{median(decode):.2f} ms")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
