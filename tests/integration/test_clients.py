"""The clients and the curl examples against one real service, as users run them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
import pytest

from components.serving.access.api_keys import KeyLimits, add_key
from handwritten_math_client import (
    AsyncClient,
    Client,
    Constraints,
    NotFoundError,
    Prediction,
    Problem,
    ProblemError,
    RateLimitedError,
    Reading,
    UnauthorizedError,
    UnprocessableError,
)
from tests.docs.test_commands import commands
from tests.integration.conftest import ROOT, SERVE, Registry, service_of

pytestmark = pytest.mark.slow

PICTURE, INKML = ROOT / "docs/sample.png", ROOT / "docs/sample.inkml"
CROSS = [[(0, 0), (8, 10)], [(8, 0), (0, 10)]]
CURL = list(commands(ROOT / "docs/curl.md"))
UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|network")


@dataclass(frozen=True)
class Running:
    """A service with keys, limits and feedback, and two keys; the first is an admin's, the second allows one
    picture a minute."""

    address: str
    key: str
    small_key: str

    def local(self, text: str) -> str:
        """An example of the documentation, with this service's address."""
        assert "localhost:3000" in text
        return text.replace("http://localhost:3000", self.address).replace(
            "localhost:3000", self.address.removeprefix("http://")
        )


