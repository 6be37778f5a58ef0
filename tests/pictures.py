"""Folders of small pictures of formulas, as photographs of paper would be, with a list of what they say."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from components.ink.ink import Ink
from components.synthesis.formula_grammar import formula
from components.synthesis.handwriting import Writer, set_formula


def written(number: int, writer: int = 0, max_tokens: int = 4) -> Ink:
    """An ink of the grammar; no two numbers have the same strokes."""
    rng = np.random.default_rng([17, number])
    return Writer(writer, 7).write(set_formula(formula(rng, max_tokens)), f"{number}", rng)[0]


def photo(ink: Ink, seed: int = 0) -> np.ndarray:
    """The ink on grey, grainy paper in uneven light, far larger than a recognizer reads."""
    points = np.concatenate(ink.strokes)
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    scale = 300 / max(extent.max(), 1)
    width, height = (int(side) for side in extent * scale + 120)
    picture = np.full((height, width), 205, np.uint8)
    lines = [np.rint((stroke - low) * scale + 60).astype(np.int32) for stroke in ink.strokes]
    cv2.polylines(picture, lines, False, 40, 4, cv2.LINE_AA)
    light = np.linspace(0.85, 1.1, width)
    grain = np.random.default_rng(seed).normal(0, 3, picture.shape)
    return np.clip(picture * light + grain, 0, 255).astype(np.uint8)


def write_photo(path: Path, ink: Ink, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, photo(ink, seed))[1].tobytes())


def write_folder(folder: Path, count: int, writers: int = 6, first: int = 0) -> list[Ink]:
    """`count` photographs by so many writers in `folder`, and labels.csv."""
    inks = [written(first + number, number % writers) for number in range(count)]
    for number, ink in enumerate(inks):
        write_photo(folder / "img" / f"{number:03}.jpg", ink, number)
    rows = [(f"img/{n:03}.jpg", ink.label or "", f"w{n % writers}") for n, ink in enumerate(inks)]
    write_list(folder, rows)
    return inks


def write_list(
    folder: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = ("file", "latex", "writer")
) -> None:
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
