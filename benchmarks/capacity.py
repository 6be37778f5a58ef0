"""How many replicas, how slow at which load, and at what cost: a simulation from measured service times.

    python -m benchmarks.capacity              from the times in benchmarks/capacity.json
    python -m benchmarks.capacity --measure    measures them anew on this machine
    python -m benchmarks.capacity --check      and holds the model against one and two replicas

A replica is one core. The answers are for that core; `benchmarks.capacity_model` says what is simulated.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import signal
import sys
from pathlib import Path

import bentoml
from rich.console import Console
from rich.table import Table

from benchmarks.capacity_measure import load, measure, observe, pictures, questions, replicas_of, save
from benchmarks.capacity_model import Autoscaling, Scenario, ServiceTimes, most_within, simulate, steady
from components.deployment.model_store import store_folder
from components.recognizer.recognizer import Recognizer

TIMES = Path(__file__).with_suffix(".json")
_DAY = 86_400  # seconds
_SMALL = 12  # replicas that are simulated of a fleet: they do not wait for each other
_LOADS = (0.3, 0.5, 0.7, 0.8, 0.9, 1.0)

console = Console()


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that services end with what started them
    if options.measure or options.check:
        _measure(options)
    times = load(options.times)
    console.print(
        f"a request takes {1000 * times.request:.1f} ms of a core beside reading, a cached one "
        f"{1000 * times.hit:.1f} ms; reading takes "
        + ", ".join(f"{1000 * sum(found) / len(found) / size:.1f} ms a picture in batches of {size}"
                    for size, found in sorted(times.batches.items()))
    )  # fmt: skip
    by_load(times, options)
    replicas = fleet(times, options)
    weather(times, options, replicas)


def by_load(times: ServiceTimes, options: argparse.Namespace) -> None:
    """Latency of one replica by load."""
    most = times.most(16)
    table = Table("load", title=f"one replica; full at {most:.1f} pictures a second in batches of 16")
    for column in ("requests/s", "median ms", "p95", "p99", "refused"):
        table.add_column(column, justify="right")
    for share in _LOADS:
        outcome = simulate(times, steady(share * most, 2 * options.seconds))
        row = (f"{1000 * outcome.quantile(q):.0f}" for q in (0.5, 0.95, 0.99))
        table.add_row(f"{share:.0%}", f"{share * most:.1f}", *row, f"{outcome.failed:.2%}")
    console.print(table)


def fleet(times: ServiceTimes, options: argparse.Namespace) -> int:
    """Replicas that the day's peak needs, with and without a zone to spare, and what they cost."""
    mean = options.pictures_a_day / _DAY
    peak = mean * options.peak
    each = most_within(times, options.p99, options.cache_hits, options.seconds)
    busy = math.ceil(peak / each)
    spare = math.ceil(busy * options.zones / (options.zones - 1)) if options.zones > 1 else busy
    cost = spare * 24 * options.price / (options.pictures_a_day / 1e6)
    # An autoscaler follows the day: the mean of what is needed, plus what it keeps free.
    scaled = cost / options.peak / 0.9
    table = Table("", "", title=f"{options.pictures_a_day:.0e} pictures a day".replace("e+0", " × 10^"))
    for what, answer in (
        ("pictures a second, mean and peak", f"{mean:,.0f}, {peak:,.0f}"),
        ("of them cached", f"{options.cache_hits:.0%}"),
        (f"one replica, p99 within {options.p99:g} s", f"{each:.1f} a second"),
        ("replicas for the peak", f"{busy:,}"),
        (f"with one of {options.zones} zones to spare", f"{spare:,}"),
        (f"cost per million at {options.price:g} a core and hour", f"{cost:.2f}"),
        ("the same, if autoscaling follows the day within 10 %", f"{scaled:.2f}"),
    ):
        table.add_row(what, answer)
    console.print(table)
    return int(spare)


