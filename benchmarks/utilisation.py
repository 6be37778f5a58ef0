"""What a training step makes of a GPU: `python -m benchmarks.utilisation --preset mathwriting`.

Steps of the preset's model on one made-up batch that stays on the device: no data is waited for. Counts the
floating-point operations of a step, times it, and compares with what a large matrix product reaches on the
same device; then profiles a few steps and tells which kernels the time went to, and how long none ran.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial

import torch
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from components.config import Params, load_params
from components.latex.vocabulary import SPECIALS
from components.model.dataset import Batch
from components.model.lightning_module import Training
from components.model.network import Recogniser
from components.model.trainer import lay_out

_VOCABULARY = 230
_KINDS = {  # of a kernel, by what its name has; the first that fits
    "convolution": ("conv", "cudnn", "xmma_fprop", "wgrad", "dgrad", "implicit"),
    "matrix product": ("gemm", "cutlass", "nvjet", "mm_", "sm90_xmma", "mkldnn_linear", "addmm", "bmm"),
    "attention": ("fmha", "flash", "attention"),
    "normalisation": ("norm", "bn_", "batch_norm"),
    "softmax, cross-entropy": ("softmax", "nll"),
    "optimiser, averaging": ("multi_tensor", "foreach", "adam"),
    "copies, casts": ("copy", "memcpy", "memset", "cat"),
}

console = Console(width=100)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--preset", default="mathwriting")
    parser.add_argument("--batch", type=int, nargs="+", help="pictures; default: the preset's")
    parser.add_argument("--height", type=int, default=96, help="pixels, and")
    parser.add_argument(
        "--width", type=int, default=320, help="of the pictures; MathWriting's mean is 80 * 300"
    )
    parser.add_argument("--tokens", type=int, default=32, help="MathWriting's mean is 22")
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    params = load_params(preset=options.preset)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    peak = matmul_rate(device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    console.print(f"{name}: a bf16 product of large matrices runs at {peak / 1e12:.3g} TFLOP/s")
    for size in options.batch or [params.train.batch]:
        model = recogniser(params, device)
        batch = made_up(size, options.height, options.width, options.tokens, model).to(device)
        step = partial(stepper(model, params), batch)
        with FlopCounterMode(display=False) as counter:
            step()
        flop = counter.get_total_flops()
        seconds = timed(step, options.steps, device)
        reached = flop / seconds
        console.print(
            f"{options.preset}, {size} pictures: {1000 * seconds:.1f} ms, {size / seconds:.0f} inks/s; "
            f"{flop / 1e12:.2f} TFLOP a step, {reached / 1e12:.3g} TFLOP/s: {reached / peak:.1%}"
        )
    tell(step, f"a step of {size}", device)


def recogniser(params: Params, device: torch.device) -> Recogniser:
    """The preset's, as training has it."""
    torch.manual_seed(params.seed)
    model = Recogniser(params.model, _VOCABULARY).train().to(device)
    lay_out(model, device)
    return model


def made_up(size: int, height: int, width: int, tokens: int, model: Recogniser) -> Batch:
    """A batch of noise: how long a step takes does not depend on what is written."""
    generator = torch.Generator().manual_seed(7)
    down, across = height // model.stride, width // model.stride
    rows = size * (2 if model.params.both_ways else 1)

    def numbers(high: int, *shape: int) -> torch.Tensor:
        return torch.randint(0, high, shape, generator=generator)

    written = numbers(2, rows * tokens).nonzero().flatten()
    return Batch(
        indices=tuple(range(size)),
        spotted=True,
        pixels=numbers(256, size, 1, height, width).to(torch.uint8),
        tokens=numbers(_VOCABULARY - len(SPECIALS), rows, tokens) + len(SPECIALS),
        targets=numbers(_VOCABULARY - len(SPECIALS), rows, tokens) + len(SPECIALS),
        written=written,
        centres=torch.rand(len(written), 2, generator=generator) * down,
        spots=numbers(_VOCABULARY, size, down * across),
    )


def stepper(model: Recogniser, params: Params) -> Callable[[Batch], None]:
    """A whole step of training: forward, backward, clipping, optimiser."""
    training = Training(model, params.train, 1000, params.seed, lambda: 0.0)
    training.log = lambda *_, **__: None  # type: ignore[method-assign,assignment]  # there is no trainer
    optimiser = training.configure_optimizers()["optimizer"]

    def step(batch: Batch) -> None:
        with torch.autocast(batch.pixels.device.type, torch.bfloat16):
            loss = training.training_step(batch, 0)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), params.train.clip)
        optimiser.step()

    return step


def timed(call: Callable[[], object], times: int, device: torch.device) -> float:
    """Median seconds a call: of three series, since a GPU is only asked at the end of one."""
    for _ in range(3):
        call()
    series = []
    for _ in range(3):
        wait(device)
        start = time.perf_counter()
        for _ in range(times):
            call()
        wait(device)
        series.append((time.perf_counter() - start) / times)
    return statistics.median(series)


def matmul_rate(device: torch.device) -> float:
    """Floating-point operations a second of a large product in bfloat16: what one can ask of this device."""
    side, times = (8192, 10) if device.type == "cuda" else (1024, 3)
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / timed(lambda: a @ b, times, device)


def tell(step: Callable[[], object], title: str, device: torch.device) -> None:
    """Prints which kernels the time of a few steps went to."""
    steps = 5
    activity = ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiled:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        wait(device)
        whole = time.perf_counter() - start
    times: dict[str, float] = defaultdict(float)
    calls = 0
    for event in profiled.key_averages():
        own = event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total
        times[kind(event.key)] += own / 1e6
        calls += event.count if own else 0
    table = Table("kernels", "ms a step", "share", title=f"{title}: {calls // steps} kernels")
    for name, seconds in sorted(times.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{1000 * seconds / steps:.2f}", f"{seconds / whole:.1%}")
    table.add_row("none: waiting for the next", f"{1000 * (whole - sum(times.values())) / steps:.2f}",
                  f"{1 - sum(times.values()) / whole:.1%}")  # fmt: skip
    console.print(table)


def kind(kernel: str) -> str:
    name = kernel.lower()
    return next(
        (kind for kind, parts in _KINDS.items() if any(part in name for part in parts)), "element by element"
    )


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
