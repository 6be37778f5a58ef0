"""A smoke test of a Bento: served as it will be, it must answer what evaluation and export wrote down."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import bentoml
import httpx
import pyarrow.parquet as pq

from components.labelled import LabelledShards
from components.recognizer.bundle import load_bundle

SHARDS, PREDICTIONS = Path("data/shards/test"), Path("reports/predictions.parquet")

_PICTURES = 20
_READY = 90  # seconds until it has to be ready


class SmokeError(ValueError):
    """The Bento does not start, or answers otherwise."""


@dataclass(frozen=True)
class Expected:
    """A picture file, and the LaTeX that has to be answered."""

    name: str
    picture: bytes
    latex: str


def smoke_test(bento: bentoml.Bento, beam: int) -> str:
    """Serves the Bento and compares. Returns what was compared. Raises SmokeError."""
    model = bentoml.models.get(bento.info.all_models[0].tag)
    expected = evaluated(load_bundle(Path(model.path)).version)
    with _Served(str(bento.tag), beam) as address, httpx.Client(base_url=address, timeout=30) as client:
        health = client.get("/health")
        if health.status_code != 200:
            raise SmokeError(f"/health answers {health.status_code}: {health.text}")
        for one in expected:
            answer = client.post("/predict", content=one.picture, headers={"content-type": "image/png"})
            if answer.status_code != 200:
                raise SmokeError(f"{one.name}: /predict answers {answer.status_code}: {answer.text}")
            if (formula := answer.json()["formula"]) != one.latex:
                raise SmokeError(f"{one.name}: it reads {formula!r}, evaluation read {one.latex!r}")
    return f"{bento.tag} is healthy, and reads {len(expected)} pictures as evaluation did"


def evaluated(bundle: str) -> list[Expected]:
    """Some of what evaluation read, where its report is of this very bundle; else nothing."""
    report = Path("reports/export.json")
    if not (report.exists() and PREDICTIONS.exists() and SHARDS.exists()) or bundle not in report.read_text():
        return []
    rows = pq.read_table(PREDICTIONS).slice(0, _PICTURES).to_pylist()
    pictures = LabelledShards(SHARDS).pictures([row["id"] for row in rows])
    return [Expected(row["id"], _png(pictures[row["id"]]), row["prediction"]) for row in rows]


def _png(picture: object) -> bytes:
    import cv2

    encoded: bytes = cv2.imencode(".png", picture)[1].tobytes()  # type: ignore[call-overload]
    return encoded


class _Served:
    """A service of its own on a free port, open to all and without limits, until the end of the block."""

    def __init__(self, bento: str, beam: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.bento = bento
        self.environment = os.environ | {
            "AUTH": "off", "RATE_LIMITS": "off", "BEAM": str(beam), "CACHE_ANSWERS": "0",
        }  # fmt: skip
        self.environment.pop("REDIS_URL", None)

    def __enter__(self) -> str:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bentoml", "serve", self.bento, "--host", "127.0.0.1",
             "--port", str(self.port)],
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        address = f"http://127.0.0.1:{self.port}"
        until = time.monotonic() + _READY
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(httpx.TransportError):
                if httpx.get(f"{address}/readyz", timeout=2).status_code == 200:
                    return address
            time.sleep(0.1)
        output = self._ended()
        raise SmokeError(f"it does not get ready; its last words: {output[-2000:]}")

    def __exit__(self, *_: object) -> None:
        self._ended()

    def _ended(self) -> str:
        self.process.terminate()
        try:
            return self.process.communicate(timeout=30)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.communicate()[0]
