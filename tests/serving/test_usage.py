"""Usage by key and day: counted right, without content, by all replicas, seen by those who may."""

from __future__ import annotations

import csv
import io
import logging
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components.records import RecordStore
from components.serving.access.api_keys import add_key
from components.serving.observability.request_context import RequestContext
from components.serving.observability.usage import NO_KEY, Usage
from components.serving.settings import Settings
from tests.serving.conftest import Service, serving

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
ADA, BOB = "aaaaaaaa", "bbbbbbbb"


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now.timestamp()


def counter(clock: Clock | None = None, **settings: Any) -> Usage:
    return Usage(Settings(_env_file=None, **settings), lambda key: key or "none", clock or Clock())


def context(
    key: str | None = ADA, formulas: int = 1, confidence: float = 0.5, **fields: Any
) -> RequestContext:
    return RequestContext(
        "id", key_id=key, formulas=formulas, total_confidence=formulas * confidence, **fields
    )


def key_id(secret: str) -> str:
    return secret.split("_")[1]


async def usage(service: Service, secret: str | None = None, **query: Any) -> Any:
    headers = {"x-api-key": secret} if secret else {}
    return await service.client.get("/usage", params=query, headers=headers)


def test_a_row_has_what_one_key_did_on_one_day() -> None:
    usage = counter()
    usage.count(context(confidence=0.4), 200)
    usage.count(context(formulas=3, confidence=0.8), 200)
    usage.count(context(formulas=0), 429)
    usage.count(context(formulas=0), 503)
    usage.count(context(formulas=0, corrections=1), 201)
    usage.count(context(None), 200)
    none, ada = usage.report(1)
    assert (none.key, none.requests, ada.key, ada.day) == (NO_KEY, 1, ADA, date(2026, 11, 27))
    assert (ada.requests, ada.formulas, ada.refused, ada.failed, ada.corrected) == (5, 4, 1, 1, 1)
    assert (ada.confidence, ada.share_corrected) == (0.7, 0.25)
    assert ada.median is not None and 0 < ada.median <= ada.p95 < 1
    assert [row.key for row in usage.report(1, ADA)] == [ADA]


