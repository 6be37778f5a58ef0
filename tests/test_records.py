"""Records: whole or not at all, by day, the same in a folder and at an address; lines lost to no hiccup."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from components.monitoring.window import read_window
from components.records import RecordStore
from components.serving.settings import Settings
from components.serving.storage.line_buffer import LineBuffer
from tests.monitoring.test_drift import line
from tests.serving.conftest import png, serving

DAY = date(2026, 11, 27)


def test_a_folder_and_its_address_are_the_same_store(tmp_path: Path) -> None:
    RecordStore(tmp_path).write(DAY, "a.json", b"{}")
    store = RecordStore(f"file://{tmp_path}")
    assert [file.name for file in store.files(".json")] == ["2026-11-27/a.json"]
    assert dict(store.read(["2026-11-27/a.json"])) == {"2026-11-27/a.json": b"{}"}
    assert store.days() == [DAY]


def test_hidden_files_and_folders_that_are_no_days_are_passed_over(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.check()
    (tmp_path / "notes").mkdir()
    assert store.files("") == [] and store.days() == []


def test_one_that_can_t_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.write(DAY, "a", b"1")
    read = dict(store.read(["2026-11-27/gone", "2026-11-27/a"]))
    assert isinstance(read["2026-11-27/gone"], FileNotFoundError) and read["2026-11-27/a"] == b"1"


def test_an_address_that_nothing_opens_is_named() -> None:
    with pytest.raises(ValueError, match=r"nothing://x: "):
        RecordStore("nothing://x")


def test_settings_tell_addresses_from_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEEDBACK_FOLDER", "s3://bucket/feedback")
    monkeypatch.setenv("MONITOR_FOLDER", "/kept/monitoring")
    settings = Settings(_env_file=None)
    assert settings.feedback_folder == "s3://bucket/feedback"
    assert settings.monitor_folder == Path("/kept/monitoring")
    assert settings.monitoring["enabled"] is True


class TestLines:
    def test_they_wait_and_are_written_together(self, tmp_path: Path) -> None:
        store = RecordStore(tmp_path)
        lines = LineBuffer(store, _unexpected)
        for number in range(3):
            lines.add(f"{number}", datetime(2026, 11, 27, 23, 59, tzinfo=UTC) + timedelta(minutes=number))
        assert store.files("") == []
        lines.flush()
        files = store.files(".jsonl")
        assert [file.name[:10] for file in files] == ["2026-11-27", "2026-11-28"], "by their days"
        assert [content for _, content in store.read([file.name for file in files])] == [b"0\n", b"1\n2\n"]

    def test_a_store_that_was_away_gets_them_later_in_their_order(self, tmp_path: Path) -> None:
        blocked = tmp_path / "store"
        blocked.write_text("no folder")
        store = RecordStore(blocked)
        lines = LineBuffer(store, _unexpected)
        at = datetime(2026, 11, 27, tzinfo=UTC)
        lines.add("first", at)
        with pytest.raises(OSError):
            lines.flush()
        lines.add("second", at)
        blocked.unlink()
        lines.flush()
        [file] = store.files(".jsonl")
        assert dict(store.read([file.name])) == {file.name: b"first\nsecond\n"}
        lines.flush()
        assert len(store.files(".jsonl")) == 1, "nothing is written twice"

    def test_memory_is_bounded_while_the_store_is_away(self, tmp_path: Path) -> None:
        blocked = tmp_path / "store"
        blocked.write_text("no folder")
        lines = LineBuffer(RecordStore(blocked), _unexpected)
        with pytest.raises(OSError, match="wait already"):
            for _ in range(40):
                try:
                    lines.add("x" * (1 << 20), datetime(2026, 11, 27, tzinfo=UTC))
                except NotADirectoryError:
                    continue


async def test_a_replica_writes_its_readings_where_the_drift_check_finds_them(tmp_path: Path) -> None:
    address = f"file://{tmp_path}"
    async with serving(monitor_folder=address, monitor_share=1) as service:
        for width in (0, 8):
            assert (await service.predict(width)).status_code == 200
        await service.state.close()
    window = read_window(address, "3", 1, ("picture",))
    assert sorted(window.predictions["tokens"]) == [8, 8] and window.invalid_lines == 0
    assert png()[:40].hex() not in "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))


async def test_a_store_that_is_away_when_the_service_ends_is_said_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "store"
    blocked.write_text("no folder")
    async with serving(monitor_folder=f"file://{blocked}", monitor_share=1) as service:
        assert (await service.predict()).status_code == 200
        with caplog.at_level(logging.ERROR):
            await service.state.close()
    assert "the last predictions are not recorded" in caplog.text


def test_the_window_reads_the_days_it_touches_and_no_others(tmp_path: Path) -> None:
    now = datetime(2026, 11, 27, 1, tzinfo=UTC)
    store = RecordStore(tmp_path)
    for hours in (0, 2, 50):
        at = now - timedelta(hours=hours)
        store.write(at.date(), f"{hours}.jsonl", line(at, tokens=1 + hours).encode() + b'{"half')
    window = read_window(f"file://{tmp_path}", "3", 24, ("strokes",), now)
    assert sorted(window.predictions["tokens"]) == [1, 3]
    assert window.invalid_lines == 2, "of two files that were read; the third was not"


def test_of_several_replicas_folders_all_are_read(tmp_path: Path) -> None:
    now = datetime(2026, 11, 27, 12)
    for replica in "ab":
        log = tmp_path / replica / "readings/data/data.1.log"
        log.parent.mkdir(parents=True)
        log.write_text(line(now))
    assert len(read_window(tmp_path, "3", 24, ("strokes",), now).predictions) == 2


def _unexpected(error: OSError, waiting: int) -> None:
    raise AssertionError(f"in the background: {error}, {waiting}")
