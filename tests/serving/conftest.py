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

from components.ink.raster import RasterSettings, draw
from components.latex.tokenizer import tokenize
from components.serving.app import build_app
from components.serving.inference.client import Alternative, Desk, Job, Looked, Read
from components.serving.schemas.responses import ModelInfo
from components.serving.settings import Settings
from components.serving.state import Api, Model
from components.serving.storage.response_cache import build_cache
from tests.recognizer.inks import formula

INFO = ModelInfo(
    name="handwritten-math-ocr", version="3", bundle="0123", architecture="none", parameters=1,
    vocabulary=9, max_tokens=8, metrics={"test_exprate": 0.5}, lineage={"git_commit": "abc"},
)  # fmt: skip


def png(width: int = 0) -> bytes:
    """A picture of a formula; `width` pixels of a bar beside it make it another one."""
    picture = draw(formula(), RasterSettings())
    bar = np.full((picture.shape[0], width + 8), 255, np.uint8)
    bar[20:24, 2 : width + 2] = 0
    return cv2.imencode(".png", np.hstack([picture, bar]))[1].tobytes()


def looked(job: Job) -> tuple[Looked, ...]:
    """As if the fraction's bar were all of the ink."""
    tokens = tokenize(rf"\frac{{{job.width}}}{{x}}")
    rows, columns = np.nonzero(job.picture < 128)
    boxes = {0: (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)}
    starts = [sum(map(len, tokens[:place])) for place in range(len(tokens))]
    return tuple(
        Looked(token=token, start=start, end=start + len(token), box=boxes.get(place))
        for place, (token, start) in enumerate(zip(tokens, starts, strict=True))
    )


class Reader:
    """Reads every picture as its width; can be made to wait or to fail."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.before: Callable[[], object] | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, jobs: Sequence[Job]) -> Sequence[Read]:
        self.jobs += jobs
        await self.gate.wait()
        if self.before is not None:
            self.before()
        return [
            Read(
                formula=rf"\frac{{{job.width}}}{{x}}",
                tokens=5,
                confidence=0.75,
                alternatives=tuple(Alternative(formula="x", confidence=0.1) for _ in range(job.n_best - 1)),
                looked=looked(job) if job.explain else None,
            )
            for job in jobs
        ]


class Service:
    """An API that is open for business, and a client of it."""

    def __init__(self, client: httpx.AsyncClient, api: Api, reader: Reader) -> None:
        self.client, self.api, self.reader = client, api, reader

    async def predict(self, width: int = 0, **headers: str) -> httpx.Response:
        return await self.client.post(
            "/predict", content=png(width), headers={"content-type": "image/png", **headers}
        )


@asynccontextmanager
async def serving(**settings: object) -> AsyncIterator[Service]:
    """The API with these settings; without others from the environment."""
    chosen = Settings(_env_file=None, **({"auth": "off", "rate_limits": "off"} | settings))
    api = Api(chosen, "0.0.0")
    reader = Reader()
    picture = png()
    desk = Desk(reader, "m1", RasterSettings(), chosen, build_cache(chosen, api.shared))
    first = await desk.check(picture)
    reader.jobs.clear()
    api.open(desk, Model(INFO, picture, first.formula))
    transport = httpx.ASGITransport(build_app(api), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield Service(client, api, reader)
    if api.shared is not None:
        await api.shared.close()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the environment sets must not change a test."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
