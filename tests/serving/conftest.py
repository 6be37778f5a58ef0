"""The API in this process, with a reader whose answers are known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from starlette.types import ASGIApp

from components.ink.raster import RasterSettings, draw
from components.latex.tokenizer import tokenize
from components.latex.vocabulary import Vocabulary
from components.recognizer.bundle import BundleSettings, DecodingConfig
from components.recognizer.explanation import TokenBox
from components.recognizer.recognizer import Alternative, Prediction
from components.serving.app import build_app
from components.serving.inference.client import InferenceClient, InferenceRequest, InferenceResult
from components.serving.schemas.responses import ModelInfo
from components.serving.settings import Settings
from components.serving.state import AppState, Model
from components.serving.storage.response_cache import build_response_cache
from tests.recognizer.inks import formula

INFO = ModelInfo(
    name="handwritten-math-ocr", version="3", bundle="0123", architecture="none", parameters=1,
    vocabulary=9, max_tokens=8, metrics={"test_exprate": 0.5}, lineage={"git_commit": "abc"},
)  # fmt: skip

VOCABULARY = Vocabulary.build([tuple("0123456789x+=sin{}^_"), (r"\frac", r"\sqrt")])
SETTINGS = BundleSettings(raster=RasterSettings(), multiple=16, decoding=DecodingConfig(max_tokens=8, beam=3))


def png(width: int = 0) -> bytes:
    """A picture of a formula; `width` pixels of a bar beside it make it another one."""
    picture = draw(formula(), RasterSettings())
    bar = np.full((picture.shape[0], width + 8), 255, np.uint8)
    bar[20:24, 2 : width + 2] = 0
    return cv2.imencode(".png", np.hstack([picture, bar]))[1].tobytes()


def token_boxes(request: InferenceRequest) -> tuple[TokenBox, ...]:
    """As if the fraction's bar were all of the ink."""
    tokens = tokenize(rf"\frac{{{request.width}}}{{x}}")
    rows, columns = np.nonzero(request.picture < 128)
    sides = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    boxes = {0: tuple(float(side) for side in sides)}
    starts = [sum(map(len, tokens[:place])) for place in range(len(tokens))]
    return tuple(
        TokenBox(token, start, start + len(token), boxes.get(place))
        for place, (token, start) in enumerate(zip(tokens, starts, strict=True))
    )


class Reader:
    """Reads every picture as its width; can be made to wait or to fail."""

    def __init__(self) -> None:
        self.requests: list[InferenceRequest] = []
        self.before: Callable[[], object] | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceResult]:
        self.requests += requests
        await self.gate.wait()
        if self.before is not None:
            self.before()
        return [InferenceResult(prediction=_prediction(request)) for request in requests]


def _prediction(request: InferenceRequest) -> Prediction:
    latex = rf"\frac{{{request.width}}}{{x}}"
    alternatives = (Alternative("x", 0.1),) * (request.n_best - 1)
    boxes = token_boxes(request) if request.explain else None
    return Prediction(latex, tokenize(latex), 0.75, alternatives, token_boxes=boxes)


class Service:
    """An API that is open for business, and a client of it."""

    def __init__(self, client: httpx.AsyncClient, state: AppState, reader: Reader, app: ASGIApp) -> None:
        self.client, self.state, self.reader, self.app = client, state, reader, app

    async def predict(self, width: int = 0, **headers: str) -> httpx.Response:
        return await self.client.post(
            "/predict", content=png(width), headers={"content-type": "image/png", **headers}
        )


@asynccontextmanager
async def serving(**settings: object) -> AsyncIterator[Service]:
    """The API with these settings; without others from the environment."""
    chosen = Settings(_env_file=None, **({"auth": "off", "rate_limits": "off"} | settings))
    state = AppState(chosen, "0.0.0")
    reader = Reader()
    picture = png()
    client = InferenceClient(
        reader, "m1", SETTINGS, VOCABULARY, chosen, build_response_cache(chosen, state.redis)
    )
    first = await client.check(picture)
    reader.requests.clear()
    state.open(client, Model(INFO, picture, first.latex))
    app = build_app(state)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield Service(client, state, reader, app)
    if state.redis is not None:
        await state.redis.close()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the environment sets must not change a test."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