def test_days_older_than_the_setting_are_gone_from_memory_and_from_the_store(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        clock = Clock()
        usage = counter(clock, usage_days=3, usage_folder=folder)
        for day in range(5):
            clock.now = NOON + timedelta(days=day)
            usage.count(context(), 200)
            usage.flush()
        assert [row.day.day for row in usage.report(100)] == [29, 30, 1]
        assert [row.day.day for row in usage.report(2)] == [30, 1]
    clock.now += timedelta(days=1)
    counter(clock, usage_days=3, usage_folder=tmp_path).flush()
    assert [day.day for day in RecordStore(tmp_path).days()] == [30, 1], "whoever writes removes"


def test_all_processes_are_added_up_and_the_next_one_knows_the_past(tmp_path: Path) -> None:
    first, second = counter(usage_folder=tmp_path), counter(usage_folder=tmp_path)
    first.count(context(confidence=0.2), 200)
    second.count(context(confidence=0.6), 200)
    second.count(context(BOB), 400)
    for usage in (first, second):
        usage.flush()
    reports = [usage.report(7) for usage in (first, second, counter(usage_folder=tmp_path))]
    assert reports[0] == reports[1] == reports[2]
    ada, bob = reports[0]
    assert (ada.formulas, ada.confidence, bob.refused) == (2, 0.4, 1)
    second.count(context(), 200)
    second.flush()
    assert first.report(7)[0].formulas == 3, "a file that has changed is read again"


def test_a_broken_file_and_a_store_that_is_away_cost_no_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "store"
    usage = counter(usage_folder=store)
    store.write_text("no folder")
    usage.count(context(), 200)
    with pytest.raises(OSError):
        usage.flush()
    usage.close()
    assert "not stored" in caplog.text
    store.unlink()
    usage.flush()
    (store / "2026-11-27" / "broken.json").write_text("{")
    with caplog.at_level(logging.ERROR):
        [row] = usage.report(1)
    assert row.requests == 1 and "broken.json" in caplog.text


def test_a_flood_of_keys_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.serving.observability.usage._ROWS", 10)
    clock = Clock()
    usage = counter(clock)
    for day in range(4):
        clock.now = NOON + timedelta(days=day)
        for key in range(6):
            usage.count(context(f"{key:08x}"), 200)
    assert {row.day.day for row in usage.report(90)} == {30}


async def test_the_service_counts_predictions_refusals_and_corrections_by_key(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    ada, boss = add_key(file, "Ada", ""), add_key(file, "Boss", "", admin=True)
    settings = {"auth": "required", "api_keys_file": file, "feedback_folder": tmp_path / "feedback"}
    async with serving(**settings) as service:
        asked = await service.predict(**{"x-api-key": ada})
        await service.predict(**{"x-api-key": ada})
        for formula in ("x", "y"):
            body = {"request_id": asked.headers["x-request-id"], "formula": formula}
            answer = await service.client.post("/feedback", json=body, headers={"x-api-key": ada})
            assert answer.status_code == 201
        bad = {"content-type": "image/png", "x-api-key": ada}
        assert (await service.client.post("/predict", content=b"no", headers=bad)).status_code == 415
        assert (await service.predict()).status_code == 401
        answer = await usage(service, boss)
        assert answer.json()["scope"] == "this replica"
        none, row = answer.json()["days"]
        assert (none["key"], none["requests"], none["refused"]) == (None, 1, 1)
        assert (row["key"], row["name"], row["requests"], row["refused"]) == (key_id(ada), "Ada", 5, 1)
        assert (row["formulas"], row["corrected"], row["share_corrected"]) == (2, 1, 0.5)
        assert row["confidence"] == 0.75 and row["median"] > 0
        batch = {"images": ["aGVsbG8=", "aGVsbG8="]}
        await service.client.post("/predict/batch", json=batch, headers={"x-api-key": ada})
        assert (await usage(service, boss)).json()["days"][1]["formulas"] == 2, "none of them was read"


async def test_who_has_no_admin_key_sees_their_own(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    ada, bob, boss = (add_key(file, name, "", admin=name == "Boss") for name in ("Ada", "Bob", "Boss"))
    async with serving(auth="optional", api_keys_file=file) as service:
        for secret in (ada, bob):
            await service.predict(**{"x-api-key": secret})
        await service.predict()
        seen = {who: (await usage(service, secret)).json()["days"] for who, secret in
                {"Ada": ada, "Boss": boss, None: None}.items()}  # fmt: skip
        assert [row["name"] for row in seen["Ada"]] == ["Ada"]
        assert [row["key"] for row in seen[None]] == [None]
        assert {row["name"] for row in seen["Boss"]} == {"Ada", "Bob", None}
        [row] = (await usage(service, boss, key=key_id(bob))).json()["days"]
        assert row["name"] == "Bob"
        refused = await usage(service, ada, key=key_id(bob))
        assert refused.status_code == 403 and refused.json()["type"] == "urn:problem:admin-needed"
        assert (await usage(service, ada, key=key_id(ada))).status_code == 200
        assert (await usage(service, "hm_no")).status_code == 401
        assert (await usage(service, boss, key="x")).status_code == 422


async def test_as_csv_a_name_is_no_formula(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    boss = add_key(file, '=HYPERLINK("x")', "", admin=True)
    async with serving(auth="required", api_keys_file=file) as service:
        await service.predict(**{"x-api-key": boss})
        answer = await usage(service, boss, format="csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        [row] = csv.DictReader(io.StringIO(answer.text))
        assert (row["key"], row["name"], row["formulas"]) == (key_id(boss), '\'=HYPERLINK("x")', "1")


async def test_nothing_that_was_read_or_written_is_kept(tmp_path: Path) -> None:
    async with serving(usage_folder=tmp_path) as service:
        answer = await service.predict()
        await service.state.close()
    [file] = list(tmp_path.rglob("*.json"))
    text = file.read_text()
    assert answer.json()["formula"] not in text and "127.0.0.1" not in text
    assert answer.headers["x-request-id"] not in text


async def test_labels_are_bounded_by_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    secrets = [add_key(file, "Ada", "")]
    entry = file.read_text()
    secrets.append(add_key(file, "Bob", ""))
    assert entry != file.read_text()
    async with serving(auth="optional", api_keys_file=file, usage_key_labels=1) as service:
        for secret in [*secrets, None]:
            await service.predict(**({"x-api-key": secret} if secret else {}))
        oldest = min(service.state.keys.entries(), key=lambda key: (key.created, key.id)).id
        text = (await service.client.get("/metrics")).text
        for label in (oldest, "other", "none"):
            assert f'ocr_usage_formulas_total{{key="{label}"}}' in text
        others = {key_id(secret) for secret in secrets} - {oldest}
        assert not any(f'key="{other}"' in text for other in others)
