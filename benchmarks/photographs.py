"""How much is lost on paper: the same inks, plain and photographed.

    python -m benchmarks.photographs draw --inks FOLDER --out data/photographs
    python -m benchmarks.photographs measure --bundle models/crohme data/photographs

`draw` writes pictures, and labels.csv beside them. The photographs are made by other code, with other
textures and other parameters than those of training (`components.augmentation.paper`): what is learnt there
has to hold here. They depend on the seed and the ink's name alone.
"""

from __future__ import annotations

import argparse
import csv
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.sheet_kinds import plain, written
from components.ink.ink import Stroke
from components.ink.raster import symbol_height
from components.latex.metrics import score
from components.latex.tokenizer import tokenize
from components.recognizer.preprocessing import PictureError
from components.recognizer.recognizer import Recognizer

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator

SHEETS = ("blank", "ruled", "squared", "dotted", "blank", "recycled")


def photographed(strokes: Sequence[Stroke], rng: Rng) -> bytes:
    """A telephone's JPEG of an ink on a sheet."""
    symbol = symbol_height(strokes)
    units = np.concatenate(strokes)
    extent = np.maximum(np.ptp(units, axis=0), symbol)
    # Drawn in millimetres of paper: a symbol is 4 to 9 mm high.
    millimetre = symbol / rng.uniform(4, 9)
    size = extent / millimetre + rng.uniform(6, 22, 2)
    dots = float(min(rng.uniform(5, 11), 1500 / size.max()))  # pixels a millimetre
    width, height = (int(side * dots) for side in size)
    offset = (size - extent / millimetre) * rng.uniform(0.3, 0.7, 2)
    places = [((s - units.min(axis=0)) / millimetre + offset) * dots for s in strokes]
    paper = _sheet(height, width, dots, rng)
    ink = _ink(places, height, width, rng.uniform(0.35, 1.1) * dots, rng)
    colour = np.array(
        [(25, 25, 30), (40, 50, 120), (70, 70, 72), (110, 110, 112), (20, 40, 90)][rng.integers(5)]
    )
    scene = paper * (1 - ink[..., None]) + np.minimum(colour, paper) * ink[..., None]
    return _shot(scene, rng)


def _sheet(height: int, width: int, dots: float, rng: Rng) -> Floats:
    """A sheet of paper in its own colours."""
    kind = SHEETS[int(rng.integers(len(SHEETS)))]
    tone = np.array([238, 237, 232]) - rng.uniform(0, 14, 3)
    if kind == "recycled":
        tone = np.array([205, 200, 186]) - rng.uniform(0, 20)
    sheet = np.ones((height, width, 3)) * tone
    fibres = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), sigmaX=3, sigmaY=0.8)
    sheet += fibres[..., None] * rng.uniform(0, 12)
    colour = np.array([(120, 150, 200), (150, 150, 155), (170, 130, 140), (90, 110, 160)][rng.integers(4)])
    strength = rng.uniform(0.35, 1)
    gap = dots * (rng.choice([7, 8, 9.5]) if kind == "ruled" else 5)
    thick = max(1, round(dots * rng.uniform(0.15, 0.35)))
    rows, columns = np.arange(rng.uniform(0, gap), height, gap), np.arange(rng.uniform(0, gap), width, gap)
    mask = np.zeros((height, width), np.uint8)
    if kind in ("ruled", "squared"):
        for y in rows:
            cv2.line(mask, (0, int(y)), (width, int(y)), 255, thick)
    if kind == "squared":
        for x in columns:
            cv2.line(mask, (int(x), 0), (int(x), height), 255, thick)
    if kind == "dotted":
        for y in rows:
            for x in columns:
                cv2.circle(mask, (int(x), int(y)), thick, 255, -1)
    share = cv2.GaussianBlur(mask, (0, 0), 0.6)[..., None] / 255 * strength
    return np.asarray(sheet * (1 - share) + colour * share)


def _ink(places: Sequence[Floats], height: int, width: int, pen: float, rng: Rng) -> Floats:
    """Opacity of the ink: a ballpoint skips, a felt pen bleeds, a pencil leaves the paper's hollows white."""
    mask = np.zeros((height, width), np.uint8)
    for stroke in places:
        path = np.rint(stroke * 16).astype(np.int32)
        points = path if len(path) > 1 else np.repeat(path, 2, 0)
        cv2.polylines(mask, [points], False, 255, max(1, round(pen)), cv2.LINE_AA, 4)
    opacity = mask / 255
    kind = rng.integers(3)
    if kind == 0:
        hollows = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), 1.2)
        opacity *= np.where(hollows * 4 > rng.uniform(1, 2.2), rng.uniform(0.3, 0.7), rng.uniform(0.7, 0.95))
    elif kind == 1:
        wet = cv2.GaussianBlur(opacity, (0, 0), max(0.25 * pen, 0.5))
        opacity = np.clip(1.6 * wet, 0, 1) * rng.uniform(0.85, 1)
    return np.asarray(opacity)


