"""Kinds of pictures that people send, each drawn of the same inks.

    python -m benchmarks.sheet_kinds --inks FOLDER

Takes inks that the bundle reads right when they are drawn plainly, draws each as scans with borders, cards,
photographs on desks, ruled and squared paper, turned, …, and counts how many are still read right.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from components.ink.ink import Ink, Stroke
from components.ink.inkml import InkError, parse_inkml
from components.ink.raster import bounds, draw_in, frame_at
from components.latex.normalizer import LabelError, normalize
from components.recognizer.preprocessing import PictureError
from components.recognizer.recognizer import Recognizer

Pixels = npt.NDArray[np.uint8]  # (height, width, 3), red first
Rng = np.random.Generator
Kind = Callable[[Pixels, Rng], Pixels]
Colour = tuple[int, int, int]

BLACK: Colour = (0, 0, 0)


def plain(strokes: Sequence[Stroke], width: int = 1160, margin: int = 60, pen: float = 7.0) -> Pixels:
    """Black on white, as an image editor exports it."""
    low, high = bounds(strokes)
    size = high - low
    scale = min((width - 2 * margin) / max(size[0], 1e-6), (0.7 * width) / max(size[1], 1e-6))
    return np.dstack([draw_in(strokes, frame_at(low, high, float(scale), margin), margin, pen)] * 3)


def _whole(picture: Pixels, rng: Rng) -> Pixels:
    return picture


def border(width: int, tone: int) -> Kind:
    def make(picture: Pixels, rng: Rng) -> Pixels:
        return padded(picture, [width] * 4, (tone,) * 3)

    return make


def black_scan(picture: Pixels, rng: Rng) -> Pixels:
    """A scanner's lid, darker on some sides than on others."""
    sides = [int(side) for side in rng.integers(25, 90, 4)]
    return padded(picture, sides, (int(rng.integers(0, 30)),) * 3)


def padded(picture: Pixels, sides: Sequence[int], colour: Colour) -> Pixels:
    """With top, bottom, left and right borders."""
    top, bottom, left, right = sides
    wide = cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=colour)
    return np.asarray(wide, np.uint8)


def edge_lines(*sides: str, width: int = 2) -> Kind:
    """Lines along the picture's edges."""

    def make(picture: Pixels, rng: Rng) -> Pixels:
        amounts = [width * (side in sides) for side in ("top", "bottom", "left", "right")]
        return padded(picture, amounts, BLACK)

    return make


def box(inset: int, width: int, tone: int = 0) -> Kind:
    def make(picture: Pixels, rng: Rng) -> Pixels:
        made = picture.copy()
        high, wide = made.shape[:2]
        cv2.rectangle(made, (inset, inset), (wide - 1 - inset, high - 1 - inset), (tone,) * 3, width)
        return made

    return make


def card(radius: int, around: int, ground: int) -> Kind:
    """A white card with rounded corners on a dark page."""

    def make(picture: Pixels, rng: Rng) -> Pixels:
        whole = padded(picture, [around] * 4, (255,) * 3)
        high, wide = whole.shape[:2]
        mask = np.zeros((high, wide), np.uint8)
        a, b, r = around, around, radius
        cv2.rectangle(mask, (a + r, b), (wide - a - r, high - b), 255, -1)
        cv2.rectangle(mask, (a, b + r), (wide - a, high - b - r), 255, -1)
        for x in (a + r, wide - a - r):
            for y in (b + r, high - b - r):
                cv2.circle(mask, (x, y), r, 255, -1, cv2.LINE_AA)
        share = mask[..., None] / 255
        return (whole * share + ground * (1 - share)).astype(np.uint8)

    return make


def dark_frame(width: int) -> Kind:
    def make(picture: Pixels, rng: Rng) -> Pixels:
        return padded(255 - picture, [width] * 4, (255,) * 3)

    return make


def on_desk(share: float, colour: Colour, turn: float = 0.0) -> Kind:
    """A photograph of a sheet that a desk surrounds; `share` of the picture's side is desk at each side."""

    def make(picture: Pixels, rng: Rng) -> Pixels:
        high, wide = picture.shape[:2]
        around = round(share * wide / (1 - 2 * share))
        paper = np.array([232, 226, 210], np.float32)
        sheet = picture / 255 * paper + (1 - picture / 255) * 35
        grain = cv2.resize(
            rng.normal(0, 1, (high + 2 * around, 40)).astype(np.float32),
            (wide + 2 * around, high + 2 * around),
        )
        desk = np.array(colour, np.float32) * (1 + 0.05 * grain[..., None])
        turned = cv2.getRotationMatrix2D((wide / 2, high / 2), turn, 1)
        turned[:, 2] += around
        size = desk.shape[1::-1]
        mask = cv2.warpAffine(np.ones((high, wide), np.float32), turned, size, flags=cv2.INTER_LINEAR)[
            ..., None
        ]
        scene = desk * (1 - mask) + cv2.warpAffine(sheet.astype(np.float32), turned, size) * mask
        return photographed(scene, rng)

    return make