@pytest.fixture(scope="module")
def service(registry: Registry, model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    if not SERVE.exists():
        pytest.skip("needs the serving environment: ./setup.sh serve")
    folder = tmp_path_factory.mktemp("clients")
    keys = folder / "keys.json"
    usual = dict.fromkeys(("minute", "hour", "day"), 1000)
    key = add_key(keys, "Ada", "", limits=KeyLimits(**usual), admin=True)
    small_key = add_key(keys, "Bob", "", limits=KeyLimits(minute=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        settings = {"auth": "required", "rate_limits": "on", "api_keys_file": keys, "feedback_folder": folder}
        with service_of(registry, model, **settings) as process:
            yield Running(process.address, key, small_key)


def test_python_reads_corrects_and_tells_the_state(service: Running) -> None:
    with Client(service.address, service.key) as client:
        read = client.predict(PICTURE, n_best=3, format="mathml", explain=True)
        answer = httpx.post(
            f"{service.address}/predict?n_best=3&format=mathml&explain=true",
            headers={"X-API-Key": service.key},
            files={"file": PICTURE.read_bytes()},
        ).json()
        assert (read.formula, read.confidence, read.mathml) == (
            answer["formula"], answer["confidence"], answer.get("mathml")
        )  # fmt: skip
        assert [a.formula for a in read.alternatives or ()] == [a["formula"] for a in answer["alternatives"]]
        assert [b.token for b in read.token_boxes or ()] == [b["token"] for b in answer["token_boxes"]]
        minute = read.headers.rate_limits[0]
        assert (minute.name, minute.limit, minute.window) == ("minute", 1000, 60)

        again = client.predict(PICTURE.read_bytes(), n_best=3, explain=True)
        assert again.headers.cached is True and again.request_id != read.request_id
        assert isinstance(client.predict_strokes(CROSS), Prediction)
        assert client.predict_inkml(INKML).formula == client.predict_inkml(INKML.read_bytes()).formula
        good, bad = client.predict_batch([PICTURE, b"no picture"]).results
        assert isinstance(good, Reading) and good.formula == read.formula
        assert isinstance(bad, Problem) and bad.kind == "unknown-format"

        corrected = client.feedback(read.request_id, r"\frac 12", format="mathml")
        assert (corrected.request_id, corrected.formula) == (read.request_id, r"\frac{1}{2}")
        assert corrected.mathml is not None
        with pytest.raises(NotFoundError) as unknown:
            client.feedback("unknown", "x")
        assert unknown.value.kind == "unknown-request"

        assert client.health().healthy and client.model_info().version == "1"
        assert client.status().pictures >= 5 and client.history().minutes
        usage = client.rate_limit_status()
        assert usage.caller == "Ada" and usage.tiers[0].remaining < usage.tiers[0].limit
    with Client(service.address) as stranger, pytest.raises(UnauthorizedError):
        stranger.predict(PICTURE)


def test_python_manages_keys_and_sees_usage(service: Running) -> None:
    with Client(service.address, service.key) as client:
        client.predict(PICTURE)
        made = client.add_key("Grace", expires_days=1, minute=5)
        assert made.secret.startswith(f"hm_{made.key.id}_") and made.key.limits.minute == 5
        with Client(service.address, made.secret) as grace:
            assert grace.predict(PICTURE).headers.rate_limits[0].limit == 5
            assert [day.name for day in grace.usage().days] == ["Grace"]
            with pytest.raises(ProblemError) as refused:
                grace.list_keys()
            assert refused.value.kind == "admin-needed"
        assert client.limit_key(made.key.id, day=9).limits.day == 9
        assert client.revoke_key(made.key.id).state == "revoked"
        assert {key.name for key in client.list_keys().keys} >= {"Ada", "Bob", "Grace"}
        assert {day.name for day in client.usage(days=1).days} >= {"Ada", "Grace"}
        with pytest.raises(ValueError, match="no ID of a key"):
            client.revoke_key("../keys")


def test_python_restricts_the_search(service: Running) -> None:
    with Client(service.address, service.key) as client:
        boxes = client.predict_strokes(CROSS, explain=True, names="letters").token_boxes or ()
        assert boxes and all(box.alternatives for box in boxes)
        usual = boxes[0].token
        other = client.predict_strokes(
            CROSS, explain=True, names="letters", constraints=Constraints(exclude=(usual,))
        )
        assert usual not in [box.token for box in other.token_boxes or ()]
        with pytest.raises(UnprocessableError) as unknown:
            client.predict(PICTURE, constraints=Constraints(prefix=(r"\nosuchsymbol",)))
        assert unknown.value.kind == "invalid-constraints"


def test_async_python_reads_concurrently_and_does_not_wait_for_a_limit_beyond_its_deadline(
    service: Running,
) -> None:
    async def ask() -> None:
        async with AsyncClient(service.address, service.key) as client, anyio.create_task_group() as tasks:
            for method, argument in (("predict", PICTURE), ("predict_strokes", CROSS)):
                tasks.start_soon(getattr(client, method), argument)
        async with AsyncClient(service.address, service.small_key, timeout=1) as client:
            limits = (await client.predict(PICTURE)).headers.rate_limits
            assert (limits[0].name, limits[0].remaining) == ("minute", 0)
            start = time.monotonic()
            with pytest.raises(RateLimitedError) as limited:
                await client.predict(PICTURE)
            assert limited.value.kind == "too-many-requests" and 1 < (limited.value.retry_after or 0) <= 60
            assert time.monotonic() - start < 1

    anyio.run(ask)


@pytest.mark.parametrize("number", [0, 1])
def test_an_example_of_the_python_readme_runs(service: Running, number: int) -> None:
    examples = blocks(ROOT / "clients/python/README.md", "python")
    assert len(examples) == 2
    done = subprocess.run(
        [sys.executable, "-c", service.local(examples[number])],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
        env=os.environ | {"KEY": service.key, "PYTHONPATH": str(ROOT / "clients/python/src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_curl_examples_run(service: Running) -> None:
    assert len(CURL) > 20
    with Client(service.address, service.key) as client:
        made = client.add_key("Curl").key.id
    for command in CURL:  # in order: a correction needs its prediction
        shown = service.local(command.replace("3f9c2a7b", made))
        shown = shown.replace("curl ", "curl -sS --fail-with-body ")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", shown],
            cwd=ROOT, capture_output=True, text=True, timeout=60, env=os.environ | {"KEY": service.key},
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stderr or done.stdout}"
        if "/predict" in command:
            assert '"formula"' in done.stdout, command


def test_typescript_is_as_described_and_works(service: Running, tmp_path: Path) -> None:
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("needs Node 20.3 or later with npm: apt-get install nodejs npm")
    folder = tmp_path / "typescript"
    shutil.copytree(
        ROOT / "clients/typescript", folder, ignore=shutil.ignore_patterns("node_modules", "dist", "build")
    )

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "SERVICE_URL": service.address,
            "SERVICE_KEY": service.key,
            "KEY": service.key,
            "PICTURE": str(PICTURE),
            "INKML": str(INKML),
        }
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=180, env=os.environ | environment
        )

    installed = run("npm", "ci", "--prefer-offline", "--no-audit", "--no-fund")
    if installed.returncode and UNREACHABLE.search(installed.stderr):
        pytest.skip(f"needs the npm registry: {installed.stderr.strip().splitlines()[-1]}")
    assert installed.returncode == 0, installed.stderr + installed.stdout

    check = run("npm", "run", "check-schema")
    assert check.returncode == 0, f"src/schema.ts is not of this API; npm run generate: {check.stderr}"
    tested = run("npm", "test")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "\n# skipped 0\n" in tested.stdout

    [example] = blocks(ROOT / "clients/typescript/README.md", "js")
    (folder / "example.mjs").write_text(service.local(example).replace("docs/sample.png", str(PICTURE)))
    shown = run("node", "example.mjs")
    assert shown.returncode == 0 and shown.stdout, shown.stderr


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