def _shot(scene: Floats, rng: Rng) -> bytes:
    """The camera: aslant, with a hand's shadow, some blur, a small sensor's noise."""
    height, width = scene.shape[:2]
    around = rng.uniform(-0.02, 0.06, (4, 2)) * min(height, width) * (rng.random() < 0.7)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    desk = rng.random() < 0.25
    shift = np.abs(around) * (1 if desk else -1) * np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    # Without a desk the sheet is larger than the picture, but no ink is cut off: six millimetres are free.
    matrix = cv2.getPerspectiveTransform(corners, (corners + 0.5 * shift).astype(np.float32))
    ground = [int(c) for c in rng.integers(20, 130, 3)] if desk else [0, 0, 0]
    mode = cv2.BORDER_CONSTANT if desk else cv2.BORDER_REPLICATE
    seen = cv2.warpPerspective(scene, matrix, (width, height), borderMode=mode, borderValue=ground)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = 1 - rng.uniform(0, 0.25) * (x**2 + y**2) / 2 + rng.uniform(-0.2, 0.2) * x
    if rng.random() < 0.35:
        points = rng.uniform(-0.2, 1.2, (6, 2)) * (width, height)
        hand = cv2.fillPoly(np.zeros((height, width)), [cv2.convexHull(points.astype(np.int32))], 1.0)
        light *= 1 - rng.uniform(0.15, 0.45) * cv2.GaussianBlur(hand, (0, 0), rng.uniform(4, 25))
    seen = seen * (light * rng.uniform(0.6, 1.05))[..., None] * (1 + rng.normal(0, 0.03, 3))
    shrink = rng.uniform(0.35, 1)
    seen = cv2.resize(seen, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.3, 1.3))
    if rng.random() < 0.2:  # the hand moved
        length = int(rng.integers(2, 5))
        seen = cv2.blur(seen, (length, 1) if rng.random() < 0.5 else (1, length))
    seen = seen + rng.normal(0, rng.uniform(0, 5), seen.shape)
    file = BytesIO()
    Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8)).save(
        file, "JPEG", quality=int(rng.integers(45, 92))
    )
    return file.getvalue()


def draw_all(inks: Path, out: Path, seed: int, count: int) -> int:
    """Writes a plain picture and a photograph of each ink, and labels.csv; returns how many inks."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for ink, label in list(written(inks))[: count or None]:
        rng = np.random.default_rng([seed, zlib.crc32(ink.id.encode())])
        (out / f"{ink.id}.jpg").write_bytes(photographed(ink.strokes, rng))
        picture = plain(ink.strokes)
        (out / f"{ink.id}-plain.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        rows.append((f"{ink.id}.jpg", label))
    with (out / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "latex"))
        writer.writerows(rows)
    return len(rows)


def read(recognizer: Recognizer, file: Path, beam: int) -> str:
    try:
        return recognizer.read_file(file.read_bytes(), beam).latex
    except PictureError:
        return ""


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    draw = commands.add_parser("draw")
    draw.add_argument("--inks", type=Path, required=True)
    draw.add_argument("--out", type=Path, required=True)
    draw.add_argument("--seed", type=int, default=13)
    draw.add_argument("--count", type=int, default=0, help="0: all")
    measure = commands.add_parser("measure")
    measure.add_argument("folders", type=Path, nargs="+")
    measure.add_argument("--bundle", type=Path, default=Path("models/crohme"))
    measure.add_argument("--beam", type=int, default=1)
    measure.add_argument("--every", type=int, default=1, help="take each so many-th picture")
    options = parser.parse_args()
    console = Console()
    if options.command == "draw":
        console.print(f"{draw_all(options.inks, options.out, options.seed, options.count)} inks")
        return
    recognizer = Recognizer.load(options.bundle, threads=1)
    table = Table("pictures", "n", "plain, exact", "photographed, exact", "plain, CER", "photographed, CER")
    for folder in options.folders:
        with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))[:: options.every]
        labels = [tokenize(row["latex"]) for row in rows]
        cells: list[list[str]] = [[], []]
        for ending in ("-plain.png", ".jpg"):
            files = [folder / row["file"].replace(".jpg", ending) for row in rows]
            answers = (tokenize(read(recognizer, file, options.beam)) for file in files)
            found = score(zip(labels, answers, strict=True))
            cells[0].append(f"{found.exprate:.1%}")
            cells[1].append(f"{found.cer:.1%}")
        table.add_row(folder.name, str(len(rows)), *cells[0], *cells[1])
    console.print(table)


if __name__ == "__main__":
    main()
