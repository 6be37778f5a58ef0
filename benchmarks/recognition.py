"""Read with several models side by side: formulas, single symbols, and how far confidences can be trusted.

    python -m benchmarks.recognition models/crohme models/default
    python -m benchmarks.recognition models/crohme data/model.pt --final    # held-out sets too: for reports

A model is a bundle's folder or a checkpoint (model.pt). Sets: CROHME test2013 and the MathWriting excerpt's
train, on which models are chosen; with `--final` CROHME test2014 and the excerpt's valid and test. Symbols:
those of CROHME test2013, the half of the excerpt's that the symbol bank leaves out, and Omniglot's held-out
drawers.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.config import DecodingParams
from components.data.archive import unpack
from components.data.datasets import Labelled, LabelledFolder, LabelledSymbols, evenly
from components.data.rows import symbol_token
from components.evaluation.metrics import SURE, Answer, reliability
from components.evaluation.reader import read_dataset
from components.files import write_json
from components.ink.ink import Stroke
from components.ink.inkml import read_inkml
from components.latex.metrics import score
from components.latex.tokenizer import detokenize
from components.recognizer.calibration import Calibration
from components.recognizer.recognizer import Recognizer
from components.synthesis.symbol_sources import mathwriting_symbols, omniglot_symbols

CHOOSE = {"CROHME test2013": "crohme/test2013", "excerpt train": "mathwriting-2024-excerpt/train"}
FINAL = {
    "CROHME test2014": "crohme/test2014",
    "excerpt valid": "mathwriting-2024-excerpt/valid",
    "excerpt test": "mathwriting-2024-excerpt/test",
}
_ALONE = ("=", "+", "-", "1")

Symbols = list[tuple[str, Sequence[Stroke]]]


def load(model: Path, calibration: Path | None, decoding: DecodingParams) -> Recognizer:
    """The recognizer of a bundle, or of a checkpoint with a calibration."""
    if model.is_dir():
        return Recognizer.load(model)
    from components.model.torch_engine import load_torch_recognizer

    fitted = Calibration.model_validate_json(calibration.read_bytes()) if calibration else None
    return load_torch_recognizer(model, decoding, fitted)


def crohme_symbols(folder: Path) -> Iterator[tuple[str, Sequence[Stroke]]]:
    """The symbol groups of all InkML in a folder."""
    for path in sorted(folder.rglob("*.inkml")):
        try:
            ink = read_inkml(path)
        except ValueError:
            continue
        for symbol in ink.symbols:
            yield symbol_token(symbol.token), [ink.strokes[number] for number in symbol.strokes]


def formulas(data: Labelled, recognizer: Recognizer, beam: int | None) -> dict[str, float | int | None]:
    """Exact matches, those with at most one and two errors, CER, and how confidences hold."""
    answers, rejects = read_dataset(data, recognizer, beam)
    return _figures(answers) | {"rejected": len(rejects)}


def _figures(answers: Sequence[Answer]) -> dict[str, float | int | None]:
    scores = score([(answer.label, answer.read) for answer in answers])
    trust = reliability(answers)
    return {
        "n": len(answers),
        "exact": scores.exprate,
        "at most 1": sum(a.edits <= 1 for a in answers) / len(answers),
        "at most 2": sum(a.edits <= 2 for a in answers) / len(answers),
        "cer": scores.cer,
        "ece": trust.ece,
        "sure": trust.sure,
        "sure right": trust.sure_right,
    }


def symbols(found: Symbols, recognizer: Recognizer, beam: int | None) -> dict[str, float | int | None]:
    """How often the first answer is the symbol, and how often one of five is."""
    data = LabelledSymbols(found, recognizer.settings.raster)
    pictures = list(data.pictures([f"symbol-{number:05d}" for number in range(len(found))]).values())
    answers, among = [], 0
    for start in range(0, len(pictures), 64):
        predictions = recognizer.read(pictures[start : start + 64], beam, n_best=5)
        for (token, _), prediction in zip(found[start : start + 64], predictions, strict=True):
            latex = detokenize((token,))
            answers.append(Answer(token, (token,), prediction.tokens, prediction.confidence))
            among += latex in (prediction.latex, *(a.latex for a in prediction.alternatives))
    classes = {token for token, _ in found}
    read = {answer.id for answer in answers if answer.right}
    return _figures(answers) | {"among five": among / len(found), "classes never read": len(classes - read)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path, nargs="+", help="bundle folders or checkpoints")
    parser.add_argument("--calibration", type=Path, help="of checkpoints: calibration.json")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the archives' folder")
    parser.add_argument("--final", action="store_true", help="read the held-out sets as well")
    parser.add_argument("--beam", type=int, help="default: each model's own; checkpoints 5, in two sizes")
    parser.add_argument("--each", type=int, default=10, help="symbols a class (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=0, help="inks a set (default: all)")
    parser.add_argument("--out", type=Path, default=Path("reports/recognition.json"))
    options = parser.parse_args()
    decoding = DecodingParams(beam=5, scales=(0.85,), min_side=0)
    table: dict[str, dict[str, dict[str, float | int | None]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        unpack(options.data / "crohme.tar.xz", folder / "c")
        unpack(options.data / "mathwriting-2024-excerpt.tgz", folder / "m")
        sets = {
            name: folder / ("c" if place.startswith("crohme") else "m") / place
            for name, place in (CHOOSE | (FINAL if options.final else {})).items()
        }
        groups = evenly(crohme_symbols(sets["CROHME test2013"]), 20)
        excerpt = mathwriting_symbols(options.data / "mathwriting-2024-excerpt.tgz", held_out=True)
        omniglot = omniglot_symbols(options.data / "symbols-omniglot.tar.xz", held_out=True)
        singles: dict[str, Symbols] = {
            "symbols of test2013": evenly(groups, options.each),
            "symbols of the excerpt": evenly(((t, s.strokes) for t, s in excerpt), options.each),
            "symbols of Omniglot": evenly(((t, s.strokes) for t, s in omniglot), options.each),
            **{f"`{token}` alone": [pair for pair in groups if pair[0] == token] for token in _ALONE},
        }
        for model in options.models:
            recognizer = load(model, options.calibration, decoding)
            table[str(model)] = {
                name: formulas(
                    LabelledFolder(place, recognizer.settings.raster, options.limit), recognizer, options.beam
                )
                for name, place in sets.items()
            } | {name: symbols(found, recognizer, options.beam) for name, found in singles.items()}
    write_json(table, options.out)
    _print(table)


def _print(table: dict[str, dict[str, dict[str, float | int | None]]]) -> None:
    print(
        f"\n| set | model | n | exact | ≤ 1 | ≤ 2 | CER | in five | ECE | over {SURE:.0%}, of these right |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in next(iter(table.values())):
        for model, rows in table.items():
            row = rows[name]
            cells = [
                _percent(row.get(key)) for key in ("exact", "at most 1", "at most 2", "cer", "among five")
            ]
            sure = f"{row['sure']}, {_percent(row['sure right'])}"
            print(f"| {name} | {model} | {row['n']} | {' | '.join(cells)} | {row['ece']:.3f} | {sure} |")


def _percent(value: float | int | None) -> str:
    return "" if value is None else f"{value:.1%}"


if __name__ == "__main__":
    main()