def photographed(scene: npt.NDArray[np.floating], rng: Rng) -> Pixels:
    """In light that falls off, slightly blurred, with noise."""
    high, wide = scene.shape[:2]
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, wide), np.linspace(-0.5, 0.5, high))
    light = 0.85 + rng.uniform(-0.3, 0.3) * x + rng.uniform(-0.2, 0.2) * y
    seen = cv2.GaussianBlur(scene * light[..., None], (0, 0), 0.9) + rng.normal(0, 3, scene.shape)
    return np.asarray(np.clip(seen, 0, 255), np.uint8)


def lines(step: float, width: int, colour: Colour, squared: bool = False, margin: bool = False) -> Kind:
    """Ruled or squared paper behind the ink."""

    def make(picture: Pixels, rng: Rng) -> Pixels:
        sheet = np.full_like(picture, 255)
        high, wide = sheet.shape[:2]
        for y in np.arange(rng.uniform(0.1, 1) * step, high, step):
            cv2.line(sheet, (0, round(y)), (wide, round(y)), colour, width)
        if squared:
            for x in np.arange(rng.uniform(0.1, 1) * step, wide, step):
                cv2.line(sheet, (round(x), 0), (round(x), high), colour, width)
        if margin:
            cv2.line(sheet, (30, 0), (30, high), (220, 80, 80), width)
        return np.minimum(sheet, picture)

    return make


def photographed_lines(
    step: float, width: int, colour: Colour, squared: bool = False, turn: float = 0
) -> Kind:
    """Ruled or squared paper as a telephone takes it."""
    drawn = lines(step, width, colour, squared)

    def make(picture: Pixels, rng: Rng) -> Pixels:
        sheet = drawn(picture, rng).astype(np.float32)
        high, wide = sheet.shape[:2]
        matrix = cv2.getRotationMatrix2D((wide / 2, high / 2), turn, 1.02)
        sheet = cv2.warpAffine(sheet, matrix, (wide, high), borderMode=cv2.BORDER_REPLICATE)
        return photographed(30 + sheet * 0.75, rng)

    return make


def tight(picture: Pixels, rng: Rng) -> Pixels:
    """Cut out along the ink."""
    rows, columns = (np.flatnonzero((picture[..., 0] < 128).any(axis=axis)) for axis in (1, 0))
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def desk_at(*sides: str, share: float = 0.12, colour: Colour = (62, 44, 33)) -> Kind:
    """As `on_desk`, but the desk is seen along some sides only."""
    whole = on_desk(share, colour)

    def make(picture: Pixels, rng: Rng) -> Pixels:
        seen = whole(picture, rng)
        high, wide = picture.shape[:2]
        y, x = (seen.shape[0] - high) // 2 + 6, (seen.shape[1] - wide) // 2 + 6
        rows = slice(None if "top" in sides else y, None if "bottom" in sides else seen.shape[0] - y)
        columns = slice(None if "left" in sides else x, None if "right" in sides else seen.shape[1] - x)
        return np.ascontiguousarray(seen[rows, columns])

    return make


def dotted(picture: Pixels, rng: Rng) -> Pixels:
    sheet = np.full_like(picture, 255)
    for y in range(20, sheet.shape[0], 50):
        for x in range(25, sheet.shape[1], 50):
            cv2.circle(sheet, (x, y), 3, (150, 150, 160), -1, cv2.LINE_AA)
    return np.minimum(sheet, picture)


def holes(picture: Pixels, rng: Rng) -> Pixels:
    """A sheet with a margin's line and punch holes, scanned."""
    sheet = padded(picture, [20, 20, 150, 20], (255,) * 3)
    for share in (0.3, 0.7):
        cv2.circle(sheet, (60, round(share * sheet.shape[0])), 24, (40, 40, 40), -1, cv2.LINE_AA)
    cv2.line(sheet, (130, 0), (130, sheet.shape[0]), (230, 120, 120), 2)
    return sheet


def pen(colour: Colour, paper: Colour = (255, 255, 255)) -> Kind:
    def make(picture: Pixels, rng: Rng) -> Pixels:
        share = picture / np.float32(255)
        mixed = share * np.array(paper, np.float32) + (1 - share) * np.array(colour, np.float32)
        return np.asarray(mixed.astype(np.uint8), np.uint8)

    return make


def both(*kinds: Kind) -> Kind:
    def make(picture: Pixels, rng: Rng) -> Pixels:
        for kind in kinds:
            picture = kind(picture, rng)
        return picture

    return make


def turned(quarters: int) -> Kind:
    def make(picture: Pixels, rng: Rng) -> Pixels:
        return np.ascontiguousarray(np.rot90(picture, quarters))

    return make


BLUE, LIGHT_BLUE, GREY = (110, 150, 220), (190, 210, 240), (120, 120, 130)

