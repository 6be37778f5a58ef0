"""Mixed traffic through two replicas for a long time: is anything lost, does memory grow, are files bounded?

    python -m benchmarks.soak --minutes 120

Pictures, strokes, batches, broken input, corrections and reports of usage, by callers with keys; meanwhile
keys are added, limited and revoked, Redis is killed and started again every three minutes, and every ten
minutes both replicas are replaced in turn by ones with another model, as `python -m flows serve-champion`
does it. What was measured is written as soak.csv and soak.png into --out. Ends with 1 where a request was
lost or answered unexpectedly, where counts of usage are not those of the callers, or where memory grew.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import astuple, dataclass, field, fields
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import aiohttp
import bentoml
import psutil
import redis
from rich.console import Console

from benchmarks.capacity_measure import pictures
from benchmarks.serving_processes import Measured, ours
from components.deployment.blue_green import HAProxy
from components.deployment.model_store import store_folder
from components.deployment.service_process import free_port
from components.files import write_csv
from components.serving.access.api_keys import KeyLimits, add_key

FLAT = 0.05  # share by which memory may grow from the middle third to the last
_EVERY = 5.0  # seconds between two samples
_REDIS_EVERY, _REDIS_AWAY = 180.0, 10.0  # seconds
_ROUTES = ("/predict", "/predict/strokes", "/predict/batch", "/feedback")  # that count as usage
_MIX = {"picture": 40, "strokes": 25, "batch": 5, "broken": 10, "correct": 15, "usage": 5}

console = Console()


@dataclass(frozen=True)
class Sample:
    """The state at one moment."""

    minutes: float
    requests: int
    lost: int
    megabytes: float  # of all processes of both replicas
    services: int  # that run: more than two during a promotion
    files: int  # that they have open
    kept_kilobytes: float  # on disk
    redis: int  # 1: it is there


@dataclass
class Seen:
    """What the callers saw."""

    requests: int = 0
    counted: int = 0  # requests that usage must count
    lost: int = 0  # without an answer
    statuses: Counter[str] = field(default_factory=Counter)  # by kind of request
    unexpected: Counter[str] = field(default_factory=Counter)


class Redis:
    """A Redis that is killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--save", "", "--dir", str(self._folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url) as client:
            for _ in range(200):
                with suppress(redis.ConnectionError):
                    client.ping()
                    return
                time.sleep(0.05)
        raise RuntimeError("Redis does not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Replica:
    """A service behind HAProxy, which a promotion replaces without downtime."""

    def __init__(self, settings: Mapping[str, str | int], model: Path) -> None:
        self.settings, self.model = settings, model
        self.services: list[Measured] = []  # the one that serves, and what is not stopped yet
        self.errors: list[str] = []  # in the logs of those that were stopped
        self.promotions = 0  # the first start among them
        self.proxy = HAProxy(free_port(), "127.0.0.1")
        self.address = f"http://127.0.0.1:{self.proxy.port}"

    def __enter__(self) -> Replica:
        self.proxy.__enter__()
        self.promote(self.model)
        return self

    def promote(self, model: Path) -> None:
        """Start a service with the model in the free slot, then drain and stop the one before."""
        previous, free = list(self.services), "ab"[self.promotions % 2]
        service = ours(model, **self.settings).__enter__()
        self.services.append(service)
        self.proxy.enable(free, service.port)
        self.promotions += 1
        for old in previous:
            self.proxy.drain("ab"[self.promotions % 2])
            self._stop(old)

    def _stop(self, service: Measured) -> None:
        service.__exit__(None, None, None)  # what waits is written
        self.services.remove(service)
        self.errors += service.errors

    def __exit__(self, *_: object) -> None:
        for service in list(self.services):
            self._stop(service)
        self.proxy.__exit__()


class Soak:
    """Traffic to replicas, and what comes of it."""

    def __init__(self, replicas: list[Replica], server: Redis, keys: list[str], kept: Path) -> None:
        self.replicas, self.redis, self.keys, self.kept = replicas, server, keys, kept
        self.seen, self.samples = Seen(), list[Sample]()
        self.files = pictures(Path("docs/examples"), 400)
        self.away = False

    async def run(self, minutes: float, clients: int, models: list[Path], promote_every: float) -> None:
        self.start = time.monotonic()
        self.end = self.start + 60 * minutes
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(self._client(session, random.Random(number)))
            group.create_task(self._manage(session))
            group.create_task(self._redis())
            group.create_task(self._promote(models, 60 * promote_every))
            group.create_task(self._watch())

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.end

    async def _client(self, session: aiohttp.ClientSession, chance: random.Random) -> None:
        last: tuple[str, str, str] | None = None  # address, key and ID of a prediction
        while not self.over:
            kind = chance.choices(list(_MIX), list(_MIX.values()))[0]
            address = chance.choice(self.replicas).address
            key = chance.choice(self.keys)
            file = chance.choice(self.files)
            if kind == "picture":
                answer = await self._ask(session, kind, {200}, address, "/predict", key, data=file)
                last = (address, key, answer[1]) if answer[0] == 200 else last
            elif kind == "strokes":
                ink = [[[chance.randrange(99), chance.randrange(99)] for _ in range(9)] for _ in range(4)]
                body = {"strokes": ink}
                await self._ask(session, kind, {200}, address, "/predict/strokes", key, json=body)
            elif kind == "batch":
                images = [base64.b64encode(chance.choice(self.files)).decode() for _ in range(3)]
                await self._ask(session, kind, {200}, address, "/predict/batch", key, json={"images": images})
            elif kind == "broken":
                broken = file[: chance.randrange(len(file))]
                wanted = {200, 415, 422}  # a picture may lack its last bytes alone
                await self._ask(session, kind, wanted, address, "/predict", key, data=broken)
            elif kind == "correct" and last is not None:
                right = {"request_id": last[2], "formula": "x^2"}
                # What was predicted while Redis was away, or was in the one that was killed, is gone.
                wanted = {201, 404, 503}
                await self._ask(session, kind, wanted, last[0], "/feedback", last[1], json=right)
            elif kind == "usage":
                await self._ask(session, kind, {200}, address, "/usage", key, method="GET")

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        kind: str,
        wanted: set[int],
        address: str,
        path: str,
        key: str,
        method: str = "POST",
        **body: Any,
    ) -> tuple[int, str, Any]:
        """The status, the request's ID and the content; status 0 where there was no answer."""
        headers = {"X-API-Key": key} | ({"Content-Type": "image/png"} if "data" in body else {})
        self.seen.requests += 1
        try:
            async with session.request(method, address + path, headers=headers, **body) as response:
                content = await response.json()
                status, request_id = response.status, response.headers["X-Request-ID"]
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.seen.lost += 1
            self.seen.unexpected[f"{kind}: {type(error).__name__}: {error}"] += 1
            return 0, "", None
        self.seen.counted += path in _ROUTES
        self.seen.statuses[f"{kind} {status}"] += 1
        if status not in wanted:
            self.seen.unexpected[f"{kind}: {status} {content.get('detail', '')[:80]}"] += 1
        return status, request_id, content

    async def _manage(self, session: aiohttp.ClientSession) -> None:
        """Add a key, use it, limit it, revoke it, on one replica; the first key is an admin's."""
        address, admin = self.replicas[0].address, self.keys[0]
        while not self.over:
            _, _, made = await self._ask(session, "key", {201}, address, "/keys", admin, json={"name": "New"})
            if made is not None and "secret" in made:
                path, secret = f"/keys/{made['key']['id']}", made["secret"]
                for method, body in (("PATCH", {"json": {"day": 5}}), ("DELETE", {})):
                    await self._ask(session, "key", {200}, address, path, admin, method, **body)
                # Not counted as this key's: it is revoked, and counts as none.
                await self._ask(session, "revoked", {401}, address, "/predict", secret, data=self.files[0])
            await asyncio.sleep(10)

    async def _redis(self) -> None:
        while not self.over:
            await asyncio.sleep(min(_REDIS_EVERY, max(0.0, self.end - time.monotonic())))
            if self.over:
                return
            self.redis.kill()
            self.away = True
            await asyncio.sleep(_REDIS_AWAY)
            await asyncio.to_thread(self.redis.start)
            self.away = False

    async def _promote(self, models: list[Path], every: float) -> None:
        for model in cycle([*models[1:], models[0]]):
            await asyncio.sleep(min(every, max(0.0, self.end - time.monotonic())))
            if self.over:
                return
            for replica in self.replicas:
                await asyncio.to_thread(replica.promote, model)

    async def _watch(self) -> None:
        while not self.over:
            await asyncio.sleep(_EVERY)
            services = [service for replica in self.replicas for service in replica.services]
            processes = [process for service in services for process in service.processes]
            kept = sum(path.stat().st_size for path in self.kept.rglob("*") if path.is_file())
            self.samples.append(
                Sample(
                    round((time.monotonic() - self.start) / 60, 3),
                    self.seen.requests,
                    self.seen.lost,
                    round(sum(service.memory for service in services) / 1e6, 1),
                    len(services),
                    sum(map(_open_files, processes)),
                    round(kept / 1e3, 1),
                    int(not self.away),
                )
            )


