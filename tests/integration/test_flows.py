"""The whole story on real servers: trained, judged, promoted, served, rolled back; and what can go wrong."""

from __future__ import annotations

import json
import os
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
from tests.integration.clone import Clone
from tests.integration.conftest import pictures
from tests.integration.servers import Server, mlflow_server, prefect_server

pytestmark = pytest.mark.slow

MODEL = "handwritten-math-ocr"


class House(Clone):
    """A clone whose flows run by a Prefect server and a registry over HTTP."""

    def __init__(self, folder: Path, prefect: Server, mlflow: Server) -> None:
        (folder / "clone").mkdir()
        super().__init__(folder / "clone")
        self.prefect, self.mlflow, self.bentos = prefect, mlflow, folder / "bentoml" / "bentos" / MODEL
        self.environment |= {
            "PREFECT_API_URL": f"{prefect.url}/api",
            "PREFECT_HOME": str(folder / "home"),
            "MLFLOW_TRACKING_URI": mlflow.url,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "BENTOML_HOME": str(folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "true",
        }
        self.change("presets/ci.yaml", small)
        self.set("promotion", min_exprate=0.0, max_cer=1.0, resamples=2000)
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

    def alias(self, alias: str) -> str | None:
        """The version that the registry gives an alias."""
        found = httpx.get(
            f"{self.mlflow.url}/api/2.0/mlflow/registered-models/alias",
            params={"name": MODEL, "alias": alias},
        )
        return found.json()["model_version"]["version"] if found.status_code == 200 else None

    def runs(self, flow: str) -> list[dict]:
        """The runs of a flow that Prefect's server knows."""
        asked = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_ASC"}
        return httpx.post(f"{self.prefect.url}/api/flow_runs/filter", json=asked).json()

    def events(self, name: str) -> list[dict]:
        """The events of this name that Prefect's server knows."""
        asked = {"filter": {"event": {"name": [name]}}}
        return httpx.post(f"{self.prefect.url}/api/events/filter", json=asked).json()["events"]

    @contextmanager
    def doing(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """`python -m flows` in the background, killed at the end."""
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


def small(preset: dict) -> dict:
    """Formulas of at most four tokens, which a small model learns to read in some seconds."""
    preset["data"]["synthetic"] |= {"train": 800, "valid": 60, "test": 150, "writers": 40, "max_tokens": 4}
    preset["model"] |= {"decoder_width": 64, "decoder_heads": 4}
    preset["train"] |= {"lr": 0.004, "ema": 0.95, "epochs": 5}
    return preset


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    prefect, mlflow = prefect_server(folder / "prefect"), mlflow_server(folder / "mlflow")
    yield House(folder, prefect, mlflow)
    prefect.stop()
    mlflow.stop()


class Asking:
    """Somebody who asks a service all the time, in a `with` block, and notes what fails."""

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
            while not self._over.wait(0.05):
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
def live(house: House, **settings: str) -> Iterator[str]:
    """The address that `python -m flows live` serves the champion at."""
    if shutil.which("haproxy") is None:
        pytest.skip("needs haproxy: apt-get install haproxy")
    port = free_port()
    log = house.folder / ".live.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows", "live", "--port", str(port)],
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
    status, said = house.flows("retrain")
    assert status == 0 and "version 1 is champion: it is the first, and good enough" in said, said
    assert house.alias("champion") == "1"
    with live(house) as url, Asking(url) as asking:
        assert version_of(url) == "1"

        house.epochs(1)
        status, said = house.flows("retrain")
        assert status == 0 and "version 2 was refused" in said, said
        assert "worse beyond chance" in said, said
        assert house.alias("champion") == "1" and house.alias("challenger") == "2"

        house.epochs(14)
        killed_in_training(house)
        status, said = house.flows("retrain")
        assert status == 0 and "version 3 is champion: it is better beyond chance" in said, said
        assert house.alias("champion") == "3" and house.alias("previous") == "1"
        until(lambda: version_of(url) == "3", 120, "the service goes on with the old version")

        status, said = house.flows("rollback")
        assert status == 0 and "version 1 is champion again" in said, said
        assert house.alias("champion") == "1" and house.alias("previous") == "3"
        until(lambda: version_of(url) == "1", 120, "the service goes on with the version rolled back")
        time.sleep(2)
    assert not asking.failed and asking.answered > 100
    report = (house.folder / "reports/promotion/version-3.md").read_text()
    assert report.startswith("# version 3: promoted") and "version 1" in report


def killed_in_training(house: House) -> None:
    """Begins to retrain and is killed after some epochs, with all that it started."""
    kept = house.folder / "data" / "training"
    before = set(kept.glob("*"))
    with house.doing("retrain"):

        def epochs() -> int:
            histories = [path for path in kept.glob("*/history.csv") if path.parent not in before]
            return len(histories[0].read_text().splitlines()) - 1 if histories else 0

        until(lambda: epochs() >= 3, 200, "no epoch was kept")


def test_nothing_new_ends_in_seconds_and_says_so(house: House) -> None:
    status, said = house.flows("retrain")
    assert status == 0 and "nothing changed: version 3 was rolled back" in said, said
    [last] = house.runs("retraining")[-1:]
    assert last["state_type"] == "COMPLETED" and last["total_run_time"] < 60


def test_what_people_look_at_is_there(house: House) -> None:
    """Prefect's page has the artifacts, MLflow's the report, the numbers and the Bento of a version."""
    asked = {"artifacts": {"type": {"not_any_": ["result"]}}, "limit": 200}
    artifacts = httpx.post(f"{house.prefect.url}/api/artifacts/filter", json=asked).json()
    by_key = {artifact["key"]: artifact for artifact in artifacts}
    assert {"stages", "metrics", "mlflow", "worst-mistakes", "promotion"} <= by_key.keys()
    stages = json.loads(by_key["stages"]["data"])
    assert stages[0]["stage"] == "download" and {row["outcome"] for row in stages} <= {"ran", "cached"}
    assert "data:image/png;base64," in by_key["worst-mistakes"]["data"]
    assert f"{house.mlflow.url}/#/models/{MODEL}/versions/" in by_key["mlflow"]["data"]
    version = httpx.get(
        f"{house.mlflow.url}/api/2.0/mlflow/model-versions/get", params={"name": MODEL, "version": "3"}
    ).json()["model_version"]
    tags = {tag["key"]: tag["value"] for tag in version["tags"]}
    assert tags["gate"].startswith("promoted") and tags["rolled_back"] and tags["bento"]
    assert json.loads(tags["gate_numbers"])["n"] == 150
    files = httpx.get(
        f"{house.mlflow.url}/api/2.0/mlflow/artifacts/list",
        params={"run_id": version["run_id"], "path": "promotion"},
    ).json()["files"]
    names = {Path(file["path"]).name for file in files}
    assert names == {"version-3.md", "version-3.html", "reference.parquet"}


def test_with_the_registry_away_in_mid_promotion_the_champion_stays(house: House) -> None:
    before = set(house.bentos.glob("*/bento.yaml"))
    with house.doing("promote", "--again", "--model", f"models:/{MODEL}/3") as promoting:
        until(lambda: set(house.bentos.glob("*/bento.yaml")) - before, 120, "no Bento was built")
        house.mlflow.stop()
        promoting.wait(300)
        house.mlflow.start()
        said = "".join(promoting.lines)
        assert promoting.returncode == 1 and "the champion stays" in said, said
    assert house.alias("champion") == "1" and house.alias("previous") == "3"


def test_a_bento_that_answers_otherwise_is_not_promoted(house: House) -> None:
    before = set(house.bentos.glob("*/bento.yaml"))
    file = house.folder / "components/serving/routes/predict.py"
    right = file.read_text()
    assert "formula=read.formula," in right
    file.write_text(right.replace("formula=read.formula,", 'formula=read.formula + "!",'))
    try:
        status, said = house.flows("promote", "--again", "--model", f"models:/{MODEL}/3")
    finally:
        file.write_text(right)
    assert status == 1 and "the champion stays" in said and "it is removed" in said, said
    assert house.alias("champion") == "1"
    assert set(house.bentos.glob("*/bento.yaml")) == before


@pytest.mark.parametrize("answer", [False, True])
def test_a_person_may_have_the_last_word(house: House, answer: bool) -> None:
    house.set("promotion", approval=True)
    try:
        with house.doing("promote", "--again", "--model", f"models:/{MODEL}/3") as promoting:

            def paused() -> list[str]:
                assert promoting.poll() is None, "".join(promoting.lines)
                return [run["id"] for run in house.runs("promotion") if run["state_type"] == "PAUSED"]

            until(paused, 120, "nobody is asked")
            assert house.alias("champion") == "1", "nothing moves before the answer"
            [run] = paused()
            told = httpx.post(
                f"{house.prefect.url}/api/flow_runs/{run}/resume",
                json={"run_input": {"promote": answer, "by": "Ada"}},
            )
            assert told.json()["status"] == "ACCEPT", told.text
            promoting.wait(120)
            said = "".join(promoting.lines)
    finally:
        house.set("promotion", approval=False)
    assert promoting.returncode == 0, said
    if answer:
        assert "version 3 is champion" in said and house.alias("champion") == "3", said
        assert house.flows("rollback")[0] == 0 and house.alias("champion") == "1"
    else:
        assert "nobody approved of it" in said and house.alias("champion") == "1", said


def test_poisoned_data_stops_at_validation_and_the_champion_stays(house: House) -> None:
    poison = house.folder / "data/corrections/poison.inkml"
    label = "+".join("x" * 200)
    poison.write_text(
        '<ink xmlns="http://www.w3.org/2003/InkML"><annotation type="label">' + label + "</annotation>"
        "<trace>0 0, 4 5, 9 12</trace><trace>9 0, 5 6, 0 12</trace></ink>"
    )
    try:
        status, said = house.flows("retrain")
    finally:
        poison.unlink()
    assert status == 1 and "the champion stays: stage validate failed" in said, said
    assert "a label is no longer than validate.max_tokens: broken by 1 of" in said, said
    assert house.alias("champion") == "1"


def test_what_the_service_reads_is_watched_and_what_users_correct_comes_back(house: House) -> None:
    monitored, feedback = house.folder / "data/monitoring", house.folder / "data/feedback"
    settings = {"MONITOR_FOLDER": str(monitored), "MONITOR_SHARE": "1", "FEEDBACK_FOLDER": str(feedback),
                "CACHE_ANSWERS": "0"}  # fmt: skip
    shutil.rmtree(house.bentos)  # as on another machine, which builds its own
    with live(house, **settings) as url, httpx.Client(base_url=url, timeout=60) as client:
        for strokes in inks_of_test(house)[:80]:
            assert client.post("/predict/strokes", json={"strokes": strokes}).status_code == 200
        status, said = house.flows("monitor")
        assert status == 0 and "no column has drifted" in said, said
        assert not house.events("handwriting.drift.found")

        for length in range(240):  # nobody writes like this
            strokes = [[[x, (x * 7) % 40] for x in range(400 + 2 * length)]] * 3
            asked = client.post("/predict/strokes", json={"strokes": strokes})
            assert asked.status_code == 200
        status, said = house.flows("monitor")
        assert status == 0 and "drifted from" in said and "no column" not in said, said
        until(lambda: house.events("handwriting.drift.found"), 30, "nobody is told of the drift")

        request_id = asked.headers["x-request-id"]
        told = client.post("/feedback", json={"request_id": request_id, "formula": r"\frac 1 x"})
        assert told.status_code == 201 and told.json()["formula"] == r"\frac{1}{x}", told.text
    assert (house.folder / "reports/drift/drift.html").stat().st_size > 10_000
    collected = collect(feedback, house.folder / "collected", house.folder / "collected.csv")
    assert collected.written == 1
    shutil.rmtree(feedback)


def inks_of_test(house: House) -> list[list[list[tuple[float, float]]]]:
    """The strokes of the inks of the test split."""
    rows = pq.read_table(house.folder / "data/shards/test", columns=["strokes"]).to_pylist()
    return [[list(zip(s[::2], s[1::2], strict=True)) for s in row["strokes"]] for row in rows]


def test_of_two_retrainings_at_once_the_second_does_nothing(house: House) -> None:
    with slow_stage(house, "vocab", 60), house.doing("retrain") as first:
        until(lambda: "Beginning subflow" in "".join(first.lines), 90, "the first does not begin")
        status, said = house.flows("retrain")
        assert first.poll() is None, "".join(first.lines)
    assert status == 0 and "another retraining is under way: this one did nothing" in said, said


def test_the_schedule_fires_and_so_does_new_ink_and_never_two_at_once(house: House) -> None:
    house.set("retraining", cron="* * * * *", watch=4, watch_drift=3600)
    with house.doing("serve") as serving:
        begun = len(house.runs("retraining"))

        def since(*states: str) -> list[dict]:
            assert serving.poll() is None, "".join(serving.lines)
            new = house.runs("retraining")[begun:]
            return [run for run in new if run["deployment_id"] and run["state_type"] in states]

        until(lambda: since("COMPLETED"), 240, "the schedule did not fire")
        with slow_stage(house, "vocab", 100):
            feedback = house.folder / "data/feedback/2026-01-01/a.json"
            feedback.parent.mkdir(parents=True, exist_ok=True)
            feedback.write_text(json.dumps(CORRECTION))
            told = "new ink has come"
            until(
                lambda: any(run["parameters"].get("reason") == told for run in since("RUNNING", "CANCELLED")),
                120,
                "new ink does not trigger a retraining",
            )
            until(lambda: since("RUNNING") and since("CANCELLED"), 180, "nothing is cancelled while one runs")
            assert len(since("RUNNING")) == 1
    assert list((house.folder / "data/corrections").glob("*.inkml")), "the correction is collected"


def test_without_a_server_the_pipeline_runs_all_the_same(house: House) -> None:
    del house.environment["PREFECT_API_URL"]
    house.environment["PREFECT_HOME"] = str(house.folder / ".prefect")
    house.epochs(2)  # every stage from training on has something to do
    start = time.monotonic()
    status, said = house.flows("pipeline")
    assert status == 0 and "pipeline: " in said, said
    assert time.monotonic() - start < 300


@contextmanager
def slow_stage(house: House, stage: str, seconds: int) -> Iterator[None]:
    """The stage has changed and takes its time."""
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
