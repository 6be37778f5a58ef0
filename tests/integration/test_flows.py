"""The flows on real servers: retrain, judge, promote, serve, roll back; and failures on the way."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest

from components.data.feedback_import import collect
from components.deployment.service_process import free_port
from flows.events import DRIFT_DETECTED
from tests.integration.clone import Clone
from tests.integration.conftest import pictures
from tests.integration.servers import Server, mlflow_server, prefect_server

pytestmark = pytest.mark.slow

MODEL = "handwritten-math-ocr"


class House(Clone):
    """A clone with a trained model, whose flows use a Prefect server and a registry over HTTP."""

    def __init__(self, folder: Path, trained: Path, prefect: Server, mlflow: Server) -> None:
        super().__init__(folder / "clone", trained)
        self.prefect, self.mlflow, self.bentos = prefect, mlflow, folder / "bentoml" / "bentos" / MODEL
        self.environment |= {
            "PREFECT_API_URL": f"{prefect.url}/api",
            "PREFECT_HOME": str(folder / "home"),
            "MLFLOW_TRACKING_URI": mlflow.url,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "BENTOML_HOME": str(folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "true",
        }
        self.set("promotion", min_exprate=0.0, max_cer=2.0, resamples=2000)
        self.set("monitor", min_readings=40)

    def set(self, section: str, **values: object) -> None:
        self.change("params.yaml", lambda params: params | {section: params[section] | values})

    def epochs(self, count: int) -> None:
        self.change("presets/ci.yaml", lambda preset: preset | {"train": preset["train"] | {"epochs": count}})

    def flows(self, *arguments: str) -> tuple[int, str]:
        """Exit status and output of `python -m flows`."""
        process = self.start("python", "-m", "flows", *arguments)
        output, _ = process.communicate(timeout=600)
        return process.returncode, output

    def tags(self, version: str) -> dict[str, str]:
        """The registry's tags of a version."""
        found = httpx.get(
            f"{self.mlflow.url}/api/2.0/mlflow/model-versions/get", params={"name": MODEL, "version": version}
        )
        return {tag["key"]: tag["value"] for tag in found.json()["model_version"]["tags"]}

    def gate(self, version: str) -> tuple[bool, str]:
        """The gate's verdict on a version: whether it passed, and how it compares with the champion."""
        metrics = json.loads(self.tags(version)["gate_metrics"])
        return metrics["promoted"], metrics["comparison"]

    def alias(self, alias: str) -> str | None:
        """The version with an alias."""
        found = httpx.get(
            f"{self.mlflow.url}/api/2.0/mlflow/registered-models/alias",
            params={"name": MODEL, "alias": alias},
        )
        return found.json()["model_version"]["version"] if found.status_code == 200 else None

    def runs(self, flow: str) -> list[dict]:
        """The runs of a flow, the earliest first."""
        asked = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_ASC"}
        return httpx.post(f"{self.prefect.url}/api/flow_runs/filter", json=asked).json()

    def task_states(self, run: str) -> list[str]:
        """The names of the states of a flow run's tasks."""
        query = {"flow_runs": {"id": {"any_": [run]}}}
        found = httpx.post(f"{self.prefect.url}/api/task_runs/filter", json=query).json()
        return [task["state_name"] for task in found]

    def events(self, name: str) -> list[dict]:
        """The events with this name."""
        asked = {"filter": {"event": {"name": [name]}}}
        return httpx.post(f"{self.prefect.url}/api/events/filter", json=asked).json()["events"]

    @contextmanager
    def doing(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run `python -m flows` in the background; kill it at the end."""
        process = self.start("python", "-m", "flows", *arguments)
        lines: list[str] = []
        assert process.stdout is not None
        reader = threading.Thread(target=lines.extend, args=(process.stdout,), daemon=True)
        reader.start()
        process.lines = lines  # type: ignore[attr-defined]
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def house(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    prefect, mlflow = prefect_server(folder / "prefect"), mlflow_server(folder / "mlflow")
    yield House(folder, trained, prefect, mlflow)
    prefect.stop()
    mlflow.stop()


class Asking:
    """A client that sends requests throughout a `with` block and records failures."""

    def __init__(self, url: str) -> None:
        self.url, self.answered, self.failed = url, 0, list[str]()
        self._over = threading.Event()

    def __enter__(self) -> Asking:
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        files = pictures(8)
        with httpx.Client(base_url=self.url, timeout=60) as client:
            while not self._over.wait(0.2):  # often enough to notice a gap
                file = files[self.answered % len(files)]
                try:
                    answer = client.post("/predict", content=file, headers={"content-type": "image/png"})
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))
                    continue
                if answer.status_code == 200:
                    self.answered += 1
                else:
                    self.failed.append(f"{answer.status_code}: {answer.text}")


def version_of(url: str) -> str | None:
    with suppress(httpx.HTTPError, KeyError, ValueError):
        return httpx.get(f"{url}/status", timeout=5).json()["model_version"]
    return None


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.2)


@contextmanager
def serve_champion(house: House, **settings: str) -> Iterator[str]:
    """Run `python -m flows serve-champion`; yield its address."""
    if shutil.which("haproxy") is None:
        pytest.skip("needs haproxy: apt-get install haproxy")
    port = free_port()
    log = house.folder / ".serve-champion.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows", "serve-champion", "--port", str(port)],
            cwd=house.folder, stdout=stream, stderr=stream,
            env=house.environment | {"AUTH": "off", "RATE_LIMITS": "off"} | settings,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: version_of(url) is not None or process.poll() is not None, 120, log.read_text())
        assert process.poll() is None, log.read_text()
        yield url
    finally:
        process.terminate()
        assert process.wait(90) == 0, log.read_text()


def test_the_whole_story_without_a_failed_request(house: House) -> None:
    status, output = house.flows("retrain")
    assert status == 0 and house.alias("champion") == "1", output
    assert house.gate("1") == (True, "first")
    with serve_champion(house) as url, Asking(url) as asking:
        assert version_of(url) == "1"

        house.epochs(10)
        status, output = house.flows("retrain")
        assert status == 0 and house.gate("2") == (True, "better"), output
        assert house.alias("champion") == "2" and house.alias("previous") == "1"
        until(lambda: version_of(url) == "2", 120, "the old version is still served")

        status, output = house.flows("rollback")
        assert status == 0 and house.alias("champion") == "1" and house.alias("previous") == "2", output
        until(lambda: version_of(url) == "1", 120, "the version rolled back is still served")
        time.sleep(2)
    assert not asking.failed and asking.answered > 100
    report = (house.folder / "reports/promotion/version-2.md").read_text()
    assert report.startswith("# version 2: promoted") and "version 1" in report


def test_with_nothing_new_a_retraining_ends_in_seconds(house: House) -> None:
    status, output = house.flows("retrain")
    assert status == 0 and house.alias("challenger") == "2" and house.alias("champion") == "1", output
    [last] = house.runs("retrain")[-1:]
    assert last["state_type"] == "COMPLETED" and last["total_run_time"] < 60


def test_artifacts_and_tags_are_there(house: House) -> None:
    """Prefect has the artifacts; MLflow the report, the gate's metrics and the Bento of a version."""
    query = {"artifacts": {"type": {"not_any_": ["result"]}}, "limit": 200}
    artifacts = httpx.post(f"{house.prefect.url}/api/artifacts/filter", json=query).json()
    by_key = {artifact["key"]: artifact for artifact in artifacts}
    assert {"stages", "metrics", "mlflow", "worst-mistakes", "promotion"} <= by_key.keys()
    stages = json.loads(by_key["stages"]["data"])
    assert stages[0]["stage"] == "download" and {row["outcome"] for row in stages} <= {"ran", "cached"}
    assert "data:image/png;base64," in by_key["worst-mistakes"]["data"]
    assert f"{house.mlflow.url}/#/models/{MODEL}/versions/" in by_key["mlflow"]["data"]
    tags = house.tags("2")
    assert tags["decision"].startswith("promoted") and tags["rolled_back"] and tags["bento"]
    assert json.loads(tags["gate_metrics"])["n"] == 150
    version = httpx.get(
        f"{house.mlflow.url}/api/2.0/mlflow/model-versions/get", params={"name": MODEL, "version": "2"}
    ).json()["model_version"]
    files = httpx.get(
        f"{house.mlflow.url}/api/2.0/mlflow/artifacts/list",
        params={"run_id": version["run_id"], "path": "promotion"},
    ).json()["files"]
    names = {Path(file["path"]).name for file in files}
    assert names == {"version-2.md", "version-2.html", "reference.parquet"}


@pytest.mark.nightly  # test_promotion has a Bento that answers otherwise; here the alias does not move
def test_a_bento_that_answers_otherwise_is_not_promoted(house: House) -> None:
    before = set(house.bentos.glob("*/bento.yaml"))
    file = house.folder / "components/serving/routes/predict.py"
    right = file.read_text()
    assert "formula=prediction.latex," in right
    file.write_text(right.replace("formula=prediction.latex,", 'formula=prediction.latex + "!",'))
    try:
        status, output = house.flows("promote", "--force", "--model", f"models:/{MODEL}/2")
    finally:
        file.write_text(right)
    assert status == 1, output
    assert house.alias("champion") == "1"
    assert set(house.bentos.glob("*/bento.yaml")) == before


def test_a_person_approves_and_a_registry_that_fails_meanwhile_is_called_again(house: House) -> None:
    house.set("promotion", approval=True)
    try:
        with house.doing("promote", "--force", "--model", f"models:/{MODEL}/2") as promoting:

            def paused() -> list[str]:
                assert promoting.poll() is None, "".join(promoting.lines)
                return [run["id"] for run in house.runs("promote") if run["state_type"] == "PAUSED"]

            until(paused, 120, "nobody is asked")
            assert house.alias("champion") == "1", "nothing moves before the answer"
            house.mlflow.stop()
            [run] = paused()
            answer = httpx.post(
                f"{house.prefect.url}/api/flow_runs/{run}/resume",
                json={"run_input": {"promote": True, "by": "Ada"}},
            )
            assert answer.json()["status"] == "ACCEPT", answer.text
            until(lambda: "AwaitingRetry" in str(house.task_states(run)), 60, "the alias is not tried")
            house.mlflow.start()
            promoting.wait(120)
            output = "".join(promoting.lines)
    finally:
        house.set("promotion", approval=False)
    assert promoting.returncode == 0 and house.alias("champion") == "2", output


@pytest.mark.nightly  # test_validate has what is refused; here the flow ends
def test_poisoned_data_stops_at_validation_and_the_champion_stays(house: House) -> None:
    poison = house.folder / "data/corrections/poison.inkml"
    label = "+".join("x" * 200)
    poison.write_text(
        '<ink xmlns="http://www.w3.org/2003/InkML"><annotation type="label">' + label + "</annotation>"
        "<trace>0 0, 4 5, 9 12</trace><trace>9 0, 5 6, 0 12</trace></ink>"
    )
    try:
        status, output = house.flows("retrain")
    finally:
        poison.unlink()
    assert status == 1 and "stage validate failed" in output and "validate.max_tokens" in output, output
    assert house.alias("champion") == "2"


def test_drift_emits_an_event_and_corrections_are_imported(house: House) -> None:
    monitored, feedback = house.folder / "data/monitoring", house.folder / "data/feedback"
    settings = {"MONITOR_FOLDER": str(monitored), "MONITOR_SHARE": "1", "FEEDBACK_FOLDER": str(feedback),
                "CACHE_ANSWERS": "0"}  # fmt: skip
    with serve_champion(house, **settings) as url, httpx.Client(base_url=url, timeout=60) as client:
        for strokes in inks_of_test(house)[:80]:
            assert client.post("/predict/strokes", json={"strokes": strokes}).status_code == 200
        status, output = house.flows("monitor")
        assert status == 0 and drifted(house) == "no", output
        assert not house.events(DRIFT_DETECTED)

        for length in range(100):  # nobody writes like this
            strokes = [[[x, (x * 7) % 40] for x in range(400 + 4 * length)]] * 3
            answer = client.post("/predict/strokes", json={"strokes": strokes})
            assert answer.status_code == 200
        status, output = house.flows("monitor")
        assert status == 0 and drifted(house) == "yes", output
        until(lambda: house.events(DRIFT_DETECTED), 30, "no event of the drift")

        request_id = answer.headers["x-request-id"]
        correction = client.post("/feedback", json={"request_id": request_id, "formula": r"\frac 1 x"})
        assert correction.status_code == 201 and correction.json()["formula"] == r"\frac{1}{x}"
    assert "data:image/png" in (house.folder / "reports/drift/drift.html").read_text()
    collected = collect(feedback, house.folder / "collected", house.folder / "collected.csv")
    assert collected.written == 1
    shutil.rmtree(feedback)


def drifted(house: House) -> str:
    """The verdict of the drift report."""
    title = (house.folder / "reports/drift/drift.md").read_text().splitlines()[0]
    return title.removeprefix("# Drift: ")


def inks_of_test(house: House) -> list[list[list[tuple[float, float]]]]:
    """Return the strokes of the inks of the test split."""
    rows = pq.read_table(house.folder / "data/shards/test", columns=["strokes"]).to_pylist()
    return [[list(zip(s[::2], s[1::2], strict=True)) for s in row["strokes"]] for row in rows]


@pytest.mark.nightly
def test_without_a_server_the_pipeline_runs_all_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(house.environment, "PREFECT_API_URL")
    monkeypatch.setitem(house.environment, "PREFECT_HOME", str(house.folder / ".prefect"))
    house.set("export", check=7)
    status, output = house.flows("pipeline")
    assert status == 0 and re.search(r"pipeline: ran [^;]*\bexport\b", output), output


@pytest.mark.nightly
def test_a_worse_challenger_is_registered_and_not_promoted(house: House) -> None:
    champion = house.alias("champion")
    house.epochs(1)
    status, output = house.flows("retrain")
    assert status == 0 and house.gate("3") == (False, "worse"), output
    assert house.alias("champion") == champion and house.alias("challenger") == "3"


@pytest.mark.nightly  # it waits for minutes of the clock
def test_the_schedule_and_new_ink_trigger_retraining_but_only_one_at_a_time(house: House) -> None:
    house.set("retraining", cron="* * * * *", watch=4, watch_drift=3600)
    with slow_stage(house, "vocab", 300), house.doing("schedule") as schedule:
        earlier = len(house.runs("retrain"))

        def triggered(*states: str) -> list[str]:
            """The reasons of retrainings in one of these states."""
            assert schedule.poll() is None, "".join(schedule.lines)
            new = [run for run in house.runs("retrain")[earlier:] if run["deployment_id"]]
            return [run["parameters"]["reason"] for run in new if run["state_type"] in states]

        watched = lambda: [run for run in house.runs("watch-data") if run["state_type"] == "COMPLETED"]  # noqa: E731
        until(watched, 120, "the folders are not watched")
        feedback = house.folder / "data/feedback/2026-01-01/a.json"
        feedback.parent.mkdir(parents=True, exist_ok=True)
        feedback.write_text(json.dumps(CORRECTION))
        until(
            lambda: {"scheduled", "new ink"} <= set(triggered("RUNNING", "CANCELLED")),
            240,
            "the schedule or new ink does not trigger a retraining",
        )
        until(lambda: triggered("RUNNING") and triggered("CANCELLED"), 120, "two run, or none")
        assert len(triggered("RUNNING")) == 1


@contextmanager
def slow_stage(house: House, stage: str, seconds: int) -> Iterator[None]:
    """Change a stage so that it runs, and takes long."""
    file = house.folder / f"components/stages/{stage}.py"
    right = file.read_text()
    marker = "from __future__ import annotations\n"
    assert marker in right
    file.write_text(right.replace(marker, f"{marker}\nimport time\n\ntime.sleep({seconds})\n", 1))
    try:
        yield
    finally:
        file.write_text(right)


CORRECTION = {
    "format": 1,
    "request_id": "a",
    "at": "2026-01-01T00:00:00Z",
    "caller": "Ada's tablet",
    "model": "1",
    "read": "1",
    "right": "x+1",
    "strokes": [
        [[0, 0], [8, 10]],
        [[8, 0], [0, 10]],
        [[14, 5], [22, 5]],
        [[18, 1], [18, 9]],
        [[28, 0], [28, 10]],
    ],
}