def _open_files(process: psutil.Process) -> int:
    """How many files a process has open; 0 when it has ended."""
    try:
        return int(process.num_fds())
    except psutil.Error:
        return 0


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that services end with what started them
    for program in ("redis-server", "haproxy"):
        if shutil.which(program) is None:
            sys.exit(f"soak: needs {program}: ./setup.sh packages {program}")
    models = [
        Path(bentoml.models.get(store_folder("handwritten-math-ocr", folder)).path)
        for folder in options.models
    ]
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        folder = Path(name)
        kept, file = folder / "kept", folder / "keys.json"
        kept.mkdir()
        limits = KeyLimits(minute=10**6, hour=10**6, day=10**6, at_once=100)
        keys = [add_key(file, f"Caller {n}", "", limits=limits, admin=n == 0) for n in range(4)]
        server = Redis(folder)
        running.callback(server.kill)
        settings = {
            "auth": "required", "api_keys_file": str(file), "rate_limits": "on", "cache_answers": 2048,
            "redis_url": server.url, "monitor_folder": f"file://{kept}/monitoring", "monitor_share": "0.1",
            "feedback_folder": f"{kept}/feedback", "usage_folder": f"file://{kept}/usage", "threads": 1,
            "beam": options.beam, "trusted_proxies": "127.0.0.1",
        }  # fmt: skip
        with ExitStack() as serving:
            replicas = [serving.enter_context(Replica(settings, models[0])) for _ in range(2)]
            soak = Soak(replicas, server, keys, kept)
            asyncio.run(soak.run(options.minutes, options.clients, models, options.promote_every))
        counted = _counted(kept / "usage")
        errors = [line for replica in replicas for line in replica.errors
                  if "Redis is unavailable" not in line]  # fmt: skip
    sys.exit(_report(soak, counted, errors, options.out))


