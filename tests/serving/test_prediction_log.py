"""What is recorded of readings, and that recording is never in the way."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bentoml
import cv2
import numpy as np
import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.monitoring.api import _MONITOR_INSTANCES

from components.serving.observability import metrics, prediction_log
from components.serving.observability.prediction_log import DayFile
from components.serving.settings import Settings
from tests.serving.conftest import png, serving

CROSS = [[[0, 0], [8, 10]], [[8, 0], [0, 10]]]
COLUMNS = {
    "timestamp",
    "request",
    "model",
    "kind",
    "tokens",
    "confidence",
    "seconds",
    "width",
    "height",
    "ink",
}

Monitored = Callable[..., dict[str, Any]]


@pytest.fixture
def monitored(tmp_path: Path) -> Iterator[Monitored]:
    """Makes BentoML in this process monitor as the service does; gives the settings back."""
    before = BentoMLContainer.config.get()

    def configure(**settings: Any) -> dict[str, Any]:
        settings = {"monitor_folder": tmp_path, "monitor_share": 1.0} | settings
        section = Settings(_env_file=None, **settings).monitoring
        BentoMLContainer.config.set({**before, "monitoring": section})
        return settings

    _MONITOR_INSTANCES.clear()
    yield configure
    _MONITOR_INSTANCES.clear()
    BentoMLContainer.config.set(before)


def records(folder: Path, count: int = 0) -> list[dict[str, Any]]:
    """All that lies there, once there are so many."""
    until = time.monotonic() + 5
    while True:
        files = folder.glob("readings/data/data.*.log*")
        lines = [line for file in sorted(files) for line in file.read_text().splitlines()]
        if len(lines) >= count:
            return [json.loads(line) for line in lines]
        assert time.monotonic() < until, f"{len(lines)} of {count} records"
        time.sleep(0.01)


def outcomes() -> dict[str, float]:
    return {name: metrics.records.labels(name)._value.get() for name in ("kept", "failed", "dropped")}


async def test_a_record_has_figures_of_the_reading_and_no_picture(
    monitored: Monitored, tmp_path: Path
) -> None:
    async with serving(**monitored()) as service:
        answer = await service.predict(**{"x-request-id": "mine-1"})
        await service.client.post("/predict/strokes", json={"strokes": CROSS})
        picture, strokes = records(tmp_path, 2)
        assert set(picture) - {"request_id", "trace_id"} == COLUMNS
        [job, _] = service.reader.requests
        assert (picture["request"], picture["model"], picture["kind"]) == ("mine-1", "3", "picture")
        assert (picture["width"], picture["height"]) == (job.width, job.height)
        assert (picture["tokens"], picture["confidence"]) == (8, 0.75)
        assert picture["ink"] == pytest.approx(np.mean(job.picture < 128), abs=1e-6)
        assert 0 < picture["seconds"] < answer.json()["processing_time"]
        assert strokes["kind"] == "strokes" and strokes["request"] != "mine-1"
        assert answer.json()["formula"] not in (tmp_path / "readings/data/data.0.log").read_text()


async def test_the_picture_goes_along_where_asked_for(monitored: Monitored, tmp_path: Path) -> None:
    async with serving(**monitored(monitor_pictures="on")) as service:
        await service.predict()
        [record] = records(tmp_path, 1)
        data = np.frombuffer(base64.b64decode(record["picture"]), np.uint8)
        seen = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        assert np.array_equal(seen, service.reader.requests[0].picture)


async def test_what_was_known_or_is_looked_at_for_health_is_not_recorded(
    monitored: Monitored, tmp_path: Path
) -> None:
    async with serving(**monitored()) as service:
        await service.client.get("/health")
        for _ in range(3):
            await service.predict()
        images = [base64.b64encode(png(width)).decode() for width in (0, 8, 16)]
        await service.client.post("/predict/batch", json={"images": images})
        kept = records(tmp_path, 3)
        assert [record["kind"] for record in kept] == ["picture"] * 3
        assert len({record["width"] for record in kept}) == 3


@pytest.mark.parametrize("settings", [{"monitor_folder": None}, {"monitor_share": 0.0}])
async def test_without_a_folder_or_a_share_nothing_is_recorded(
    monitored: Monitored, tmp_path: Path, settings: dict[str, Any]
) -> None:
    async with serving(**monitored(**settings)) as service:
        before = outcomes()
        for width in (0, 8, 16):
            await service.predict(width)
        assert outcomes() == before and not list(tmp_path.iterdir())


async def test_a_share_is_about_that_share(monitored: Monitored, tmp_path: Path) -> None:
    async with serving(**monitored(monitor_share=0.5), cache_answers=0) as service:
        before = outcomes()["kept"]
        for _ in range(100):
            await service.predict()
        service.state.prediction_log._hand.shutdown()
        assert 20 < outcomes()["kept"] - before == len(records(tmp_path)) < 80


async def test_a_disk_that_refuses_costs_records_one_line_of_log_and_no_answer(
    monitored: Monitored, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "away"
    folder.write_text("a file is in the way")
    before = outcomes()
    async with serving(**monitored(monitor_folder=folder), cache_answers=0) as service:
        for _ in range(3):
            assert (await service.predict()).status_code == 200
        while outcomes()["failed"] < before["failed"] + 3:
            await asyncio.sleep(0.01)
        folder.unlink()
        assert (await service.predict()).status_code == 200
        assert len(records(folder, 1)) == 1
        service.state.prediction_log._hand.shutdown()
    assert outcomes()["failed"] == before["failed"] + 3
    said = [record for record in caplog.records if record.name == prediction_log.__name__]
    assert [record.levelname for record in said] == ["ERROR", "WARNING"]


async def test_a_disk_that_hangs_holds_no_answer_and_little_memory(
    monitored: Monitored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_log, "_WAITING", 2)
    before = outcomes()
    async with serving(**monitored(), cache_answers=0) as service:
        monkeypatch.setattr(bentoml, "monitor", lambda name: time.sleep(0.5))
        start = time.monotonic()
        for _ in range(5):
            assert (await service.predict()).status_code == 200
        assert time.monotonic() - start < 0.5
        assert outcomes()["dropped"] == before["dropped"] + 3
        service.state.prediction_log._hand.shutdown()


def day_file(path: Path) -> tuple[DayFile, Callable[[str], None]]:
    """A file of records, and what writes to it."""
    file = DayFile(str(path))
    return file, lambda text: file.emit(logging.makeLogRecord({"msg": text}))


class TestDayFile:
    def test_days_gone_by_are_kept_for_a_month(self, tmp_path: Path) -> None:
        for day in range(1, 41):
            (tmp_path / f"data.0.log.2020-{1 + day // 29:02}-{1 + day % 28:02}").write_text("old\n")
        file, write = day_file(tmp_path / "data.0.log")
        write("yesterday")
        file.rolloverAt = 0
        write("today")
        assert (tmp_path / "data.0.log").read_text() == "today\n"
        assert len(list(tmp_path.iterdir())) == 1 + 30

    def test_two_services_that_roll_over_lose_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "data.0.log"
        old, write = day_file(path)
        new, write_too = day_file(path)
        write("yesterday")
        write_too("yesterday too")
        old.rolloverAt = new.rolloverAt = 0
        write("today")
        write_too("today too")
        lines = [line for file in tmp_path.iterdir() for line in file.read_text().splitlines()]
        assert sorted(lines) == ["today", "today too", "yesterday", "yesterday too"]

    def test_a_line_that_was_cut_short_is_taken_out(self, tmp_path: Path) -> None:
        path = tmp_path / "data.0.log"
        path.write_text("whole\ncut sh")
        _, write = day_file(path)
        write("next")
        assert path.read_text() == "whole\nnext\n"

    def test_a_full_disk_is_told_to_who_writes_and_leaves_no_half_line(self, tmp_path: Path) -> None:
        path = tmp_path / "data.0.log"
        _, write = day_file(path)
        write("first")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            for _ in range(2):
                with pytest.raises(OSError, match="too large"):
                    write("x" * 30_000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.stat().st_size == 20_000
        write("last")
        assert path.read_text() == "first\nlast\n"

    def test_a_day_has_its_size(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(prediction_log, "_LARGEST", 20)
        file, write = day_file(tmp_path / "data.0.log")
        write("x" * 30)
        with pytest.raises(OSError, match="full"):
            write("x")
        file.rolloverAt = 0
        write("another day")
        assert (tmp_path / "data.0.log").read_text() == "another day\n"
