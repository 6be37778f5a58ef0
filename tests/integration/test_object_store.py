"""Replicas write what they keep into one object store, and the flows read it: over a real S3 server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest
from s3fs import S3FileSystem

from components.data.change_detection import fingerprint
from components.data.feedback_import import collect
from components.ink.inkml import read_inkml
from components.monitoring.window import read_window
from components.records import RecordStore
from components.serving.model_info import check_startup
from components.serving.settings import Settings
from components.serving.state import AppState
from tests.integration.conftest import Serve, pictures, predict
from tests.integration.servers import Server, create_bucket, s3_environment, s3_server

pytestmark = pytest.mark.slow

BUCKET = "s3://kept"
DAY = date(2026, 11, 27)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = s3_server(tmp_path_factory.mktemp("s3") / "server")
    yield server
    server.stop()


@pytest.fixture
def s3(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server with an empty bucket; services that are started, and this process, find it."""
    for name, value in s3_environment(server).items():
        monkeypatch.setenv(name, value)
    httpx.post(f"{server.url}/moto-api/reset").raise_for_status()
    create_bucket(server, "kept")
    yield server


def test_two_writers_at_once_lose_nothing_and_one_reader_finds_all(s3: Server) -> None:
    written = {f"{writer}-{number}.json" for writer in "ab" for number in range(150)}

    def write(writer: str) -> None:
        store = RecordStore(f"{BUCKET}/feedback")
        for number in range(150):
            store.write(DAY, f"{writer}-{number}.json", f"{writer}{number}".encode())

    threads = [threading.Thread(target=write, args=(writer,)) for writer in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = RecordStore(f"{BUCKET}/feedback")
    names = [file.name for file in store.files(".json")]
    assert set(names) == {f"2026-11-27/{name}" for name in written}
    contents = dict(store.read(names))
    assert contents["2026-11-27/b-149.json"] == b"b149" and len(contents) == 300


def test_what_another_writes_is_seen_at_once_and_what_is_written_again_is_new(s3: Server) -> None:
    reader, writer = RecordStore(f"{BUCKET}/x"), RecordStore(f"{BUCKET}/x")
    assert reader.files("") == [] and reader.days() == [] and not reader.exists(DAY, "a.json")
    writer.write(DAY, "a.json", b"one")
    before = fingerprint([f"{BUCKET}/x"])
    [file] = reader.files(".json", DAY)
    assert (file.name, file.size) == ("2026-11-27/a.json", 3) and reader.exists(DAY, "a.json")
    writer.write(DAY, "a.json", b"two")
    [again] = reader.files(".json", DAY)
    assert again.version != file.version and fingerprint([f"{BUCKET}/x"]) != before
    assert reader.days() == [DAY]
    writer.remove(DAY)
    writer.remove(DAY)
    assert reader.days() == []


def test_a_store_that_is_missing_or_away_is_an_os_error(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="bucket"):
        RecordStore("s3://missing/x").write(DAY, "a", b"")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(OSError, match=f"{BUCKET}/x"):
        RecordStore(f"{BUCKET}/x").files("")
    S3FileSystem.clear_instance_cache()


def test_a_bucket_that_is_missing_is_said_at_the_start(
    s3: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(_env_file=None, auth="off", feedback_folder="s3://missing/feedback")
    assert check_startup(settings, AppState(settings, "0").keys) is None
    assert "FEEDBACK_FOLDER: s3://missing/feedback: " in caplog.text


def test_two_replicas_feed_one_trainer(s3: Server, serve: Serve, tmp_path: Path) -> None:
    settings = {
        "monitor_folder": f"{BUCKET}/monitoring", "monitor_share": 1, "feedback_folder": f"{BUCKET}/feedback",
    }  # fmt: skip
    replicas = [serve(**settings) for _ in range(2)]
    for number, replica in enumerate(replicas):
        with httpx.Client(base_url=replica.address, timeout=30) as client:
            for picture in pictures(4):
                assert predict(client, picture).status_code == 200
            ink = [[[0, 0], [8, 10 + number]], [[8, 0], [0, 10]]]
            asked = client.post("/predict/strokes", json={"strokes": ink})
            body = {"request_id": asked.headers["X-Request-ID"], "formula": "y^2"}
            assert client.post("/feedback", json=body).status_code == 201
    for replica in replicas:
        replica.stop()  # what waits is written then
    now = datetime.now(UTC)
    window = read_window(f"{BUCKET}/monitoring", "1", 1, ("strokes", "picture"), now)
    assert (len(window.predictions), window.invalid_lines) == (10, 0)
    assert len(RecordStore(f"{BUCKET}/monitoring").files(".jsonl")) == 2, "a file each"
    collected = collect(f"{BUCKET}/feedback", tmp_path / "corrections", tmp_path / "report.csv")
    assert (collected.files, collected.written, collected.skipped) == (2, 2, ())
    assert {read_inkml(path).label for path in (tmp_path / "corrections").glob("*.inkml")} == {"y^{2}"}
