"""Stage `export`: export the model as an ONNX bundle; refused unless it reads as PyTorch does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import Progress

from components.config import Params, load_params
from components.data.shards import shard_paths
from components.export.model_card import card
from components.export.onnx import export_decoder, export_encoder
from components.files import atomic_folder, write_json
from components.ink.raster import Picture
from components.latex.vocabulary import BOS, EOS
from components.model.checkpoint import Checkpoint, load_model
from components.model.torch_engine import TorchEngine
from components.recognizer.bundle import CARD, DECODER, ENCODER, EXAMPLE, VOCABULARY, About, seal_bundle
from components.recognizer.calibration import Calibration
from components.recognizer.engine import KVCache
from components.recognizer.recognizer import Recognizer

MODEL, TEST, BUNDLE = Path("data/model.pt"), Path("data/shards/test"), Path("data/bundle")
CALIBRATION = Path("data/calibration.json")
METRICS, REPORT = Path("reports/metrics.json"), Path("reports/export.json")

_TIE = 1e-3  # tokens whose log-probabilities differ by less are a tie in PyTorch itself
_PICTURES = 256  # in memory at once


class ExportError(ValueError):
    """The bundle does not read as PyTorch does."""


@dataclass(frozen=True)
class Comparison:
    """Comparison of the bundle's predictions with PyTorch's, greedy, on the same CPU."""

    inks: int
    equal: int
    ties: int  # predictions that differ where PyTorch's two best tokens tie
    largest_difference: float  # of the confidences of equal predictions


def export(params: Params) -> Comparison:
    """Write the bundle and the report.

    Raises ExportError, and writes no bundle, if it reads the test split differently from PyTorch.
    """
    checkpoint = load_model(MODEL)
    with atomic_folder(BUNDLE) as folder:
        console = Console(stderr=True)
        with console.status("encoder to ONNX"):
            export_encoder(checkpoint.model, folder / ENCODER, params.export.opset)
        with console.status("decoder to ONNX"):
            export_decoder(checkpoint.model, folder / DECODER, params.export.opset)
        checkpoint.vocabulary.save(folder / VOCABULARY)
        calibration = Calibration.model_validate_json(CALIBRATION.read_bytes())
        how = params.decoding
        settings = checkpoint.settings(calibration, how.beam, how.scales, how.min_side)
        torch_reads = Recognizer(TorchEngine(checkpoint.model), checkpoint.vocabulary, settings)
        about = About(
            architecture=_architecture(checkpoint),
            parameters=sum(parameter.numel() for parameter in checkpoint.model.parameters()),
            example=write_example(torch_reads, folder / EXAMPLE),
        )
        version = seal_bundle(folder, settings, about).version

        comparison = compare(torch_reads, Recognizer.load(folder), TEST, params.export.check)
        metrics = json.loads(METRICS.read_text(encoding="utf-8"))
        (folder / CARD).write_text(card(checkpoint, params, metrics, version), encoding="utf-8")
    write_json({"version": version, "bytes": _size(BUNDLE), **asdict(comparison)}, REPORT)
    return comparison


def write_example(recognizer: Recognizer, path: Path) -> str:
    """Write the most confidently read picture of the test split, among the longer ones; returns its LaTeX."""
    _, pictures = next(_chunks(TEST, _PICTURES))
    readings = recognizer.read(pictures, beam=1)  # as health checks read it
    typical = sorted(len(reading.tokens) for reading in readings)[len(readings) // 2]
    best = max(
        range(len(readings)),
        key=lambda index: (len(readings[index].tokens) >= typical, readings[index].confidence),
    )
    path.write_bytes(cv2.imencode(".png", pictures[best])[1].tobytes())
    return readings[best].latex


def compare(theirs: Recognizer, ours: Recognizer, split: Path, limit: int) -> Comparison:
    """Read a split with PyTorch and with the bundle. Raises ExportError at the first real difference."""
    equal = ties = 0
    largest = 0.0
    count = sum(pq.read_metadata(path).num_rows for path in shard_paths(split))
    count = min(limit, count) if limit else count
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("comparing with PyTorch", total=count)
        for ids, pictures in _chunks(split, count):
            pairs = zip(ids, pictures, theirs.read(pictures, 1), ours.read(pictures, 1), strict=True)
            for id, picture, their, our in pairs:
                if their.tokens == our.tokens:
                    equal += 1
                    largest = max(largest, abs(their.confidence - our.confidence))
                elif (gap := preference(theirs, picture, their.tokens, our.tokens)) < _TIE:
                    ties += 1
                else:
                    raise ExportError(
                        f"{id}: PyTorch reads {their.latex!r}, the bundle {our.latex!r}, "
                        f"which PyTorch finds {np.exp(gap):.3g} times less probable: not exported"
                    )
            progress.advance(task, len(ids))
    if largest > _TIE:
        raise ExportError(f"the confidences differ by up to {largest:.2g}: not exported")
    return Comparison(count, equal, ties, largest)


def preference(recognizer: Recognizer, picture: Picture, one: Sequence[str], other: Sequence[str]) -> float:
    """By how much the recognizer's ln p prefers the first token in which `one` differs from `other`."""
    vocabulary, engine = recognizer.vocabulary, recognizer.engine
    first, second = ([*vocabulary.encode(tokens), EOS] for tokens in (one, other))
    place = next(n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    memory = engine.encode(recognizer.as_input(picture)[None])
    prefix = np.array([[BOS, *first[:place]]], np.int64)
    logits = engine.step(prefix, KVCache.empty(memory, 1, capacity=0), memory).logits[0, -1]
    return float(logits[first[place]] - logits[second[place]])


def _architecture(checkpoint: Checkpoint) -> str:
    params = checkpoint.model.params
    custom = f"Swin (width {params.embed_dim}, depths {', '.join(map(str, params.depths))})"
    encoder = custom if params.encoder == "custom" else params.encoder
    stem = "convolutional stem, " if params.stem == "conv" else ""
    layers = f"{params.decoder_layers} layers" if params.decoder_layers > 1 else "1 layer"
    return f"{stem}{encoder}, Transformer decoder ({layers}, width {params.decoder_width})"


def _chunks(split: Path, count: int) -> Iterator[tuple[list[str], list[Picture]]]:
    """Ids and pictures of the first `count` inks of a split."""
    for path in shard_paths(split):
        for batch in pq.ParquetFile(path).iter_batches(_PICTURES, columns=["id", "png"]):
            rows = batch.slice(0, count).to_pylist()
            count -= len(rows)
            if rows:
                pictures = [
                    cv2.imdecode(np.frombuffer(r["png"], np.uint8), cv2.IMREAD_GRAYSCALE) for r in rows
                ]
                yield [row["id"] for row in rows], [np.asarray(picture, np.uint8) for picture in pictures]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def main() -> None:
    """Run the stage with params.yaml."""
    try:
        comparison = export(load_params())
    except (ValueError, OSError) as error:
        sys.exit(f"export: {error}")
    print(
        f"{BUNDLE}: {_size(BUNDLE) / 1e6:.1f} MB. Of {comparison.inks} inks {comparison.equal} are "
        f"read as in PyTorch; {comparison.ties} differ where PyTorch's best tokens tie. Report: {REPORT}"
    )


if __name__ == "__main__":
    main()
