"""Corrections: who may send them, what is kept of them, and what nobody can do by them."""

from __future__ import annotations

import asyncio
import base64
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from components.ink.correction import Correction
from components.ink.raster import RasterSettings, draw
from components.serving.access.api_keys import add_key
from components.serving.storage import prediction_store
from tests.serving.conftest import Service, png, serving
from tests.serving.test_api import CROSS, INKML, problem_of


def kept(folder: Path) -> list[tuple[str, Correction]]:
    """The corrections that lie there, with their files' names."""
    assert not list(folder.rglob("*.part"))
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return [
        (str(file.relative_to(folder)), Correction.model_validate_json(file.read_bytes())) for file in files
    ]


async def correct(service: Service, answer: httpx.Response | str, formula: str, **headers: str) -> Any:
    request_id = answer if isinstance(answer, str) else answer.headers["X-Request-ID"]
    body = {"request_id": request_id, "formula": formula}
    return await service.client.post("/feedback", json=body, headers=headers)


async def inked(service: Service, ink: Any = CROSS, **headers: str) -> httpx.Response:
    return await service.client.post("/predict/strokes", json={"strokes": ink}, headers=headers)


class TestWhatIsKept:
    async def test_of_strokes_the_strokes(self, tmp_path: Path) -> None:
        ink = [[[0.1, 0], [8, 10.25]], [], [[8, 0, 5], [0, 1 / 3, 6]]]
        async with serving(feedback_folder=tmp_path) as service:
            asked = await inked(service, ink)
            answer = await correct(service, asked, r"$\frac 12$")
            assert answer.status_code == 201, answer.text
            request_id = asked.headers["X-Request-ID"]
            assert answer.json() == {"request_id": request_id, "formula": r"\frac{1}{2}"}
            [(name, correction)] = kept(tmp_path)
            assert name == f"{datetime.now(UTC):%Y-%m-%d}/{request_id}.json"
            assert (correction.read, correction.right) == (asked.json()["formula"], r"\frac{1}{2}")
            assert (correction.request_id, correction.model) == (request_id, "3")
            assert correction.caller == "127.0.0.1" and correction.picture is None
            assert datetime.now(UTC) - correction.at < timedelta(minutes=1)
            assert correction.strokes == [[(0.1, 0), (8, 10.25)], [(8, 0), (0, 0.33333334)]]
            strokes = [np.array(stroke, np.float32) for stroke in correction.strokes]
            assert np.array_equal(draw(strokes, RasterSettings()), service.reader.requests[0].picture)

    async def test_of_inkml_its_strokes(self, tmp_path: Path) -> None:
        async with serving(feedback_folder=tmp_path) as service:
            headers = {"content-type": "application/inkml+xml"}
            asked = await service.client.post("/predict/strokes", content=INKML, headers=headers)
            assert (await correct(service, asked, "x")).status_code == 201
            [(_, correction)] = kept(tmp_path)
            assert correction.strokes == [[(0, 0), (8, 10)], [(8, 0), (0, 10)]]

    async def test_of_a_picture_what_the_recogniser_saw_of_a_known_answer_too(self, tmp_path: Path) -> None:
        async with serving(feedback_folder=tmp_path) as service:
            answers = [await service.predict() for _ in range(2)]
            assert [answer.headers["X-Cache"] for answer in answers] == ["miss", "hit"]
            for answer in answers:
                assert (await correct(service, answer, "x")).status_code == 201
            first, second = (correction for _, correction in kept(tmp_path))
            assert first.picture == second.picture is not None and first.strokes is None
            seen = cv2.imdecode(np.frombuffer(first.picture, np.uint8), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(seen, service.reader.requests[0].picture)

    async def test_the_last_word_counts(self, tmp_path: Path) -> None:
        async with serving(feedback_folder=tmp_path) as service:
            asked = await service.predict()
            answers = [await correct(service, asked, formula) for formula in "abc"]
            assert [answer.status_code for answer in answers] == [201] * 3
            assert [correction.right for _, correction in kept(tmp_path)] == ["c"]

    async def test_at_once_they_leave_one_that_is_whole(self, tmp_path: Path) -> None:
        async with serving(feedback_folder=tmp_path) as service:
            asked = await service.predict()
            answers = await asyncio.gather(*(correct(service, asked, "x" * n) for n in range(1, 21)))
            assert {answer.status_code for answer in answers} == {201}
            [(_, correction)] = kept(tmp_path)
            assert set(correction.right) == {"x"}


class TestNames:
    @pytest.mark.parametrize("chosen", ["mine-1", ".", "..", "...", "-rf", ".hidden", "x.json", "A" * 64])
    async def test_what_a_caller_calls_a_request_is_safe_as_a_file_name(
        self, tmp_path: Path, chosen: str
    ) -> None:
        folder = tmp_path / "corrections"
        async with serving(feedback_folder=folder) as service:
            asked = await service.predict(**{"x-request-id": chosen})
            assert asked.headers["X-Request-ID"] == chosen
            assert (await correct(service, asked, "x")).status_code == 201
            [(name, correction)] = kept(folder)
            assert correction.request_id == chosen
            day, _, file = name.partition("/")
            assert file.endswith(f"-{chosen}.json") and file[:16].isalnum() and "/" not in file
            assert list(tmp_path.iterdir()) == [folder] and list(folder.iterdir()) == [folder / day]

    async def test_the_same_name_by_two_callers_and_twice_by_one_is_three_corrections(
        self, tmp_path: Path
    ) -> None:
        file, folder = tmp_path / "keys.json", tmp_path / "corrections"
        ada, bob = ({"x-api-key": add_key(file, name, "")} for name in ("Ada", "Bob"))
        named = {"x-request-id": "same"}
        async with serving(auth="required", api_keys_file=file, feedback_folder=folder) as service:
            await service.predict(0, **ada, **named)
            await service.predict(8, **bob, **named)
            assert (await correct(service, "same", "a", **ada)).status_code == 201
            assert (await correct(service, "same", "b", **bob)).status_code == 201
            await service.predict(16, **ada, **named)
            assert (await correct(service, "same", "c", **ada)).status_code == 201
            found = {(c.caller, c.right): c.picture for _, c in kept(folder)}
            assert set(found) == {("Ada", "a"), ("Bob", "b"), ("Ada", "c")}
            assert len(set(found.values())) == 3, "each with its own picture"

    async def test_an_id_of_the_service_chosen_by_another_changes_nothing_of_it(self, tmp_path: Path) -> None:
        file, folder = tmp_path / "keys.json", tmp_path / "corrections"
        ada, bob = ({"x-api-key": add_key(file, name, "")} for name in ("Ada", "Bob"))
        async with serving(auth="required", api_keys_file=file, feedback_folder=folder) as service:
            asked = await service.predict(**ada)
            assert (await correct(service, asked, "a", **ada)).status_code == 201
            await service.predict(8, **bob, **{"x-request-id": asked.headers["X-Request-ID"]})
            assert (await correct(service, asked, "b", **bob)).status_code == 201
            assert {(c.caller, c.right) for _, c in kept(folder)} == {("Ada", "a"), ("Bob", "b")}


class TestWhoMay:
    async def test_nobody_but_who_asked(self, tmp_path: Path) -> None:
        file, folder = tmp_path / "keys.json", tmp_path / "corrections"
        ada, bob = ({"x-api-key": add_key(file, name, "")} for name in ("Ada", "Bob"))
        async with serving(auth="required", api_keys_file=file, feedback_folder=folder) as service:
            asked = await service.predict(**ada)
            other = await correct(service, asked, "x", **bob)
            never = await correct(service, "never-was", "x", **bob)
            problem_of(other, 404, "unknown-request")
            assert other.json()["detail"] == never.json()["detail"]
            problem_of(await correct(service, asked, "x"), 401, "key-needed")
            assert not folder.exists()

    async def test_where_keys_are_optional_one_is_needed_for_this(self, tmp_path: Path) -> None:
        file, folder = tmp_path / "keys.json", tmp_path / "corrections"
        key = {"x-api-key": add_key(file, "Ada", "")}
        async with serving(auth="optional", api_keys_file=file, feedback_folder=folder) as service:
            asked = await service.predict()
            problem_of(await correct(service, asked, "x"), 401, "key-needed")
            problem_of(await correct(service, asked, "x", **key), 404, "unknown-request")
            asked = await service.predict(**key)
            assert (await correct(service, asked, "x", **key)).status_code == 201

    async def test_it_counts_as_any_request(self, tmp_path: Path) -> None:
        async with serving(feedback_folder=tmp_path, rate_limits="on", rate_limit_minute=3) as service:
            asked = await service.predict()
            first = await correct(service, asked, "x")
            assert first.status_code == 201 and '"minute";r=1' in first.headers["RateLimit"]
            assert (await correct(service, asked, "x")).status_code == 201
            problem_of(await correct(service, asked, "x"), 429, "too-many-requests")


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("formula", "problem", "said"),
        [
            (r"\frac{1", "invalid-formula", "stands where"),
            (r"\nonsense", "invalid-formula", r"unknown command \nonsense"),
            ("", "invalid-formula", "empty"),
            ("x\\", "invalid-formula", "backslash"),
            ("字", "invalid-formula", "U+5B57"),
            ("x" * 257, "too-long", "257"),
            ("x" * 4097, "invalid-body", "4096"),
            (None, "invalid-body", "formula"),
        ],
    )
    async def test_what_is_no_formula_with_the_reason(
        self, tmp_path: Path, formula: Any, problem: str, said: str
    ) -> None:
        async with serving(feedback_folder=tmp_path) as service:
            asked = await service.predict()
            problem_of(await correct(service, asked, formula), 422, problem, said)
            assert not kept(tmp_path)
            assert (await correct(service, asked, "x" * 256)).status_code == 201

    @pytest.mark.parametrize("request_id", ["../x", "", "a b", "x\n", "x" * 65, 5])
    async def test_what_can_be_no_request_id(self, tmp_path: Path, request_id: Any) -> None:
        async with serving(feedback_folder=tmp_path) as service:
            body = {"request_id": request_id, "formula": "x"}
            problem_of(await service.client.post("/feedback", json=body), 422, "invalid-body", "request_id")

    async def test_all_where_there_is_no_folder(self) -> None:
        async with serving() as service:
            asked = await service.predict()
            problem_of(await correct(service, asked, "x"), 404, "feedback-off")

    async def test_what_a_batch_read(self, tmp_path: Path) -> None:
        async with serving(feedback_folder=tmp_path) as service:
            images = [base64.b64encode(png()).decode()]
            asked = await service.client.post("/predict/batch", json={"images": images})
            problem_of(await correct(service, asked, "x"), 404, "unknown-request")

    async def test_what_is_forgotten(self, tmp_path: Path) -> None:
        async with serving(feedback_folder=tmp_path, feedback_seconds=1) as service:
            asked = await service.predict()
            await asyncio.sleep(1.1)
            problem_of(await correct(service, asked, "x"), 404, "unknown-request", "1 s")

    async def test_a_disk_that_refuses_is_told_and_leaves_nothing_half(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder = tmp_path / "corrections"
        folder.write_text("a file is in the way")
        async with serving(feedback_folder=folder) as service:
            asked = await service.predict()
            refused = await correct(service, asked, "x")
            problem_of(refused, 503, "not-kept")
            assert refused.headers["Retry-After"] == "60" and str(tmp_path) not in refused.text
            assert str(folder) in caplog.text
            folder.unlink()
            assert (await correct(service, asked, "x")).status_code == 201
            assert len(kept(folder)) == 1


class TestMemory:
    async def test_it_is_bounded_by_bytes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(prediction_store, "_CAPACITY", 10_000)
        async with serving(feedback_folder=tmp_path) as service:
            asked = [await service.predict(8 * n) for n in range(8)]
            statuses = [(await correct(service, answer, "x")).status_code for answer in asked]
            assert statuses == sorted(statuses, reverse=True), "the oldest are forgotten"
            assert statuses[0] == 404 and statuses[-1] == 201
            kept: Any = service.state.feedback._store
            assert 0 < kept._records.currsize <= 10_000

    async def test_ink_that_is_too_large_is_read_and_not_remembered(self, tmp_path: Path) -> None:
        ink = [[[n % 300, n // 300] for n in range(30_000)]]
        async with serving(feedback_folder=tmp_path) as service:
            asked = await inked(service, ink)
            assert asked.status_code == 200
            problem_of(await correct(service, asked, "x"), 404, "unknown-request", "too large")

    async def test_nothing_is_remembered_where_nobody_may_correct(self, tmp_path: Path) -> None:
        for settings in ({}, {"auth": "optional", "feedback_folder": tmp_path}):
            async with serving(**settings) as service:
                assert (await service.predict()).status_code == 200
                remembered: Any = service.state.feedback._store
                assert not remembered._records


async def test_the_audit_line_says_which_request_is_corrected_and_measures_how_it_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(feedback_folder=tmp_path) as service:
        with caplog.at_level(logging.INFO):
            asked = await service.predict(**{"x-request-id": "mine-1"})
            await correct(service, asked, "x")
            await correct(service, "other", "x")
        lines = [record for record in caplog.records if record.name == "audit"]
        assert [(r.corrects, r.outcome) for r in lines] == [  # type: ignore[attr-defined]
            (None, "ok"),
            ("mine-1", "ok"),
            ("other", "unknown-request"),
        ]
        text = (await service.client.get("/metrics")).text
        assert 'ocr_feedback_total{outcome="kept"}' in text
        assert 'ocr_feedback_total{outcome="unknown-request"}' in text
        assert 'ocr_remembered_total{kept="yes"}' in text
