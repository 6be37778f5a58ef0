"""The Bento's services, as `bentoml serve` starts them: a public API and the recognizer behind it.

Two services, so that requests of all callers share one queue: the API prepares inputs, the recognizer reads
the batches that BentoML's dispatcher forms. Their parts are in `components.serving`, the settings in
docs/settings.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import bentoml
from pydantic import BaseModel

from components import VERSION
from components.recognizer.bundle import EXAMPLE, load_bundle
from components.recognizer.recognizer import Recognizer
from components.serving.app import build_app
from components.serving.inference.client import (
    InferenceClient,
    InferenceRequest,
    InferenceResult,
)
from components.serving.inference.transport import ask
from components.serving.inference.worker import patch_batch_dispatcher, predict_batch
from components.serving.model_info import NAME, check_startup, describe_model
from components.serving.observability.logging import configure_logging
from components.serving.settings import load_settings
from components.serving.shutdown import defer_shutdown, keep_sockets_until_stopped
from components.serving.state import AppState
from components.serving.storage.response_cache import build_response_cache


class Arguments(BaseModel):
    """Arguments of `bentoml serve --arg` and `bentoml build --arg`; a Bento keeps them."""

    model: str = "latest"  # version in BentoML's model store


try:
    SETTINGS = load_settings()
    state = AppState(SETTINGS, VERSION)
except ValueError as error:  # SettingsError and KeysError among them
    # BentoML would say `Failed to import module` of an exception, or print a traceback.
    sys.exit(f"serve: {error}")
MODEL = bentoml.models.BentoModel(f"{NAME}:{bentoml.use_arguments(Arguments).model}")

# By default uvicorn trusts X-Forwarded-For from 127.0.0.1; `trust_proxies` applies TRUSTED_PROXIES.
os.environ["FORWARDED_ALLOW_IPS"] = ""
# Export traces every second: what is pending when the process ends is lost.
os.environ.setdefault("OTEL_BSP_SCHEDULE_DELAY", "1000")


@bentoml.service(
    name="recognizer",
    threads=1,  # one batch at a time; ONNX Runtime takes the cores
    traffic={"timeout": SETTINGS.read_timeout + 5},
    # By default the internal client closes its session every 100 requests, with requests in flight.
    runner_connection={"max_requests": 10**12, "max_age": 1e12},
    logging={"access": {"enabled": False}},
    tracing=SETTINGS.tracing,
)
class RecognizerService:
    """Reads batches. Not reachable from outside."""

    model = MODEL

    def __init__(self) -> None:
        configure_logging(SETTINGS.log_level)
        folder = Path(self.model.path)
        self.recognizer = Recognizer.load(folder, SETTINGS.threads, SETTINGS.device)
        self.recognizer.read_file((folder / EXAMPLE).read_bytes())  # warm up: the first call is slower
        patch_batch_dispatcher()
        defer_shutdown()

    @bentoml.api(  # type: ignore[untyped-decorator]
        batchable=SETTINGS.batch_size > 1,
        max_batch_size=max(2, SETTINGS.batch_size),
        # Requests that would wait too long are rejected early (503) instead of timing out (504).
        max_latency_ms=int(SETTINGS.read_timeout * 500),
    )
    def predict(self, requests: list[InferenceRequest]) -> list[InferenceResult]:
        return predict_batch(self.recognizer, requests)


@bentoml.service(
    name=NAME,
    traffic={"timeout": SETTINGS.read_timeout + 10},
    # BentoML labels its metrics by path: callers could exhaust memory with them. The API has its own.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing=SETTINGS.tracing,
    monitoring=SETTINGS.monitoring,
)
@bentoml.asgi_app(build_app(state), path="/")
class HandwrittenMath:
    """The public API."""

    recognizer = bentoml.depends(RecognizerService)
    model = MODEL

    def __init__(self) -> None:
        configure_logging(SETTINGS.log_level)
        self._failures = 0  # consecutive failed checks of the recognizer
        bundle = load_bundle(Path(self.model.path))
        client = InferenceClient(
            self._predict,
            bundle.version,
            bundle.settings,
            bundle.vocabulary,
            SETTINGS,
            build_response_cache(SETTINGS, state.redis),
        )
        state.open(client, describe_model(self.model.info.metadata, bundle))

    async def _predict(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceResult]:
        return await ask(self.recognizer.to_async.predict, requests)

    async def __is_alive__(self) -> bool:
        """Fail after three failed checks of the recognizer: only the platform can restart a container."""
        try:
            ready = bool(await self.recognizer.is_ready(2))
        except (aiohttp.ClientError, OSError):
            ready = False
        self._failures = 0 if ready else self._failures + 1
        return self._failures < 3

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def close(self) -> None:
        await state.close()

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    def check_before_start() -> None:  # type: ignore[misc]  # BentoML calls it without an instance
        configure_logging(SETTINGS.log_level)
        if fault := check_startup(SETTINGS, state.keys):
            sys.exit(fault)
        keep_sockets_until_stopped()
