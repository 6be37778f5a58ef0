"""Smoke test: serve a Bento as in production and compare its answers with recorded predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bentoml
import cv2
import httpx
import numpy as np
import pyarrow.parquet as pq

from components.data.datasets import LabelledShards
from components.deployment.service_process import BENTOML, NotReadyError, ServiceProcess
from components.ink.raster import Picture, RasterSettings
from components.recognizer.preprocessing import PictureError, prepare_pixels
from components.serving.settings import PATHS

SHARDS, PREDICTIONS = Path("data/shards/test"), Path("reports/predictions.parquet")

_SAMPLES = 20


class SmokeTestError(ValueError):
    """The Bento does not start or gives other answers."""


@dataclass(frozen=True)
class Expected:
    """A picture file and the LaTeX that the service must answer."""

    name: str
    picture: bytes
    latex: str


def smoke_test(bento: bentoml.Bento, expected: Sequence[Expected]) -> None:
    """Serve the Bento, check /health, and compare its answers. Raises SmokeTestError."""
    settings = {"AUTH": "off", "RATE_LIMITS": "off", "CACHE_ANSWERS": "0"}
    # Whatever the caller's environment says: the bundle's own search, no keys, no record of test requests.
    unset = dict.fromkeys(("BEAM", *PATHS), "")
    try:
        with (
            _serve(bento, settings | unset) as service,
            httpx.Client(base_url=service.address, timeout=30) as client,
        ):
            _check(client, expected)
    except httpx.TransportError as error:
        raise SmokeTestError(f"no answer: {error or type(error).__name__}") from None


def recorded_expectations(bundle: str, raster: RasterSettings) -> list[Expected]:
    """Return some predictions of the stage `evaluate`, empty unless they are of this bundle version."""
    report = Path("reports/export.json")
    if not (report.exists() and PREDICTIONS.exists() and SHARDS.exists()) or bundle not in report.read_text():
        return []
    rows = pq.read_table(PREDICTIONS).slice(0, _SAMPLES).to_pylist()
    pictures = LabelledShards(SHARDS).pictures([row["id"] for row in rows])
    return [
        expect(row["id"], pictures[row["id"]], row["prediction"])
        for row in rows
        if as_served(pictures[row["id"]], raster)
    ]


def as_served(picture: Picture, raster: RasterSettings) -> bool:
    """Whether the service reads a prepared picture as it is. Preparing what was a photograph once more may
    change it, and the answer with it; drawn ink stays."""
    try:
        return np.array_equal(prepare_pixels(picture, raster).picture, picture)
    except PictureError:
        return False


def expect(name: str, picture: Picture, latex: str) -> Expected:
    """Encode a picture that must be recognized as `latex`."""
    return Expected(name, cv2.imencode(".png", picture)[1].tobytes(), latex)


@contextmanager
def _serve(bento: bentoml.Bento, settings: Mapping[str, str]) -> Iterator[ServiceProcess]:
    home = Path(bento.path).parents[2]  # the store of bentos/NAME/VERSION
    command = [*BENTOML, "serve", str(bento.tag), "--host", "127.0.0.1", "--port", "{port}"]
    try:
        with ServiceProcess(command, settings, home=home) as service:
            yield service
    except NotReadyError as error:
        raise SmokeTestError(str(error)) from None


def _check(client: httpx.Client, expected: Sequence[Expected]) -> None:
    health = client.get("/health")
    if health.status_code != 200:
        raise SmokeTestError(f"/health answers {health.status_code}: {health.text}")
    for sample in expected:
        answer = client.post(
            "/predict?names=letters", content=sample.picture, headers={"content-type": "image/png"}
        )
        if answer.status_code != 200:
            raise SmokeTestError(f"{sample.name}: /predict answers {answer.status_code}: {answer.text}")
        if (formula := answer.json()["formula"]) != sample.latex:
            raise SmokeTestError(
                f"{sample.name}: the service reads {formula!r}, evaluation read {sample.latex!r}"
            )