def weather(times: ServiceTimes, options: argparse.Namespace, replicas: int) -> None:
    """What a burst and a lost zone do to the fleet at its peak."""
    small = min(replicas, _SMALL)
    peak = options.pictures_a_day / _DAY * options.peak * small / replicas
    length = 180.0
    common = {"cache_hits": options.cache_hits, "zones": options.zones, "turn": 0.02}
    scaling = Autoscaling(least=small, most=3 * small)
    burst = 2.0
    scenarios = {
        "the peak": Scenario(lambda _: peak, peak, length, small, **common),
        "a zone is lost after 60 s, noticed after 10": Scenario(
            lambda _: peak, peak, length, small, lost_zone_at=60, **common
        ),
        "twice the peak from 60 to 120 s": Scenario(
            lambda at: peak * (burst if 60 <= at < 120 else 1), burst * peak, length, small, **common
        ),
        "the same, autoscaled": Scenario(
            lambda at: peak * (burst if 60 <= at < 120 else 1), burst * peak, length, small,
            autoscale=scaling, **common,
        ),
    }  # fmt: skip
    table = Table("at the peak", title=f"{small} of {replicas} replicas, their share of the requests")
    for column in ("median ms", "p99", "p99 in the worst 10 s", "no answer", "replicas at the end"):
        table.add_column(column, justify="right")
    for name, scenario in scenarios.items():
        outcome = simulate(times, scenario)
        table.add_row(
            name,
            *(f"{1000 * outcome.quantile(q):.0f}" for q in (0.5, 0.99)),
            f"{1000 * _worst(outcome.finished):.0f}",
            f"{outcome.failed:.2%}",
            str(outcome.replicas[-1][1]),
        )
    console.print(table)


def _worst(finished: list[tuple[float, float]], window: float = 10) -> float:
    """The highest 99th percentile of any window of arrivals, seconds."""
    windows: dict[int, list[float]] = {}
    for at, seconds in finished:
        windows.setdefault(int(at // window), []).append(seconds)
    return max(sorted(found)[int(0.99 * (len(found) - 1))] for found in windows.values())


def _measure(options: argparse.Namespace) -> None:
    """Measure the times, and with --check how far the model is from real replicas."""
    model = Path(bentoml.models.get(store_folder("handwritten-math-ocr", options.model)).path)
    recognizer = Recognizer.load(options.model, threads=1)
    asked = questions(recognizer, pictures(Path("docs/examples"), options.pictures), options.beam)
    times = measure(model, recognizer, asked, options.rounds, options.beam)
    load_average = os.getloadavg()[0]
    searched = f"{options.model}, {options.beam or 'its own'} beams"
    machine = f"one core of {os.cpu_count()}, {platform.machine()}, load {load_average:.1f}"
    about = f"{searched}; {machine}"
    save(times, about, options.times)
    if not options.check:
        return
    table = Table("replicas", "load", title=f"the model and real replicas; {about}")
    for column in ("stretched", "", "measured ms", "simulated ms", "error"):
        table.add_column(column, justify="right")
    settings = {} if options.beam is None else {"beam": options.beam}
    for count in (1, 2):
        with replicas_of(model, count, **settings) as services:
            stretch = observe(services, asked, times, count, options.seconds).stretch
            for share in (0.3, 0.5, 0.7):
                rate = share * times.most(16) / stretch * count
                seen = observe(services, asked, times, rate, options.seconds)
                stretch = max(1.0, seen.stretch)
                own = 1 + min(1.0, rate / count * times.request * stretch)  # processes, at the mean
                same = steady(
                    rate, seen.arrivals[-1][0] + 60, count, arrivals=seen.arrivals,
                    warm_up=seen.counted_from, background=max(0.0, stretch - own),
                )  # fmt: skip
                outcome = simulate(times, same)
                for name, q in (("median", 0.5), ("p95", 0.95), ("p99", 0.99)):
                    real, model_s = seen.quantile(q), outcome.quantile(q)
                    table.add_row(
                        str(count), f"{rate:.1f}/s", f"{seen.stretch:.2f}", name, f"{1000 * real:.0f}",
                        f"{1000 * model_s:.0f}", f"{model_s / real - 1:+.0%}",
                    )  # fmt: skip
    console.print(table)


def _options() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--times", type=Path, default=TIMES, help="measured times (default: %(default)s)")
    parser.add_argument("--measure", action="store_true", help="measure them anew, and write them there")
    parser.add_argument("--check", action="store_true", help="measure, and run one and two real replicas")
    parser.add_argument("--model", type=Path, default=Path("models/default"), help="a bundle (%(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="measured batches of each size (%(default)s)")
    parser.add_argument("--pictures", type=int, default=60, help="to ask with (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=30, help="of each run (default: %(default)s)")
    parser.add_argument("--beam", type=int, help="beams (default: the bundle's own)")
    parser.add_argument("--pictures-a-day", type=float, default=1e8, help="(default: %(default)s)")
    parser.add_argument("--peak", type=float, default=2.5, help="peak to mean (default: %(default)s)")
    parser.add_argument("--cache-hits", type=float, default=0.1, help="share of requests (%(default)s)")
    parser.add_argument("--p99", type=float, default=1.0, help="seconds allowed (default: %(default)s)")
    parser.add_argument("--zones", type=int, default=3, help="of which one may be lost (%(default)s)")
    parser.add_argument("--price", type=float, default=0.04, help="of a core and hour (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
