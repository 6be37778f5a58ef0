"""`python -m components data`: random samples of a split with their labels; the symbol bank."""

from __future__ import annotations

import textwrap
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from components.cli import symbol_sheet
from components.cli.base import CommandError, Commands, count
from components.data.shards import SPLITS, read_table
from components.files import atomic_write

SHARDS = Path("data/shards")

_CELL, _PICTURE, _MARGIN = (320, 190), 120, 12  # pixels: a cell, its picture's height, around
_LINES, _LETTERS = 3, 42  # of a label
_EXAMPLES = """examples:
  python -m components data show test
  python -m components data show train --count 60 --seed 7 --out train.png"""


@dataclass(frozen=True)
class Sample:
    """A picture and its label."""

    png: bytes
    label: str


def add(commands: Commands) -> None:
    command = commands.add_parser("data", help="look at the data", epilog=_EXAMPLES,
                                  formatter_class=RawDescriptionHelpFormatter)  # fmt: skip
    verbs = command.add_subparsers(required=True, metavar="show|symbols")
    _add_symbols(verbs)
    verb = verbs.add_parser(
        "show",
        help="write random samples with their labels as a PNG",
        description="Writes a contact sheet of random samples of a split with their labels.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    verb.add_argument("split", choices=SPLITS)
    verb.add_argument("--count", type=count, default=24, metavar="N", help="(default: %(default)s)")
    verb.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: %(default)s)")
    verb.add_argument("--out", type=Path, help="(default: reports/samples-SPLIT.png)")
    verb.add_argument("--shards", type=Path, default=SHARDS, help="(default: %(default)s)")
    verb.set_defaults(run=run)


def _add_symbols(verbs: Commands) -> None:
    verb = verbs.add_parser(
        "symbols",
        help="ten samples of each symbol, as PNG",
        description="Puts ten samples of each class of the symbol bank, with their source, on one picture.",
    )
    verb.add_argument("--seed", type=int, default=0, metavar="N", help="others (default: %(default)s)")
    verb.add_argument("--out", type=Path, default=Path("reports/symbols.png"), help="(default: %(default)s)")
    verb.add_argument("--bank", type=Path, default=symbol_sheet.BANK, help="(default: %(default)s)")
    verb.set_defaults(run=symbol_sheet.run)


def run(options: Namespace) -> int:
    """Write the contact sheet and print its path. Raises CommandError."""
    out: Path = options.out or Path(f"reports/samples-{options.split}.png")
    try:
        samples = drawn(options.shards / options.split, options.count, options.seed)
        with atomic_write(out) as temporary:
            sheet(samples).save(temporary, "PNG")
    except OSError as error:  # no shards, or not writable
        raise CommandError(str(error)) from None
    print(out)
    return 0


def drawn(folder: Path, wanted: int, seed: int) -> list[Sample]:
    """Random samples of a split, in order; all if it has fewer. Raises FileNotFoundError."""
    table = read_table(folder, ["png", "latex"])
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(table), min(wanted, len(table)), replace=False))
    return [Sample(row["png"], row["latex"]) for row in table.take(chosen).to_pylist()]


def sheet(samples: Sequence[Sample]) -> Image.Image:
    """A contact sheet: each sample above its label."""
    columns = min(4, len(samples))
    rows = -(-len(samples) // columns)
    page = Image.new("L", (columns * _CELL[0], rows * _CELL[1]), 255)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    for number, sample in enumerate(samples):
        left, top = number % columns * _CELL[0], number // columns * _CELL[1]
        picture = Image.open(BytesIO(sample.png)).convert("L")
        picture.thumbnail((_CELL[0] - 2 * _MARGIN, _PICTURE - _MARGIN))
        page.paste(
            picture,
            (left + (_CELL[0] - picture.width) // 2, top + (_PICTURE - picture.height + _MARGIN) // 2),
        )
        lines = textwrap.wrap(sample.label, _LETTERS, max_lines=_LINES, placeholder=" …") or ["(no label)"]
        draw.multiline_text((left + _MARGIN, top + _PICTURE + 4), "\n".join(lines), fill=0, font=font)
        draw.rectangle((left, top, left + _CELL[0] - 1, top + _CELL[1] - 1), outline=200)
    return page
