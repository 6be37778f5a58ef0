"""A smoke test of a Bento: served as it will be, it must answer what evaluation and export wrote down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bentoml
import cv2
import httpx
import pyarrow.parquet as pq

from components.data.datasets import LabelledShards
from components.deployment.service_process import BENTOML, NotReadyError, Served
from components.ink.raster import Picture

SHARDS, PREDICTIONS = Path("data/shards/test"), Path("reports/predictions.parquet")

_PICTURES = 20


class SmokeError(ValueError):
    """The Bento does not start, or answers otherwise."""


@dataclass(frozen=True)
class Expected:
    """A picture file, and the LaTeX that has to be answered."""

    name: str
    picture: bytes
    latex: str


def smoke_test(bento: bentoml.Bento, beam: int, expected: Sequence[Expected]) -> None:
    """Serves the Bento, asks for its health, and compares its answers. Raises SmokeError."""
    settings = {"AUTH": "off", "RATE_LIMITS": "off", "CACHE_ANSWERS": "0", "BEAM": str(beam)}
    quiet = {"MONITOR_FOLDER": "", "FEEDBACK_FOLDER": ""}  # nobody's readings
    try:
        with (
            _served(bento, settings | quiet) as service,
            httpx.Client(base_url=service.address, timeout=30) as client,
        ):
            _ask(client, expected)
    except httpx.TransportError as error:
        raise SmokeError(f"it does not answer: {error or type(error).__name__}") from None


def evaluated(bundle: str) -> list[Expected]:
    """Some of what evaluation read, where its report is of this very bundle; else nothing."""
    report = Path("reports/export.json")
    if not (report.exists() and PREDICTIONS.exists() and SHARDS.exists()) or bundle not in report.read_text():
        return []
    rows = pq.read_table(PREDICTIONS).slice(0, _PICTURES).to_pylist()
    pictures = LabelledShards(SHARDS).pictures([row["id"] for row in rows])
    return [expect(row["id"], pictures[row["id"]], row["prediction"]) for row in rows]


def expect(name: str, picture: Picture, latex: str) -> Expected:
    """That a picture, which was read as `latex`, is read so again."""
    return Expected(name, cv2.imencode(".png", picture)[1].tobytes(), latex)


@contextmanager
def _served(bento: bentoml.Bento, settings: Mapping[str, str]) -> Iterator[Served]:
    home = Path(bento.path).parents[2]  # of bentos/NAME/VERSION
    command = [*BENTOML, "serve", str(bento.tag), "--host", "127.0.0.1", "--port", "{port}"]
    try:
        with Served(command, settings, home=home) as service:
            yield service
    except NotReadyError as error:
        raise SmokeError(str(error)) from None


def _ask(client: httpx.Client, expected: Sequence[Expected]) -> None:
    health = client.get("/health")
    if health.status_code != 200:
        raise SmokeError(f"/health answers {health.status_code}: {health.text}")
    for one in expected:
        answer = client.post("/predict", content=one.picture, headers={"content-type": "image/png"})
        if answer.status_code != 200:
            raise SmokeError(f"{one.name}: /predict answers {answer.status_code}: {answer.text}")
        if (formula := answer.json()["formula"]) != one.latex:
            raise SmokeError(f"{one.name}: it reads {formula!r}, evaluation read {one.latex!r}")
