"""`python -m components data symbols`: ten samples of each class of the symbol bank, with their source."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from components.cli.base import CommandError
from components.files import atomic_write
from components.ink.raster import Picture
from components.synthesis.symbol_bank import Sample, SymbolBank, box_of

BANK = Path("data/symbols.parquet")
_CELL, _NAME, _SHOWN, _BLOCKS = (
    46,
    130,
    10,
    3,
)  # pixels: of a sample, of a name; columns


def run(options: Namespace) -> int:
    """Writes the sheet and prints where it is. Raises CommandError."""
    try:
        bank = SymbolBank.load(options.bank)
        with atomic_write(options.out) as temporary:
            contact_sheet(bank, np.random.default_rng(options.seed)).save(temporary, "PNG")
    except OSError as error:
        raise CommandError(str(error)) from None
    print(options.out)
    return 0


def contact_sheet(bank: SymbolBank, rng: np.random.Generator) -> Image.Image:
    """All classes, each with its name, number of samples, and ten of them, drawn from all sources."""
    tokens = bank.tokens
    lines = -(-len(tokens) // _BLOCKS)
    block, high = _NAME + _SHOWN * _CELL + 10, _CELL + 12
    page = Image.new("L", (max(1, _BLOCKS * block), max(1, lines * high)), 255)
    draw, font, small = ImageDraw.Draw(page), ImageFont.load_default(13), ImageFont.load_default(9)
    for number, token in enumerate(tokens):
        left, top = number // lines * block, number % lines * high
        draw.text((left + 4, top + 6), token, fill=0, font=font)
        draw.text((left + 4, top + 26), f"{bank.count(token):,}", fill=90, font=small)
        for place in range(_SHOWN):
            sample = bank.draw(token, rng)
            x = left + _NAME + place * _CELL
            page.paste(Image.fromarray(drawn(sample)), (x, top))
            draw.text((x + 2, top + _CELL - 1), sample.source[:8], fill=120, font=small)
        draw.line((left, top + high - 1, left + block - 10, top + high - 1), fill=220)
    return page


def drawn(sample: Sample) -> Picture:
    """One sample, filling a cell."""
    picture = np.full((_CELL, _CELL), 255, np.uint8)
    low, high = box_of(sample.strokes)
    scale = (_CELL - 14) / max(float((high - low).max()), 1e-6)
    offset = (_CELL - (high - low) * scale) / 2
    for stroke in sample.strokes:
        points = np.round(((stroke - low) * scale + offset) * 16).astype(np.int32)
        cv2.polylines(picture, [points[:, None]], False, 0, 2, cv2.LINE_AA, 4)
    return picture