KINDS: dict[str, Kind] = {
    "plain": _whole,
    "black scan border": black_scan,
    "border 8 px black": border(8, 0),
    "border 20 px black": border(20, 0),
    "border 45 px dark": border(45, 40),
    "border 20 px grey": border(20, 128),
    "border 30 px light grey": border(30, 200),
    "frame 1 px": border(1, 0),
    "frame 2 px": border(2, 0),
    "frame 4 px": border(4, 60),
    "edge line left": edge_lines("left"),
    "edge line bottom": edge_lines("bottom"),
    "edge line top, 5 px": edge_lines("top", width=5),
    "edge lines top and bottom": edge_lines("top", "bottom"),
    "edge lines left and right": edge_lines("left", "right"),
    "edge line right, 1 px": edge_lines("right", width=1),
    "box inset 20 px": box(20, 2),
    "box inset 35 px, 4 px": box(35, 4),
    "box inset 10 px, grey": box(10, 2, 130),
    "card on dark page": card(20, 20, 30),
    "card on dark page, wide": card(45, 70, 45),
    "white frame on black": dark_frame(3),
    "white frame on black, 8 px": dark_frame(8),
    "dark desk 5 %": on_desk(0.05, (62, 44, 33)),
    "dark desk 15 %": on_desk(0.15, (50, 38, 30)),
    "dark desk 12 %, turned": on_desk(0.12, (45, 45, 50), 3),
    "light desk 15 %": on_desk(0.15, (186, 148, 100)),
    "light desk 10 %, turned": on_desk(0.10, (170, 140, 110), -4),
    "grey desk 20 %": on_desk(0.20, (120, 120, 125)),
    "ruled light blue": lines(88, 2, LIGHT_BLUE),
    "ruled blue": lines(75, 2, BLUE, margin=True),
    "ruled grey strong": lines(90, 3, GREY),
    "ruled black thin": lines(100, 2, (20, 20, 20)),
    "squared light": lines(59, 1, LIGHT_BLUE, True),
    "squared strong": lines(60, 2, (130, 140, 170), True),
    "squared 40 px grey": lines(40, 2, (150, 150, 150), True),
    "photo, ruled": photographed_lines(85, 2, BLUE, turn=1.5),
    "photo, ruled strong": photographed_lines(95, 3, GREY, turn=-2.5),
    "photo, squared": photographed_lines(60, 2, BLUE, True, turn=-1),
    "photo, squared on desk": both(lines(60, 2, LIGHT_BLUE, True), on_desk(0.1, (60, 50, 40), 2)),
    "punch holes": holes,
    "tight crop": tight,
    "dotted paper": dotted,
    "desk left": desk_at("left"),
    "desk left and bottom": desk_at("left", "bottom"),
    "light desk right and top": desk_at("right", "top", colour=(186, 148, 100)),
    "desk on three sides": desk_at("left", "right", "bottom", share=0.07),
    "red pen": pen((215, 40, 40)),
    "yellow pen": pen((240, 220, 40)),
    "blue pen, ruled": both(pen((40, 60, 150)), lines(80, 2, LIGHT_BLUE)),
    "turned by 90°": turned(1),
    "turned by 180°": turned(2),
    "turned by 270°": turned(3),
}


def written(folder: Path) -> Iterator[tuple[Ink, str]]:
    """The labelled inks of a folder, with their normalized label."""
    for path in sorted(folder.rglob("*.inkml")):
        try:
            ink = parse_inkml(path.read_bytes(), path.stem)
            if ink.label:
                yield ink, normalize(ink.label)
        except (InkError, LabelError):
            continue


def png(picture: Pixels, ending: str = ".png") -> bytes:
    return cv2.imencode(ending, picture[..., ::-1])[1].tobytes()


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/crohme"))
    parser.add_argument("--inks", type=Path, required=True, help="a folder of InkML files with labels")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--skip", type=int, default=0, help="inks that are left out first")
    parser.add_argument("--beam", type=int, default=3)
    parser.add_argument("--only", default="", help="part of the names of the kinds that are drawn")
    parser.add_argument("--save", type=Path, help="a folder for the pictures that are read wrong")
    options = parser.parse_args()
    recognizer = Recognizer.load(options.bundle, threads=1)
    chosen: list[tuple[Ink, str]] = []
    for ink, label in list(written(options.inks))[options.skip :]:
        if (
            5 <= len(label) <= 60
            and recognizer.read_file(png(plain(ink.strokes)), options.beam).latex == label
        ):
            chosen.append((ink, label))
        if len(chosen) == options.count:
            break
    table = Table("kind", "right", "of", "wrong")
    for number, (name, kind) in enumerate(KINDS.items()):
        if options.only not in name:
            continue
        wrong = []
        for place, (ink, label) in enumerate(chosen):
            rng = np.random.default_rng([7, number, place])
            data = png(kind(plain(ink.strokes), rng), ".jpg" if "desk" in name or "photo" in name else ".png")
            try:
                read = recognizer.read_file(data, options.beam).latex
            except PictureError as error:
                read = str(error)
            if read != label:
                wrong.append(f"{place}: {read[:40]}")
                if options.save:
                    options.save.mkdir(parents=True, exist_ok=True)
                    (options.save / f"{name.replace(' ', '_')}-{place}.png").write_bytes(data)
        table.add_row(name, str(len(chosen) - len(wrong)), str(len(chosen)), "; ".join(wrong[:3]))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