def _counted(folder: Path) -> int:
    """The requests that the replicas have counted."""
    from components.serving.observability.usage import ProcessDay

    found = [ProcessDay.model_validate_json(path.read_bytes()) for path in folder.rglob("*.json")]
    return sum(tally.requests for day in found for tally in day.keys.values())


def _report(soak: Soak, counted: int, errors: list[str], out: Path) -> int:
    """Write the curve, and tell what was found; 1 if something is not as it should be."""
    out.mkdir(parents=True, exist_ok=True)
    seen = soak.seen
    write_csv([each.name for each in fields(Sample)], map(astuple, soak.samples), out / "soak.csv")
    _plot(soak.samples, out / "soak.png")
    samples = [sample for sample in soak.samples if sample.services == len(soak.replicas)]
    third = len(samples) // 3
    middle, last = (sum(s.megabytes for s in part) / max(1, len(part)) for part in
                    (samples[third : 2 * third], samples[2 * third :]))  # fmt: skip
    growth = last / middle - 1 if middle else 0.0
    console.print(f"{seen.requests:,} requests: " + ", ".join(f"{n:,} × {k}" for k, n in
                  sorted(seen.statuses.items())), markup=False)  # fmt: skip
    promotions = sum(replica.promotions - 1 for replica in soak.replicas)
    console.print(
        f"replicas replaced: {promotions}; lost: {seen.lost}; unexpected: {sum(seen.unexpected.values())}"
    )
    for what, times in seen.unexpected.most_common(5):
        console.print(f"  {times} × {what}", markup=False)
    console.print(
        f"usage counted {counted:,} of {seen.counted:,} requests; errors in the logs: {len(errors)}"
    )
    for line in errors[:3]:
        console.print(f"  {line[:300]}", markup=False)
    console.print(
        f"memory {middle:.0f} MB in the middle third, {last:.0f} MB in the last ({growth:+.1%}); open files "
        f"{samples[third].files} to {samples[-1].files}; kept on disk {samples[-1].kept_kilobytes:,.0f} kB"
    )
    good = not seen.lost and not seen.unexpected and counted == seen.counted and growth <= FLAT
    return 0 if good and not errors else 1


def _plot(samples: list[Sample], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    memory, rate = figure.subplots(2, sharex=True)
    minutes = [sample.minutes for sample in samples]
    memory.plot(minutes, [sample.megabytes for sample in samples], label="memory, MB")
    memory.plot(minutes, [sample.files for sample in samples], label="open files")
    memory.set_ylim(bottom=0)
    memory.legend(loc="lower right")
    rates = [0.0, *((b.requests - a.requests) / (60 * (b.minutes - a.minutes))
                    for a, b in pairwise(samples))]  # fmt: skip
    rate.plot(minutes, rates, label="requests a second")
    rate.fill_between(
        minutes,
        0,
        max(rates),
        where=[not sample.redis for sample in samples],
        alpha=0.2,
        label="Redis is away",
    )
    rate.fill_between(
        minutes,
        0,
        max(rates),
        where=[sample.services > 2 for sample in samples],
        alpha=0.2,
        color="tab:green",
        label="promotion",
    )
    rate.set_xlabel("minutes")
    rate.legend(loc="lower right")
    figure.savefig(path, dpi=100)


def _options() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--minutes", type=float, default=120, help="(default: %(default)s)")
    parser.add_argument("--clients", type=int, default=6, help="callers at once (default: %(default)s)")
    parser.add_argument(
        "--promote-every", type=float, default=10, help="minutes between promotions (default: %(default)s)"
    )
    parser.add_argument(
        "--models", type=Path, nargs="+", default=[Path("models/default"), Path("models/crohme")],
        help="bundles, promoted in turn (default: models/default models/crohme)",
    )  # fmt: skip
    parser.add_argument("--beam", type=int, default=1, help="beams (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("reports/soak"), help="folder (default: %(default)s)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
