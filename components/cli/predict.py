"""`python -m components predict FILE…`: read pictures and InkML."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from components.cli.base import CommandError, Commands, count
from components.recognizer.device import Device
from components.recognizer.naming import with_function_names
from components.recognizer.orientation import Prepared
from components.recognizer.preprocessing import prepare_source
from components.recognizer.recognizer import Prediction, Recognizer, placed
from components.registry.bundles import SHIPPED, bundle_folder

_FILES = 64  # read in one batch
_EXAMPLES = """examples:
  python -m components predict picture.jpg strokes.inkml
  python -m components predict --n-best 5 --json *.png
  python -m components predict - < picture.png
  python -m components predict --model models:/handwritten-math-ocr@champion picture.png"""


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "predict",
        help="read pictures and InkML files",
        description="Reads pictures and InkML files. Exits with 1 if a file could not be read.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="PNG, JPEG … or InkML; -: standard input"
    )
    command.add_argument(
        "--beam", type=count, metavar="N", help="beams of the search (default: the model's own)"
    )
    command.add_argument(
        "--n-best",
        type=count,
        default=1,
        metavar="N",
        help="print the best N readings (default: %(default)s)",
    )
    command.add_argument("--json", action="store_true", help="one JSON object per line, for scripts")
    command.add_argument(
        "--explain",
        action="store_true",
        help="print the box of the ink of each token: left, top, right, bottom",
    )
    command.add_argument(
        "--names",
        choices=("functions", "letters"),
        default="functions",
        help=r"write \sin, or sin as MathWriting's labels do (default: %(default)s)",
    )
    command.add_argument(
        "--model",
        default=str(SHIPPED),
        help="bundle folder such as data/bundle, or models:/… (default: the bundled model)",
    )
    command.add_argument(
        "--device",
        choices=get_args(Device),
        default=os.environ.get("DEVICE") or "auto",
        help="auto and cuda: a GPU where onnxruntime-gpu finds one (default: DEVICE, else auto)",
    )
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Returns 0, or 1 if a file could not be read. Raises CommandError."""
    try:
        recognizer = Recognizer.load(bundle_folder(options.model), device=options.device)
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from None
    how = options.beam, options.n_best, options.json, options.explain, options.names == "functions"
    return min(1, predict(options.files, recognizer, *how))


def predict(
    files: Sequence[Path],
    recognizer: Recognizer,
    beam: int | None,
    n_best: int,
    as_json: bool,
    explain: bool = False,
    function_names: bool = True,
) -> int:
    """Read files and print the formulas, errors on stderr; returns the number of unreadable files."""
    bad = 0
    for start in range(0, len(files), _FILES):
        sources: dict[Path, Prepared] = {}
        for file in files[start : start + _FILES]:
            try:
                sources[file] = prepare_source(_content(file), recognizer.settings.raster)
            except (ValueError, OSError) as error:
                bad += 1
                print(f"{file}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
        readings = recognizer.read_views(list(sources.values()), beam, n_best, explain)
        for file, reading in zip(sources, readings, strict=True):
            reading = placed(with_function_names(reading) if function_names else reading, sources[file])
            print(_json(file, reading) if as_json else _text(file, reading), flush=True)
            if reading.lines > 1:
                print(f"{file}: {reading.lines} lines of writing? Send each alone", file=sys.stderr)
    return bad


def _content(file: Path) -> bytes:
    return sys.stdin.buffer.read() if file == Path("-") else file.read_bytes()


def _text(file: Path, reading: Prediction) -> str:
    lines = [(reading.latex, reading.confidence), *((a.latex, a.confidence) for a in reading.alternatives)]
    boxes = [(box.token, *box.box) for box in reading.token_boxes or () if box.box]
    return "\n".join(
        [
            str(file),
            *(f"  {confidence:6.1%}  {latex}" for latex, confidence in lines),
            *(f"  {token:12}" + "".join(f"{side:10.6g}" for side in box) for token, *box in boxes),
        ]
    )


def _json(file: Path, reading: Prediction) -> str:
    """One JSON line per file."""
    content = {name: value for name, value in asdict(reading).items() if name != "scores"}
    if reading.token_boxes is None:
        del content["token_boxes"]
    if not reading.rotated:
        del content["rotated"]
    if reading.lines == 1:
        del content["lines"]
    return json.dumps({"file": str(file), **content}, ensure_ascii=False)
