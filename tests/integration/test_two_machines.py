"""Two clones as two machines: nothing is shared but servers, a bucket and a git repository.

MLflow and Prefect on PostgreSQL, artifacts, data and Bentos on S3. At the end all is lost, and restored from
a backup as docs/servers.md has it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import httpx
import pyarrow.parquet as pq
import pytest

from components.registry.model_versions import BENTO, DIGEST
from tests.integration.servers import (
    Postgres,
    Server,
    create_bucket,
    mlflow_server,
    prefect_server,
    s3_environment,
    s3_server,
)
from tests.integration.test_flows import MODEL, House, serve_champion, version_of

pytestmark = pytest.mark.nightly

BUCKETS = ("artifacts", "dvc", "bentos")


class World:
    """All that the machines share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = Postgres()
        for database in ("mlflow", "prefect"):
            self.postgres.call("createdb", database)
        self.s3 = s3_server(folder / "s3")
        for bucket in BUCKETS:
            create_bucket(self.s3, bucket)
        self.keys = s3_environment(self.s3)
        self.mlflow = self.new_mlflow("mlflow")
        self.prefect = prefect_server(folder / "prefect", self.postgres.url("asyncpg", "prefect"))
        self.feedback = folder / "feedback"  # a volume that service and trainer mount
        self.origin = folder / "origin.git"
        subprocess.run(
            ["git", "init", "--quiet", "--bare", "--initial-branch", "main", self.origin], check=True
        )

    def new_mlflow(self, name: str) -> Server:
        database = self.postgres.url("psycopg2", "mlflow")
        return mlflow_server(self.folder / name, database, "s3://artifacts/mlflow", self.keys)

    def stop(self) -> None:
        for server in (self.mlflow, self.prefect, self.s3, self.postgres):
            server.stop()

    def files(self) -> Any:
        return fsspec.filesystem(
            "s3", endpoint_url=self.s3.url, key="key", secret="secret", use_listings_cache=False
        )


class Machine(House):
    """A clone with Bentos and caches of its own; `trained` has run all stages but `register`."""

    def __init__(self, world: World, name: str, trained: Path | None = None) -> None:
        folder = world.folder / name
        if trained is None:
            subprocess.run(
                ["git", "clone", "--quiet", f"file://{world.origin}", folder / "clone"], check=True
            )
            self.folder, self.prefect, self.mlflow = folder / "clone", world.prefect, world.mlflow
            self.environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        else:
            super().__init__(folder, trained, world.prefect, world.mlflow)
        self.bentos = folder / "bentoml/bentos" / MODEL
        self.environment |= world.keys | {
            "PREFECT_API_URL": f"{world.prefect.url}/api",
            "PREFECT_HOME": str(folder / "home"),
            "MLFLOW_TRACKING_URI": world.mlflow.url,
            "BENTOML_HOME": str(folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "true",
        }
        for role in ("AUTHOR", "COMMITTER"):
            self.environment |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": f"{name}@example.org"}

    def bento(self) -> str:
        """The tag that `python -m flows pull` prints."""
        done = subprocess.run(
            ["python", "-m", "flows", "pull"], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def built(self) -> list[str]:
        """The versions of the Bentos on this machine."""
        return [path.parent.name for path in self.bentos.glob("*/bento.yaml")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.stop()


def test_what_one_machine_learns_another_serves_and_the_first_learns_from_it(
    world: World, trained: Path
) -> None:
    first = Machine(world, "first", trained)
    publish(first, world)
    status, output = first.flows("retrain")
    assert status == 0 and first.alias("champion") == "1", output
    tags = first.tags("1")
    assert tags[DIGEST].startswith("sha256:") and not tags["git_commit"].endswith("-dirty"), tags

    second = Machine(world, "second")
    second.run("dvc", "pull")
    status, output = second.flows("retrain")
    assert status == 0 and "nothing to do: version 1 is champion" in output, output
    assert second.alias("challenger") == "1"
    assert second.bento() == tags[BENTO] == first.bento()
    assert second.built() == [tags[BENTO].partition(":")[2]]
    with serve_champion(second, FEEDBACK_FOLDER=str(world.feedback)) as url:
        assert version_of(url) == "1"
        correct(url, 6)

    status, output = first.flows("retrain")
    assert status == 0 and first.alias("challenger") == "2", output
    learnt = pq.read_table(first.folder / "data/shards/train", columns=["source"])["source"].to_pylist()
    assert sum(source.startswith("corrections/") for source in learnt) == 6
    second.run("git", "pull", "--quiet")
    assert "data/corrections" in (second.folder / "dvc.lock").read_text()

    champion = first.alias("champion")
    assert champion is not None
    back_up_and_restore(world, first.tags(champion)[BENTO])


def publish(machine: Machine, world: World) -> None:
    """What an operator sets up once: remotes, and where results go."""
    machine.set("pipeline", push=True, record="push")
    machine.set("retraining", feedback=str(world.feedback))
    machine.set("deployment", store="s3://bentos/shared")
    machine.run("dvc", "remote", "add", "--default", "store", "s3://dvc/store")
    machine.run("git", "checkout", "--quiet", "-B", "main")
    machine.run("git", "remote", "add", "origin", f"file://{world.origin}")
    machine.run("git", "add", "--all")
    machine.run("git", "commit", "--quiet", "--message", "All")
    machine.run("git", "push", "--quiet", "--set-upstream", "origin", "main")


def correct(url: str, count: int) -> None:
    """Draw crosses, each another one, and say what they are."""
    with httpx.Client(base_url=url, timeout=60) as client:
        for number in range(count):
            strokes = [[[0, 0], [8, 10 + number]], [[8, 0], [0, 10]]]
            answer = client.post("/predict/strokes", json={"strokes": strokes})
            said = {"request_id": answer.headers["x-request-id"], "formula": "x"}
            assert client.post("/feedback", json=said).status_code == 201


def back_up_and_restore(world: World, bento: str) -> None:
    """Lose database, artifacts, data and Bentos; a new machine then works from the backup."""
    backup, files = world.folder / "backup", world.files()
    dump = str(backup / "mlflow.dump")
    backup.mkdir()
    world.postgres.call("pg_dump", "--format=custom", f"--file={dump}", "mlflow")
    for bucket in BUCKETS:
        files.get(f"{bucket}/", str(backup / bucket), recursive=True)

    world.mlflow.stop()
    world.postgres.call("dropdb", "--force", "mlflow")
    for bucket in BUCKETS:
        files.rm(files.find(bucket))
        assert not files.find(bucket)

    world.postgres.call("createdb", "mlflow")
    for bucket in BUCKETS:
        for path in (path for path in (backup / bucket).rglob("*") if path.is_file()):
            files.put_file(str(path), f"{bucket}/{path.relative_to(backup / bucket)}")
    world.postgres.call("pg_restore", "--clean", "--if-exists", "--dbname", "mlflow", dump)
    world.mlflow = world.new_mlflow("mlflow-restored")

    third = Machine(world, "third")
    third.run("dvc", "pull")
    status, output = third.flows("retrain")  # which imports the corrections again
    assert status == 0 and "up to date: all stages cached" in output, output
    assert third.bento() == bento
    stored = third.run("python", "-m", "flows", "store", "--model", f"models:/{MODEL}@champion")
    assert f"{MODEL}:v" in stored
    assert third.built() == [bento.partition(":")[2]]
