"""How fast one model reads, run in several ways: `python -m benchmarks.reading` (after `dvc repro`).

The same weights, the same pictures (of data/shards/test), the same cores, one run. (a) PyTorch, one picture,
the whole prefix decoded anew for each token, as the project that this one replaces did; (b) PyTorch with
remembered keys and values; (c) the bundle, one picture; (d) the bundle, several pictures at once; (e) the
bundle with 8-bit weights; (f) the bundle with its encoder on a GPU, where ONNX Runtime finds one. The ways
take turns, so that a noisy machine is noisy for all.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.plain_service import read_greedily
from components.data.datasets import LabelledShards, Sample
from components.export.quantize import quantize
from components.ink.raster import Picture
from components.latex.metrics import score
from components.latex.tokenizer import tokenize
from components.model.checkpoint import load_model
from components.model.torch_engine import TorchEngine
from components.recognizer.cpu import cores
from components.recognizer.engine import OnnxEngine
from components.recognizer.recognizer import Recognizer
from components.recognizer.tensors import to_input

Read = Callable[[list[Picture]], list[tuple[str, ...]]]

console = Console()


@dataclass
class Way:
    """One way to read, so many pictures at a time, and what came of it."""

    name: str
    read: Read
    parallel: int = 1
    seconds: list[float] = field(default_factory=list)  # of each call
    answers: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def a_picture(self) -> float:
        """Median milliseconds."""
        return 1000 * statistics.median(self.seconds) / self.parallel


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("data/model.pt"), help="the checkpoint, and")
    parser.add_argument("--bundle", type=Path, default=Path("data/bundle"), help="what it was exported to")
    parser.add_argument("--data", type=Path, default=Path("data/shards/test"))
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--beam", type=int, default=5, help="of the ways with several beams")
    options = parser.parse_args()
    data = LabelledShards(options.data, options.pictures)
    samples = [sample for sample in data if isinstance(sample, Sample)]
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "int8"
        quantize(options.bundle, small)
        ways = made(options.model, options.bundle, small, options.beam)
        measure(ways, samples)
        tell(ways, samples, options.bundle)
        starts = [start(options.bundle) for _ in range(5)]
    console.print(
        f"a new process: interpreter, bundle, first picture: {statistics.median(starts):.2f} s (median of 5)"
    )


def made(model: Path, bundle: Path, small: Path, beam: int) -> list[Way]:
    """All ways to read."""
    checkpoint = load_model(model)
    multiple = checkpoint.model.multiple

    def plainly(pictures: list[Picture]) -> list[tuple[str, ...]]:
        return [
            tokenize(read_greedily(checkpoint, torch.from_numpy(to_input(picture, multiple))))
            for picture in pictures
        ]

    torch_reads = Recognizer(TorchEngine(checkpoint.model), checkpoint.vocabulary, checkpoint.settings())
    onnx, quantized = Recognizer.load(bundle), Recognizer.load(small)
    return [
        Way("(a) PyTorch, prefix anew", plainly),
        Way("(b) PyTorch, remembering", by(torch_reads)),
        Way("(c) bundle", by(onnx)),
        Way(f"(c) bundle, {beam} beams", by(onnx, beam)),
        Way("(d) bundle, 8 at once", by(onnx), 8),
        Way("(d) bundle, 16 at once", by(onnx), 16),
        Way("(e) 8-bit bundle", by(quantized)),
        Way(f"(e) 8-bit bundle, {beam} beams", by(quantized, beam)),
        *gpu_ways(bundle, beam),
    ]


def by(recognizer: Recognizer, beam: int = 1) -> Read:
    """Read with so many beams."""
    return lambda pictures: [reading.tokens for reading in recognizer.read(pictures, beam)]


def gpu_ways(bundle: Path, beam: int) -> list[Way]:
    """With the encoder on a GPU; none where there is no GPU, which a line says."""
    recognizer = Recognizer.load(bundle, device="auto")
    if not (isinstance(recognizer.engine, OnnxEngine) and recognizer.engine.on_gpu):
        console.print("(f) is left out: ONNX Runtime finds no GPU here (it needs onnxruntime-gpu and CUDA)")
        return []
    return [
        Way("(f) bundle, GPU", by(recognizer)),
        Way(f"(f) bundle, GPU, {beam} beams", by(recognizer, beam)),
        Way("(f) bundle, GPU, 16 at once", by(recognizer), 16),
    ]


def measure(ways: Sequence[Way], samples: Sequence[Sample]) -> None:
    """Reads all samples in all ways, in turns."""
    pictures = [sample.picture for sample in samples]
    most = max(way.parallel for way in ways)
    for way in ways:  # the first readings find out how much memory is wanted
        way.read(pictures[: way.parallel])
    for group in track(list(_parts(pictures, most)), "reading", console=Console(stderr=True)):
        for way in ways:
            for some in _parts(group, way.parallel):
                begun = time.perf_counter()
                way.answers += way.read(some)
                if len(some) == way.parallel:
                    way.seconds.append(time.perf_counter() - begun)


def tell(ways: Sequence[Way], samples: Sequence[Sample], bundle: Path) -> None:
    """Prints the table."""
    table = Table(title=f"{bundle}, {len(samples)} pictures, {cores()} cores")
    for column in ("", "median ms", "p95 ms", "pictures/s", "times (a)", "ExpRate", "CER"):
        table.add_column(column, justify="left" if not column else "right")
    for way in ways:
        scores = score((sample.label, answer) for sample, answer in zip(samples, way.answers, strict=True))
        p95 = 1000 * statistics.quantiles(way.seconds, n=20)[-1]
        table.add_row(
            way.name,
            f"{1000 * statistics.median(way.seconds):.1f}",
            f"{p95:.1f}",
            f"{1000 / way.a_picture:.0f}",
            f"{ways[0].a_picture / way.a_picture:.1f}",
            f"{scores.exprate:.1%}",
            f"{scores.cer:.2%}",
        )
    console.print(table)


def _parts(pictures: list[Picture], size: int) -> Iterator[list[Picture]]:
    for begin in range(0, len(pictures), size):
        yield pictures[begin : begin + size]


def start(bundle: Path) -> float:
    """Seconds that a new process takes to read the bundle's example."""
    code = (
        "import sys; from pathlib import Path; from components.recognizer.recognizer import Recognizer; "
        "folder = Path(sys.argv[1]); "
        "Recognizer.load(folder).read_file((folder / 'example.png').read_bytes())"
    )
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, str(bundle)], check=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
