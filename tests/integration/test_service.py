"""The service as a user starts it: answers, load, the end."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import psutil
import pytest

from components.recognizer.recognizer import Recognizer
from components.serving.access.api_keys import add_key
from tests.integration.conftest import ROOT, SERVE, Registry, Serve, pictures, predict

pytestmark = pytest.mark.slow


def expected(registry: Registry, files: list[bytes], beam: int) -> list[tuple[str, float]]:
    recognizer = Recognizer.load(registry.folder / "data/bundle", threads=1)
    return [((r := recognizer.read_file(file, beam)).latex, r.confidence) for file in files]


def test_it_answers_as_the_recogniser_does(serve: Serve, registry: Registry) -> None:
    files = pictures(6)
    service = serve(beam=2)
    with httpx.Client(base_url=service.address, timeout=30) as client:
        assert client.get("/health").json() == {
            "healthy": True, "model": "ok", "redis": "not used", "queue": 0, "queue_limit": 128
        }  # fmt: skip
        for file, (latex, confidence) in zip(files, expected(registry, files, 2), strict=True):
            answer = predict(client, file).json()
            assert answer["formula"] == latex
            assert answer["confidence"] == pytest.approx(confidence, rel=1e-3, abs=1e-5)
        info = client.get("/model/info").json()
        assert info["version"] == "1" and info["metrics"]["test_exprate"] == 0.5
        assert {"git_commit", "training_run"} <= set(info["lineage"])
        assert client.get("/livez").status_code == client.get("/readyz").status_code == 200
    assert "AUTH=off" in service.log and "RATE_LIMITS=off" in service.log


def test_under_load_everybody_gets_their_own_answer_and_batches_form(
    serve: Serve, registry: Registry
) -> None:
    files = pictures(24)
    known = expected(registry, files, 1)
    service = serve(beam=1, cache_answers=0)

    async def caller(client: httpx.AsyncClient, first: int) -> None:
        for n in range(12):
            which = (first + 5 * n) % len(files)
            answer = await client.post(
                "/predict", content=files[which], headers={"content-type": "image/png"}
            )
            assert answer.status_code == 200, answer.text
            latex, confidence = known[which]
            assert answer.json()["formula"] == latex
            assert answer.json()["confidence"] == pytest.approx(confidence, rel=1e-2, abs=1e-4)

    async def load() -> None:
        limits = httpx.Limits(max_connections=32)
        async with httpx.AsyncClient(base_url=service.address, timeout=60, limits=limits) as client:
            await asyncio.gather(*(caller(client, n) for n in range(32)))

    asyncio.run(load())
    text = httpx.get(f"{service.address}/metrics").text
    total, batches = (metric(text, f"ocr_batch_pictures_{name}") for name in ("sum", "count"))
    assert total == 32 * 12 and total / batches > 1.1, "on a busy machine callers are slower than it"
    assert "bentoml_service_adaptive_batch_size" in text


def test_told_to_end_under_load_it_finishes_what_it_accepted(serve: Serve) -> None:
    files = pictures(16)
    service = serve(cache_answers=0)

    async def refused() -> list[str]:
        async with httpx.AsyncClient(base_url=service.address, timeout=60) as client:
            asked = [
                asyncio.create_task(
                    client.post("/predict", content=file, headers={"content-type": "image/png"})
                )
                for file in files * 3
            ]
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            service.process.terminate()
            return [answer.text for answer in await asyncio.gather(*asked) if answer.status_code != 200]

    assert asyncio.run(refused()) == [], service.log[-4000:]
    assert service.process.wait(30) == 0
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{service.address}/livez")


def test_without_keys_it_does_not_start_and_says_what_to_do(registry: Registry, model: str) -> None:
    done = subprocess.run(
        [SERVE, "serve", "service:HandwrittenMath", "--arg", f"model={model}", "--port", "0"],
        cwd=ROOT, env=os.environ | registry.environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "no API key is configured" in done.stderr and "AUTH=off" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_a_broken_keys_file_is_told_in_one_line(model: str, registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text('{"keys": [{"id": "nonsense"}]}')
    done = subprocess.run(
        [SERVE, "serve", "service:HandwrittenMath", "--arg", f"model={model}", "--port", "0"],
        cwd=ROOT, env=os.environ | registry.environment | {"API_KEYS_FILE": str(file)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"serve: {file}: keys.0.id: ")


def test_keys_are_asked_for_and_revoked_while_it_runs(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key = add_key(file, "Ada", "pepper")
    service = serve(auth="required", api_keys_file=file, api_key_pepper="pepper", rate_limits="on")
    [picture] = pictures(1)
    with httpx.Client(base_url=service.address, timeout=30) as client:
        assert predict(client, picture).status_code == 401
        answer = predict(client, picture, **{"x-api-key": key})
        assert answer.status_code == 200 and '"minute";q=20' in answer.headers["RateLimit-Policy"]
        file.write_text(
            file.read_text().replace('"name": "Ada"', '"name": "Ada", "revoked": "2026-01-01T00:00:00Z"')
        )
        until = time.monotonic() + 20
        while predict(client, picture, **{"x-api-key": key}).status_code != 401:
            assert time.monotonic() < until, "the key still counts"
            time.sleep(0.5)
    lines = [json.loads(line) for line in service.log.splitlines() if line.startswith("{")]
    audited = [
        (line["caller"], line["status"]) for line in lines if line["logger"] == "audit" and line["caller"]
    ]
    assert ("Ada", 200) in audited
    assert key.split("_", 2)[2] not in service.log


def test_a_forwarded_address_is_believed_of_trusted_proxies_only(serve: Serve) -> None:
    for proxies, callers in (("", {"127.0.0.1"}), ("127.0.0.1", {"203.0.113.1", "203.0.113.2"})):
        service = serve(rate_limits="on", trusted_proxies=proxies)
        with httpx.Client(base_url=service.address) as client:
            told = {
                client.get(
                    "/rate-limit/status", headers={"x-forwarded-for": f"1.2.3.4, 203.0.113.{n}"}
                ).json()["caller"]
                for n in (1, 2)
            }
        assert told == callers


def test_a_request_is_traced_through_both_services(serve: Serve) -> None:
    seen: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.path.encode() + b" " + self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    Thread(target=collector.serve_forever, daemon=True).start()
    service = serve(
        otel_exporter_otlp_endpoint=f"http://127.0.0.1:{collector.server_port}",
        trace_share=1,
        cache_answers=0,
    )
    with httpx.Client(base_url=service.address, timeout=30) as client:
        assert predict(client, pictures(1)[0]).status_code == 200
    until = time.monotonic() + 15
    while not all(part in b"".join(seen) for part in (b"/v1/traces", b"/predict", b"recognizer")):
        assert time.monotonic() < until, seen
        time.sleep(0.1)
    collector.shutdown()


def test_a_recogniser_that_dies_is_missed_and_comes_back(serve: Serve) -> None:
    service = serve(cache_answers=0)
    [picture] = pictures(1)
    workers = psutil.Process(service.process.pid).children(recursive=True)
    [recognizer] = [process for process in workers if "recognizer" in process.cmdline()]
    with httpx.Client(base_url=service.address, timeout=30) as client:
        assert predict(client, picture).status_code == 200
        recognizer.kill()
        seen = set()
        until = time.monotonic() + 60
        while 200 not in seen:
            assert time.monotonic() < until, seen
            answer = predict(client, picture)
            seen.add(answer.status_code)
            assert answer.status_code == 200 or "Retry-After" in answer.headers
            time.sleep(0.1)
        assert seen <= {200, 503}


def metric(text: str, name: str) -> float:
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))
