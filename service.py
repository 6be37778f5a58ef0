"""The service, as `bentoml serve` starts it: an API that anybody may reach, and the recogniser behind it.

Two services, so that pictures of all callers meet in one queue: the API prepares, the recogniser reads what
BentoML's dispatcher has put together. `components.serving` has the parts; README.md, the settings.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import bentoml
from bentoml.exceptions import BentoMLException, ServiceUnavailable
from pydantic import BaseModel

from components import VERSION
from components.recognizer.bundle import EXAMPLE, load_bundle
from components.recognizer.recognizer import Recognizer
from components.serving.app import build_app
from components.serving.inference.client import Desk, Job, OverloadedError, Read, UnreachableError
from components.serving.inference.worker import leave_last, read_all, stop_guessing
from components.serving.model_info import NAME, model_of, warn_of
from components.serving.observability.logging import to_json
from components.serving.settings import load_settings
from components.serving.state import Api
from components.serving.storage.response_cache import build_cache


class Arguments(BaseModel):
    """What `bentoml serve --arg` and `bentoml build --arg` take; a Bento remembers it."""

    model: str = "latest"  # version in BentoML's model store


SETTINGS = load_settings()
MODEL = bentoml.models.BentoModel(f"{NAME}:{bentoml.use_arguments(Arguments).model}")

# uvicorn believes X-Forwarded-For of 127.0.0.1 unless told otherwise.
os.environ["FORWARDED_ALLOW_IPS"] = SETTINGS.trusted_proxies
# Traces go out every second: what waits when the process ends is lost.
os.environ.setdefault("OTEL_BSP_SCHEDULE_DELAY", "1000")


@bentoml.service(
    name="recogniser",
    threads=1,  # one batch at a time; ONNX Runtime takes the cores
    traffic={"timeout": SETTINGS.read_timeout + 5},
    # The internal client would close its session every 100 requests, under those that are on their way.
    runner_connection={"max_requests": 10**12, "max_age": 1e12},
    logging={"access": {"enabled": False}},
    tracing=SETTINGS.tracing,
)
class Recogniser:
    """Reads batches. Not reached from outside."""

    model = MODEL

    def __init__(self) -> None:
        to_json(SETTINGS.log_level)
        folder = Path(self.model.path)
        self.recognizer = Recognizer.load(folder, SETTINGS.threads)
        self.recognizer.read_file((folder / EXAMPLE).read_bytes())  # the first one takes longer
        stop_guessing()
        leave_last()

    @bentoml.api(  # type: ignore[untyped-decorator]
        batchable=SETTINGS.batch_size > 1,
        max_batch_size=max(2, SETTINGS.batch_size),
        # Who would wait too long is told so (503) in time, not given up (504).
        max_latency_ms=int(SETTINGS.read_timeout * 500),
    )
    def read(self, jobs: list[Job]) -> list[Read]:
        return read_all(self.recognizer, jobs)


api = Api(SETTINGS, VERSION)


@bentoml.service(
    name=NAME,
    traffic={"timeout": SETTINGS.read_timeout + 10},
    # Its measures are labelled by path: a stranger could fill the memory with them. The API has its own.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing=SETTINGS.tracing,
    monitoring=SETTINGS.monitoring,
)
@bentoml.asgi_app(build_app(api), path="/")
class HandwrittenMath:
    """What callers reach."""

    recogniser = bentoml.depends(Recogniser)
    model = MODEL

    def __init__(self) -> None:
        to_json(SETTINGS.log_level)
        self._missed = 0  # looks at the recogniser in a row that failed
        bundle = load_bundle(Path(self.model.path))
        desk = Desk(
            self._read, bundle.version, bundle.settings.raster, SETTINGS, build_cache(SETTINGS, api.shared)
        )
        api.open(desk, model_of(self.model.info.metadata, bundle))

    async def _read(self, jobs: Sequence[Job]) -> Sequence[Read]:
        try:
            read: Sequence[Read] = await self.recogniser.to_async.read(list(jobs))
        except ServiceUnavailable as error:
            raise OverloadedError from error
        except (BentoMLException, aiohttp.ClientError, OSError) as error:
            raise UnreachableError from error
        return read

    async def __is_alive__(self) -> bool:
        """Not for long without its recogniser: in a container nobody but the platform starts that again."""
        try:
            there = bool(await self.recogniser.is_ready(2))
        except (aiohttp.ClientError, OSError):
            there = False
        self._missed = 0 if there else self._missed + 1
        return self._missed < 3

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    def ready_to_start() -> None:  # type: ignore[misc]  # BentoML calls it without an instance
        to_json(SETTINGS.log_level)
        if fault := warn_of(SETTINGS, api.keys):
            sys.exit(fault)
