"""`python -m components predict FILE…`: reads pictures and InkML."""

from __future__ import annotations

import json
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from components.cli.base import CommandError, Commands, count
from components.ink.raster import Picture, Placement
from components.recognizer.explanation import Look
from components.recognizer.preprocessing import prepare_placed
from components.recognizer.recognizer import Reading, Recognizer
from components.registry.bundles import SHIPPED, bundle_folder

_FILES = 64  # read together
_EXAMPLES = """examples:
  python -m components predict picture.jpg strokes.inkml
  python -m components predict --n-best 5 --json *.png
  python -m components predict --model models:/handwritten-math-ocr@champion picture.png"""


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "predict",
        help="read pictures and InkML files",
        description="Reads pictures and InkML files. Exit status 1: one could not be read.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help="PNG, JPEG … or InkML")
    command.add_argument("--beam", type=count, default=3, metavar="N", help="beams (default: %(default)s)")
    command.add_argument(
        "--n-best", type=count, default=1, metavar="N", help="say the best N readings (default: %(default)s)"
    )
    command.add_argument("--json", action="store_true", help="a JSON object a line, for scripts")
    command.add_argument(
        "--explain",
        action="store_true",
        help="say which ink each token was read from: left, top, right, bottom",
    )
    command.add_argument(
        "--model",
        default=str(SHIPPED),
        help="bundle folder, as data/bundle, or models:/… (default: the one that comes with the repository)",
    )
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Returns 0, or 1 where a file could not be read. Raises CommandError."""
    try:
        recognizer = Recognizer.load(bundle_folder(options.model))
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from None
    how = options.beam, options.n_best, options.json, options.explain
    return min(1, predict(options.files, recognizer, *how))


def predict(
    files: Sequence[Path],
    recognizer: Recognizer,
    beam: int,
    n_best: int,
    as_json: bool,
    explain: bool = False,
) -> int:
    """Reads files and prints what stands on them, a bad one's fault on stderr; returns how many are bad."""
    bad = 0
    for start in range(0, len(files), _FILES):
        pictures: dict[Path, Picture] = {}
        places: dict[Path, Placement] = {}
        for file in files[start : start + _FILES]:
            try:
                pictures[file], places[file] = prepare_placed(file.read_bytes(), recognizer.settings.raster)
            except (ValueError, OSError) as error:
                bad += 1
                print(f"{file}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
        readings = recognizer.read(list(pictures.values()), beam, n_best, explain)
        for file, reading in zip(pictures, readings, strict=True):
            placed = replace(reading, looked=_placed(reading.looked, places[file]))
            print(_json(file, placed) if as_json else _text(file, placed), flush=True)
    return bad


def _placed(looked: Sequence[Look] | None, where: Placement) -> tuple[Look, ...] | None:
    """With boxes as they lie in the file."""
    if looked is None:
        return None
    return tuple(replace(look, box=look.box and where.back(look.box)) for look in looked)


def _text(file: Path, reading: Reading) -> str:
    lines = [(reading.latex, reading.confidence), *((a.latex, a.confidence) for a in reading.alternatives)]
    boxes = [(look.token, *look.box) for look in reading.looked or () if look.box]
    return "\n".join(
        [
            str(file),
            *(f"  {confidence:6.1%}  {latex}" for latex, confidence in lines),
            *(f"  {token:12}" + "".join(f"{side:10.6g}" for side in box) for token, *box in boxes),
        ]
    )


def _json(file: Path, reading: Reading) -> str:
    """One line for one file."""
    content = {name: value for name, value in asdict(reading).items() if name != "scores"}
    if reading.looked is None:
        del content["looked"]
    return json.dumps({"file": str(file), **content}, ensure_ascii=False)
