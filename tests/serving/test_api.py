"""What the API promises its callers; the service as a whole is in tests/integration/test_service.py."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
from collections.abc import Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from components.serving.access.api_keys import KeyLimits, add_key
from tests.serving.conftest import Service, png, serving

CROSS = [[[0, 0], [8, 10]], [[8, 0, 1.5], [0, 10, 3]]]
INKML = "<ink><trace>0 0, 8 10</trace><trace>8 0, 0 10</trace></ink>"


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


class TestPicture:
    async def test_raw_or_in_a_form_it_is_answered_alike(self) -> None:
        async with serving() as service:
            raw = await service.predict()
            form = await service.client.post("/predict", files={"file": ("f.png", png(), "image/png")})
            assert raw.status_code == form.status_code == 200
            answer = raw.json()
            assert answer["formula"] == form.json()["formula"] and answer["confidence"] == 0.75
            assert set(answer) == {"formula", "confidence", "processing_time", "timestamp"}
            assert 0 < answer["processing_time"] < 5
            assert datetime.fromisoformat(answer["timestamp"]).tzinfo is not None

    async def test_alternatives_and_mathml_where_asked_for(self) -> None:
        async with serving() as service:
            answer = await service.client.post(
                "/predict?n_best=3&format=mathml", content=png(), headers={"content-type": "image/png"}
            )
            assert [a["formula"] for a in answer.json()["alternatives"]] == ["x", "x"]
            assert "<mfrac>" in answer.json()["mathml"]
            assert service.reader.requests[0].n_best == 3

    @pytest.mark.parametrize("query", ["n_best=0", "n_best=6", "n_best=x", "format=word"])
    async def test_options_that_make_no_sense_are_named(self, query: str) -> None:
        async with serving() as service:
            answer = await service.client.post(
                f"/predict?{query}", content=png(), headers={"content-type": "image/png"}
            )
            problem_of(answer, 422, "invalid-parameter", query.split("=")[0])

    @pytest.mark.parametrize(
        ("body", "kind", "status", "problem"),
        [
            (b"", "image/png", 422, "empty"),
            (b"hello", "image/png", 415, "unknown-format"),
            (b"hello", "text/plain", 415, "unsupported-media-type"),
            (b"hello", "", 415, "unknown-format"),
            (png()[:300], "image/png", 422, "broken-picture"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", 415, "unknown-format"),
            (b"--x\r\n", "multipart/form-data; boundary=x", 422, "no-file"),
            (b"--x", "multipart/form-data", 400, "invalid-form"),
            (b"garbage", "multipart/form-data; boundary=x", 400, "invalid-form"),
        ],
    )
    async def test_what_is_no_picture_is_refused_with_the_reason(
        self, body: bytes, kind: str, status: int, problem: str
    ) -> None:
        async with serving() as service:
            headers = {"content-type": kind} if kind else {}
            answer = await service.client.post("/predict", content=body, headers=headers)
            problem_of(answer, status, problem)

    async def test_blank_paper_is_refused(self) -> None:
        async with serving() as service:
            white = cv2.imencode(".png", np.full((60, 90), 255, np.uint8))[1].tobytes()
            answer = await service.client.post(
                "/predict", content=white, headers={"content-type": "image/png"}
            )
            problem_of(answer, 422, "nothing-written")

    async def test_too_many_bytes_or_pixels_are_refused(self) -> None:
        async with serving(max_bytes=2000, max_pixels=5000) as service:
            large = np.random.default_rng(1).integers(0, 255, (60, 60), np.uint8)
            bytes_ = cv2.imencode(".png", large)[1].tobytes()
            headers = {"content-type": "image/png"}
            problem_of(
                await service.client.post("/predict", content=bytes_, headers=headers), 413, "too-large"
            )
            problem_of(
                await service.client.post("/predict", files={"file": ("f.png", bytes_)}), 413, "too-large"
            )

            async def endless() -> Any:
                while True:
                    yield b"x" * 1000

            problem_of(
                await service.client.post("/predict", content=endless(), headers=headers),
                413,
                "too-large",
            )
            wide = cv2.imencode(".png", np.full((60, 90), 255, np.uint8))[1].tobytes()
            problem_of(
                await service.client.post("/predict", content=wide, headers=headers),
                413,
                "too-many-pixels",
            )

    async def test_a_decompression_bomb_is_refused_unread(self) -> None:
        bomb = io.BytesIO()
        Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
        async with serving() as service:
            answer = await service.client.post(
                "/predict", content=bomb.getvalue(), headers={"content-type": "image/png"}
            )
            problem_of(answer, 413, "too-many-pixels")

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
    @pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
    async def test_every_format_and_mode_is_read(self, format: str, mode: str) -> None:
        picture = Image.open(io.BytesIO(png())).convert("RGB").resize((300, 120)).convert(mode)
        if format in ("JPEG", "WEBP") and mode in ("P", "1"):
            picture = picture.convert("L")
        file = io.BytesIO()
        picture.save(file, format)
        async with serving() as service:
            answer = await service.client.post(
                "/predict", content=file.getvalue(), headers={"content-type": f"image/{format.lower()}"}
            )
            assert answer.status_code == 200, answer.text


class TestExplained:
    """`?explain=true`: which ink each token was read from, where the caller has that ink."""

    async def test_nobody_is_told_who_does_not_ask_and_the_cache_tells_them_apart(self) -> None:
        async with serving() as service:
            headers = {"content-type": "image/png"}
            for query, known in (("", 0), ("?explain=true", 0), ("", 1), ("?explain=true", 1)):
                answer = await service.client.post(f"/predict{query}", content=png(), headers=headers)
                assert answer.headers["x-cache"] == ("hit" if known else "miss")
                assert ("token_boxes" in answer.json()) == bool(query)
            formula, token_boxes = answer.json()["formula"], answer.json()["token_boxes"]
            assert "".join(formula[look["start"] : look["end"]] for look in token_boxes) == formula
            assert [look["token"] for look in token_boxes[:2]] == [r"\frac", "{"]
            assert "box" in token_boxes[0] and "box" not in token_boxes[1]

    @pytest.mark.parametrize(
        ("scale", "at"),
        [(1, (0, 0)), (0.01, (5, -3)), (300, (1e6, 4e5)), (1.1, (1.7e9, -1.7e9)), (1, (1.7e9, 3))],
    )
    async def test_ink_gets_boxes_in_its_own_units(self, scale: float, at: tuple[float, float]) -> None:
        async with serving() as service:
            strokes = [(np.array(s)[:, :2] * scale + at).tolist() for s in ([[0, 0], [8, 10]], [[8, 0]])]
            asked = await service.client.post("/predict/strokes?explain=1", json={"strokes": strokes})
            left, top, right, bottom = asked.json()["token_boxes"][0]["box"]
            found = (np.array([left, top, right, bottom]) - [*at, *at]) / scale
            np.testing.assert_allclose(found, [0, 0, 8, 10], atol=1.2)  # the pen has a width
            traces = "".join(
                f"<trace>{','.join(f'{x!r} {y!r}' for x, y in stroke)}</trace>" for stroke in strokes
            )
            again = await service.client.post(
                "/predict/strokes?explain=1",
                content=f"<ink>{traces}</ink>",
                headers={"content-type": "application/inkml+xml"},
            )
            assert again.json()["token_boxes"][0]["box"] == [left, top, right, bottom]

    async def test_a_picture_gets_boxes_in_its_own_pixels_turned_upright(self) -> None:
        paper = np.full((400, 900), 250, np.uint8)
        paper[150:162, 300:700] = paper[220:232, 300:700] = 20  # =
        file = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6  # it is to be turned a quarter to the right
        Image.fromarray(np.rot90(paper).copy()).save(file, "PNG", exif=exif)
        async with serving() as service:
            for body in (cv2.imencode(".png", paper)[1].tobytes(), file.getvalue()):
                asked = await service.client.post(
                    "/predict?explain=true", content=body, headers={"content-type": "image/png"}
                )
                box = asked.json()["token_boxes"][0]["box"]
                np.testing.assert_allclose(box, [300, 150, 700, 232], atol=12)
            images = [base64.b64encode(file.getvalue()).decode()]
            batch = await service.client.post("/predict/batch?explain=true", json={"images": images})
            assert batch.json()["results"][0]["token_boxes"][0]["box"] == box

    async def test_mathml_says_which_tokens_an_element_stands_for(self) -> None:
        async with serving() as service:
            asked = await service.client.post(
                "/predict?explain=true&format=mathml",
                content=png(),
                headers={"content-type": "image/png"},
            )
            digits = len(asked.json()["formula"]) - len(r"\frac{}{x}")
            places = " ".join(str(2 + place) for place in range(digits))
            assert f'<mfrac data-tokens="0"><mrow><mn data-tokens="{places}">' in asked.json()["mathml"]


class TestStrokes:
    async def test_json_and_inkml_are_answered_alike(self) -> None:
        async with serving(cache_answers=0) as service:
            strokes = await service.client.post("/predict/strokes", json={"strokes": CROSS})
            inkml = await service.client.post(
                "/predict/strokes", content=INKML, headers={"content-type": "application/inkml+xml"}
            )
            assert strokes.status_code == inkml.status_code == 200, strokes.text + inkml.text
            one, other = service.reader.requests
            assert one == other

    @pytest.mark.parametrize(
        ("body", "status", "problem"),
        [
            ("", 422, "invalid-body"),
            ("[]", 422, "invalid-body"),
            ('{"strokes": []}', 422, "invalid-body"),
            ('{"strokes": [[]]}', 422, "nothing-written"),
            ('{"strokes": [[[1]]]}', 422, "invalid-body"),
            ('{"strokes": [[[1, 2, 3, 4]]]}', 200, ""),
            ('{"strokes": [[[1, "a"]]]}', 422, "invalid-body"),
            ('{"strokes": [[[NaN, 1]]]}', 422, "invalid-body"),
            ('{"strokes": [[[1e300, 1]]]}', 422, "invalid-body"),
            ('{"strokes": [[[1e38, 1], [-1e38, 2]]]}', 200, ""),
            ('{"strokes": [[[0, 0]]]}', 200, ""),
            ('{"strokes": ' + "[" * 500 + "]" * 500 + "}", 422, "invalid-body"),
        ],
    )
    async def test_what_is_no_ink_is_refused_with_the_reason(
        self, body: str, status: int, problem: str
    ) -> None:
        async with serving() as service:
            answer = await service.client.post(
                "/predict/strokes", content=body, headers={"content-type": "application/json"}
            )
            if problem:
                problem_of(answer, status, problem)
            assert answer.status_code == status, answer.text

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ("<ink/>", "broken-ink"),
            ("<ink><trace>0 0, 8</trace></ink>", "broken-ink"),
            ("hello", "broken-ink"),
            ("", "broken-ink"),
            ('<!DOCTYPE ink [<!ENTITY a "b">]><ink><trace>0 0, 1 1</trace></ink>', "broken-ink"),
        ],
    )
    async def test_what_is_no_inkml_is_refused_with_the_reason(self, body: str, problem: str) -> None:
        async with serving() as service:
            answer = await service.client.post(
                "/predict/strokes", content=body, headers={"content-type": "application/inkml+xml"}
            )
            problem_of(answer, 422, problem)

    async def test_too_many_points_or_bytes_are_refused(self) -> None:
        async with serving(max_points=100, max_ink_bytes=2000) as service:
            many = {"strokes": [[[0, 0]] * 101]}
            problem_of(await service.client.post("/predict/strokes", json=many), 413, "too-many-points")
            inkml = f"<ink><trace>{', '.join(f'{n} 0' for n in range(101))}</trace></ink>"
            problem_of(
                await service.client.post(
                    "/predict/strokes", content=inkml, headers={"content-type": "application/inkml+xml"}
                ),
                413,
                "too-many-points",
            )
            huge = {"strokes": [[[0, 0]] * 1000]}
            problem_of(await service.client.post("/predict/strokes", json=huge), 413, "too-large")

    async def test_another_type_is_refused(self) -> None:
        async with serving() as service:
            answer = await service.client.post(
                "/predict/strokes", content=png(), headers={"content-type": "image/png"}
            )
            problem_of(answer, 415, "unsupported-media-type")


class TestBatch:
    async def test_one_bad_picture_does_not_spoil_the_others(self) -> None:
        good = base64.b64encode(png()).decode()
        images = [good, "!", base64.b64encode(b"hello").decode(), f"data:image/png;base64,{good}", ""]
        async with serving() as service:
            answer = await service.client.post("/predict/batch", json={"images": images})
            assert answer.status_code == 200
            results = answer.json()["results"]
            kinds = [result.get("type", "answer") for result in results]
            assert kinds == [
                "answer",
                "urn:problem:invalid-base64",
                "urn:problem:unknown-format",
                "answer",
                "urn:problem:empty",
            ]
            assert results[0]["formula"] == results[3]["formula"]

    @pytest.mark.parametrize("images", [[], ["x"] * 11, "x", [1]])
    async def test_none_or_more_than_ten_are_refused(self, images: object) -> None:
        async with serving() as service:
            answer = await service.client.post("/predict/batch", json={"images": images})
            problem_of(answer, 422, "invalid-body", "images")

    async def test_each_picture_counts(self) -> None:
        images = [base64.b64encode(png(n)).decode() for n in range(6)]
        async with serving(rate_limits="on") as service:
            first = await service.client.post("/predict/batch", json={"images": images})
            assert first.status_code == 200 and '"minute";r=4' in first.headers["RateLimit"]
            second = await service.client.post("/predict/batch", json={"images": images})
            problem_of(second, 429, "too-many-requests")


class TestCallers:
    async def test_without_a_key_there_is_no_reading(self, tmp_path: Path) -> None:
        key = add_key(tmp_path / "keys.json", "Ada", "")
        async with serving(auth="required", api_keys_file=tmp_path / "keys.json") as service:
            problem_of(await service.predict(), 401, "key-needed")
            problem_of(await service.predict(**{"x-api-key": "hm_nonsense"}), 401, "unknown-key")
            assert (await service.predict()).headers["WWW-Authenticate"] == "Bearer"
            for headers in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}):
                assert (await service.predict(**headers)).status_code == 200
            for path in ("/", "/status", "/health", "/model/info", "/metrics", "/rate-limit/status"):
                assert (await service.client.get(path)).status_code == 200, path

    async def test_a_key_has_limits_of_its_own_and_doubles_the_rest(self, tmp_path: Path) -> None:
        file = tmp_path / "keys.json"
        usual, own = add_key(file, "Ada", ""), add_key(file, "Bob", "", limits=KeyLimits(minute=3))
        async with serving(auth="optional", rate_limits="on", api_keys_file=file) as service:

            async def let_in(**headers: str) -> int:
                return sum([(await service.predict(**headers)).status_code == 200 for _ in range(25)])

            assert [
                await let_in(),
                await let_in(**{"x-api-key": usual}),
                await let_in(**{"x-api-key": own}),
            ] == [
                10,
                20,
                3,
            ]

    async def test_limits_are_told_and_asking_does_not_count(self) -> None:
        async with serving(rate_limits="on") as service:
            answer = await service.predict()
            assert answer.headers["RateLimit-Policy"].startswith('"minute";q=10;w=60, "hour";q=100')
            for _ in range(3):
                usage = (await service.client.get("/rate-limit/status")).json()
                assert [(t["name"], t["remaining"]) for t in usage["tiers"]] == [
                    ("minute", 9),
                    ("hour", 99),
                    ("day", 499),
                ]
                assert 50 < usage["tiers"][0]["resets_in"] <= 60

    async def test_refused_before_the_body_is_read(self) -> None:
        async with serving(auth="required") as service:

            async def body() -> Any:
                raise AssertionError("the body was asked for")
                yield b""

            answer = await service.client.post(
                "/predict", content=body(), headers={"content-type": "image/png"}
            )
            problem_of(answer, 401, "key-needed")

    async def test_pages_of_other_origins_call_only_where_allowed(self) -> None:
        ask = {"origin": "https://a.example", "access-control-request-method": "POST",
               "access-control-request-headers": "x-api-key"}  # fmt: skip
        async with serving(auth="required", cors_origins="https://a.example") as service:
            asked = await service.client.options("/predict", headers=ask)
            assert asked.status_code == 200  # without a key: browsers send none
            assert asked.headers["access-control-allow-origin"] == "https://a.example"
            other = await service.client.options("/predict", headers=ask | {"origin": "https://b.example"})
            assert "access-control-allow-origin" not in other.headers
        async with serving() as service:
            asked = await service.client.options("/predict", headers=ask)
            assert "access-control-allow-origin" not in asked.headers


class TestCache:
    async def test_the_same_picture_is_read_once_and_the_answer_marked(self) -> None:
        async with serving() as service:
            first, second, other = [await service.predict(n) for n in (0, 0, 8)]
            assert [a.headers["X-Cache"] for a in (first, second, other)] == ["miss", "hit", "miss"]
            assert first.json()["formula"] == second.json()["formula"] != other.json()["formula"]
            assert len(service.reader.requests) == 2
            status = (await service.client.get("/status")).json()
            assert (status["pictures"], status["cache_hits"]) == (3, 1)

    async def test_other_options_are_another_answer(self) -> None:
        async with serving() as service:
            for query in ("", "?n_best=2", "?n_best=5", "?format=mathml"):
                await service.client.post(
                    f"/predict{query}", content=png(), headers={"content-type": "image/png"}
                )
            assert [job.n_best for job in service.reader.requests] == [1, 2, 5]

    async def test_it_is_bounded(self) -> None:
        async with serving(cache_answers=2) as service:
            marks = [(await service.predict(n)).headers["X-Cache"] for n in (0, 8, 16, 0)]
            assert marks == ["miss"] * 4


class TestTrouble:
    async def test_a_failure_is_a_problem_that_tells_nothing_of_the_inside(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with serving() as service:

            def fail() -> None:
                raise RuntimeError("secret of /the/inside")

            service.reader.before = fail
            answer = await service.predict()
            problem_of(answer, 500, "internal")
            assert "secret" not in answer.text and "secret" in caplog.text
            service.reader.before = None
            assert (await service.predict()).status_code == 200

    async def test_more_than_the_queue_holds_is_told_to_come_again(self) -> None:
        async with serving(max_queue=4) as service:
            service.reader.gate.clear()
            asked = [asyncio.create_task(service.predict(8 * n)) for n in range(10)]
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0.2)
            service.reader.gate.set()
            answers = await asyncio.gather(*asked)
            assert sorted(answer.status_code for answer in answers) == [200] * 4 + [503] * 6
            refused = next(answer for answer in answers if answer.status_code == 503)
            problem_of(refused, 503, "busy")
            assert int(refused.headers["Retry-After"]) >= 1

    async def test_reading_that_takes_too_long_is_given_up(self) -> None:
        async with serving(read_timeout=0.05) as service:
            service.reader.gate.clear()
            problem_of(await service.predict(), 504, "timeout")

    async def test_a_body_that_does_not_come_is_given_up(self) -> None:
        async with serving(read_timeout=0.05) as service:

            async def slow() -> Any:
                yield b"x"
                await asyncio.sleep(5)

            answer = await service.client.post(
                "/predict", content=slow(), headers={"content-type": "image/png"}
            )
            problem_of(answer, 408, "slow-body")

    async def test_what_is_not_there_is_a_problem_too(self) -> None:
        async with serving() as service:
            problem_of(await service.client.get("/nothing"), 404, "not-found")
            wrong = await service.client.get("/predict")
            problem_of(wrong, 405, "method-not-allowed")
            assert wrong.headers["Allow"] == "POST"

    async def test_health_tells_a_model_that_reads_wrongly_from_one_that_is_away(self) -> None:
        async def health(service: Service) -> tuple[int, str]:
            service.state._health = None
            answer = await service.client.get("/health")
            return answer.status_code, answer.json()["model"]

        async with serving(read_timeout=0.05) as service:
            right = service.state.model.example_formula
            read = (await service.predict()).json()["formula"]
            object.__setattr__(service.state.model, "example_formula", read)
            assert await health(service) == (200, "ok"), right
            object.__setattr__(service.state.model, "example_formula", "x")
            assert await health(service) == (503, "wrong")
            service.reader.gate.clear()
            assert await health(service) == (503, "away")


class TestTelling:
    async def test_every_answer_has_a_request_id_and_is_safe_to_show(self) -> None:
        async with serving() as service:
            for path in ("/", "/status", "/nothing"):
                answer = await service.client.get(path, headers={"x-request-id": "mine-1"})
                assert answer.headers["X-Request-ID"] == "mine-1"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            forged = await service.client.get("/status", headers={"x-request-id": 'a" level="x'})
            assert forged.headers["X-Request-ID"] != 'a" level="x'

    async def test_the_audit_line_says_who_what_and_how_long_but_not_the_key(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        key = add_key(tmp_path / "keys.json", "Ada", "")
        async with serving(auth="required", api_keys_file=tmp_path / "keys.json") as service:
            with caplog.at_level(logging.INFO):
                await service.predict(**{"x-api-key": key})
                await service.predict(**{"x-api-key": key + "x"})
            lines = [record for record in caplog.records if record.name == "audit"]
            assert [(r.caller, r.status, r.outcome) for r in lines] == [  # type: ignore[attr-defined]
                ("Ada", 200, "ok"),
                (None, 401, "unknown-key"),
            ]
            assert lines[0].seconds > 0 and lines[0].path == "/predict"  # type: ignore[attr-defined]
            secret = key.split("_", 2)[2]
            assert not any(secret in json.dumps(vars(r), default=str) for r in caplog.records)

    async def test_measures_are_by_route_whatever_is_asked_for(self) -> None:
        async with serving() as service:
            await service.predict()
            for n in range(20):
                await service.client.get(f"/made-up-{n}")
                await service.client.request(f"MADE-UP-{n}", "/predict")
            text = (await service.client.get("/metrics")).text
            assert 'ocr_requests_total{method="POST",route="/predict",status="200"}' in text
            assert "made-up" not in text.lower() and 'ocr_refusals_total{kind="not-found"}' in text

    async def test_the_description_has_every_route_with_examples(self) -> None:
        async with serving() as service:
            description = (await service.client.get("/docs.json")).json()
            assert set(description["paths"]) == {
                "/predict", "/predict/batch", "/predict/strokes", "/feedback", "/history", "/status",
                "/health", "/model/info", "/rate-limit/status", "/usage", "/keys", "/keys/{key_id}",
            }  # fmt: skip
            predict = description["paths"]["/predict"]["post"]
            assert {"multipart/form-data", "image/*"} <= set(predict["requestBody"]["content"])
            assert set(predict["responses"]) >= {"200", "401", "413", "415", "422", "429", "503"}
            assert description["components"]["schemas"]["PredictResponse"]["properties"]["formula"][
                "examples"
            ]

    async def test_what_reads_is_told(self) -> None:
        async with serving() as service:
            info = (await service.client.get("/model/info")).json()
            assert info["version"] == "3" and info["metrics"] == {"test_exprate": 0.5}


def problem_of(answer: Any, status: int, kind: str, said: str = "") -> None:
    """The answer is a problem document of this kind."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == f"urn:problem:{kind}" and document["status"] == status
    assert document["title"] and said in document["detail"]
    assert document["request_id"] == answer.headers["X-Request-ID"]
