"""What a running service keeps: figures of readings, and corrections of its answers."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from components.ink.correction import Correction
from components.serving.access.api_keys import add_key
from tests.integration.conftest import RedisServer, Serve, pictures, predict

pytestmark = pytest.mark.slow

CROSS = [[[0, 0], [8, 10.5]], [[8, 0], [0, 10]]]
COLUMNS = {
    "timestamp", "request", "model", "kind", "tokens", "confidence", "seconds", "width", "height", "ink",
}  # fmt: skip


def records(folder: Path) -> list[dict[str, Any]]:
    files = folder.glob("readings/data/data.*.log*")
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def corrections(folder: Path) -> dict[str, Correction]:
    """By request ID."""
    found = [Correction.model_validate_json(file.read_bytes()) for file in folder.rglob("*.json")]
    assert len(found) == len({correction.request_id for correction in found})
    return {correction.request_id: correction for correction in found}


def correct(client: httpx.Client, answer: httpx.Response, formula: str, **headers: str) -> httpx.Response:
    body = {"request_id": answer.headers["X-Request-ID"], "formula": formula}
    return client.post("/feedback", json=body, headers=headers)


@pytest.mark.parametrize("with_pictures", ["off", "on"])
def test_each_new_reading_is_recorded_when_all_are_to_be(
    serve: Serve, tmp_path: Path, with_pictures: str
) -> None:
    service = serve(monitor_folder=tmp_path, monitor_share=1, monitor_pictures=with_pictures)
    with httpx.Client(base_url=service.address, timeout=30) as client:
        asked = [predict(client, file).headers["X-Request-ID"] for file in pictures(6)]
        assert predict(client, pictures(6)[0]).headers["X-Cache"] == "hit"
        asked.append(client.post("/predict/strokes", json={"strokes": CROSS}).headers["X-Request-ID"])
        assert client.get("/health").status_code == 200
    service.stop()
    found = records(tmp_path)
    assert [record["request"] for record in found] == asked, "none is lost when the service ends"
    extra = {"picture"} if with_pictures == "on" else set()
    for record in found:
        assert set(record) - {"request_id", "trace_id"} == COLUMNS | extra
        assert record["model"] == "1" and record["seconds"] > 0 and 0 < record["ink"] < 1
    assert [record["kind"] for record in found] == ["picture"] * 6 + ["strokes"]
    assert [file.name for file in tmp_path.glob("readings/data/*")] == ["data.1.log"]


@pytest.mark.parametrize("settings", [{}, {"monitor_share": 0}])
def test_without_a_folder_or_a_share_nothing_is_written(
    serve: Serve, tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "records"
    service = serve(**settings | ({"monitor_folder": folder} if settings else {}))
    with httpx.Client(base_url=service.address, timeout=30) as client:
        for file in pictures(6):
            assert predict(client, file).status_code == 200
        assert "ocr_records_total{" not in client.get("/metrics").text
    service.stop()
    assert not records(folder) and not Path("monitoring").exists()


def test_a_disk_that_is_full_costs_no_answer(serve: Serve, tmp_path: Path) -> None:
    data = tmp_path / "readings" / "data"
    data.mkdir(parents=True)
    (data / "data.1.log").symlink_to("/dev/full")
    service = serve(monitor_folder=tmp_path, monitor_share=1, cache_answers=0)
    with httpx.Client(base_url=service.address, timeout=30) as client:
        for file in pictures(6):
            assert predict(client, file).status_code == 200
        until = time.monotonic() + 5
        while 'ocr_records_total{outcome="failed"} 6.0' not in client.get("/metrics").text:
            assert time.monotonic() < until
            time.sleep(0.1)
    assert service.log.count("predictions can't be recorded") == 1


def test_who_got_a_wrong_answer_corrects_it_by_its_id(serve: Serve, tmp_path: Path) -> None:
    file, folder = tmp_path / "keys.json", tmp_path / "corrections"
    ada, bob = ({"x-api-key": add_key(file, name, "")} for name in ("Ada", "Bob"))
    service = serve(auth="required", api_keys_file=file, feedback_folder=folder)
    [picture] = pictures(1)
    with httpx.Client(base_url=service.address, timeout=30) as client:
        seen = predict(client, picture, **ada)
        again = predict(client, picture, **ada)
        inked = client.post("/predict/strokes", json={"strokes": CROSS}, headers=ada)
        for answer in (seen, again, inked):
            assert correct(client, answer, "x", **bob).status_code == 404, "somebody else's"
            assert correct(client, answer, "x").status_code == 401
            assert correct(client, answer, r"\frac 12", **ada).json() == {
                "request_id": answer.headers["X-Request-ID"], "formula": r"\frac{1}{2}"
            }  # fmt: skip
        found = corrections(folder)
        assert 'ocr_feedback_total{outcome="kept"} 3.0' in client.get("/metrics").text
    assert len(found) == 3
    for answer in (seen, again, inked):
        correction = found[answer.headers["X-Request-ID"]]
        assert (correction.read, correction.right) == (answer.json()["formula"], r"\frac{1}{2}")
        assert (correction.caller, correction.model) == ("Ada", "1")
    of_ink, of_picture = found[inked.headers["X-Request-ID"]], found[seen.headers["X-Request-ID"]]
    assert of_ink.strokes == [[(0, 0), (8, 10.5)], [(8, 0), (0, 10)]] and of_ink.picture is None
    assert of_picture.picture is not None
    grey = cv2.imdecode(np.frombuffer(of_picture.picture, np.uint8), cv2.IMREAD_UNCHANGED)
    assert grey.ndim == 2 and grey.min() < 128


def test_another_replica_takes_the_correction_by_way_of_redis(
    serve: Serve, redis: RedisServer, tmp_path: Path
) -> None:
    settings = {"redis_url": redis.url, "feedback_folder": tmp_path}
    one, other = (httpx.Client(base_url=serve(**settings).address, timeout=30) for _ in range(2))
    with one, other:
        asked = [predict(one, file) for file in pictures(2)]
        asked.append(one.post("/predict/strokes", json={"strokes": CROSS}))
        for answer in asked:
            assert correct(other, answer, "x").status_code == 201
        assert set(corrections(tmp_path)) == {answer.headers["X-Request-ID"] for answer in asked}
        redis.stop()
        away = correct(other, asked[0], "y")
        assert away.status_code == 503 and "Retry-After" in away.headers
        assert predict(one, pictures(3)[2]).status_code == 200
        assert {c.right for c in corrections(tmp_path).values()} == {"x"}
