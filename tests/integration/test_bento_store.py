"""A Bento is built once; another machine pulls it by its digest. What is old goes, what serves stays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from components.registry.model_versions import BENTO, DIGEST
from tests.integration.clone import Clone
from tests.integration.conftest import Registry, registered
from tests.integration.servers import create_bucket, s3_environment, s3_server

pytestmark = pytest.mark.slow

MODEL = "handwritten-math-ocr"
STORE = "s3://bentos/shared"


class Machine(Clone):
    """A clone with a Bento store of its own, a registry that all share, and the store at an address."""

    def __init__(self, folder: Path, registry: Registry, s3: dict[str, str]) -> None:
        super().__init__(folder / "clone")
        self.home = folder / "bentoml"  # not in the clone, which is what a Bento is built from
        self.environment |= registry.environment | s3 | {"BENTOML_HOME": str(self.home)}
        self.set("deployment", store=STORE)

    def set(self, section: str, **values: object) -> None:
        self.change("params.yaml", lambda params: params | {section: params[section] | values})

    def flows(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flows", *arguments], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def bentos(self) -> set[str]:
        """The tags of this machine's Bentos."""
        found = (self.home / "bentos").glob("*/*/bento.yaml")
        return {f"{path.parts[-3]}:{path.parts[-2]}" for path in found}

    def python(self, code: str) -> str:
        """What some lines print that run here with the project's modules."""
        return self.run(sys.executable, "-c", code).strip().splitlines()[-1]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    server = s3_server(tmp_path_factory.mktemp("s3") / "server")
    create_bucket(server, "bentos")
    yield s3_environment(server) | {"S3": server.url}
    server.stop()


@pytest.fixture(scope="module")
def own_registry(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return registered(exported, tmp_path_factory)


@pytest.fixture(scope="module")
def builder(own_registry: Registry, s3: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("builder"), own_registry, s3)


@pytest.fixture(scope="module")
def tag(builder: Machine) -> str:
    """The Bento that the first machine has built and pushed."""
    done = builder.flows("pull")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def files(s3: dict[str, str]) -> Any:
    """The S3 server's files."""
    return fsspec.filesystem(
        "s3", endpoint_url=s3["S3"], key="key", secret="secret", use_listings_cache=False
    )


def stored(tag: str) -> str:
    """Where the store has a Bento."""
    return f"bentos/shared/{tag.replace(':', '/')}.bento"


def tags_of_version(machine: Machine) -> dict[str, str]:
    code = f"""
from components.registry.model_versions import Registry
tags = Registry({MODEL!r}).resolve().tags
print(tags.get({BENTO!r}), tags.get({DIGEST!r}))"""
    bento, digest = machine.python(code).split()
    return {BENTO: bento, DIGEST: digest}


def test_another_machine_pulls_what_the_first_has_built(
    builder: Machine, tag: str, own_registry: Registry, s3: dict[str, str], tmp_path: Path
) -> None:
    recorded = tags_of_version(builder)
    assert recorded[BENTO] == tag and recorded[DIGEST].startswith("sha256:")
    other = Machine(tmp_path / "other", own_registry, s3)
    (other.folder / "bentofile.yaml").unlink()  # so that it can't build one
    done = other.flows("pull")
    assert (done.returncode, done.stdout.strip()) == (0, tag), done.stderr
    assert other.bentos() == {tag} and tags_of_version(builder) == recorded
    again = other.flows("pull")
    assert again.stdout.strip() == tag, "it is there already"


def test_a_bento_with_another_digest_is_refused(
    builder: Machine, tag: str, own_registry: Registry, s3: dict[str, str], tmp_path: Path
) -> None:
    bucket, path = files(s3), stored(tag)
    content = bucket.cat_file(path)
    assert len(content) > 100_000
    other = Machine(tmp_path / "other", own_registry, s3)
    bucket.pipe_file(path, content[:-1] + bytes([content[-1] ^ 1]))
    try:
        done = other.flows("pull")
    finally:
        bucket.pipe_file(path, content)
    assert (
        done.returncode == 1 and "SHA-256" in done.stderr and "not the Bento that was tested" in done.stderr
    )
    assert "Traceback" not in done.stderr and not other.bentos()


def test_a_store_that_does_not_answer_is_named(
    own_registry: Registry, s3: dict[str, str], tag: str, tmp_path: Path
) -> None:
    other = Machine(tmp_path / "other", own_registry, s3)
    other.environment |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    done = other.flows("pull")
    assert done.returncode == 1 and f"deployment.store: {STORE}" in done.stderr
    assert "Traceback" not in done.stderr and not other.bentos()


@pytest.mark.nightly
def test_what_is_old_goes_and_the_champions_bento_stays(
    builder: Machine, tag: str, s3: dict[str, str]
) -> None:
    """The champion's is the oldest of all."""
    builder.python(f"""
from components.registry.model_versions import Registry
registry = Registry({MODEL!r})
registry.promote(registry.resolve(), None)
print("promoted")""")
    newer = []
    for _ in range(2):
        done = builder.flows("build")
        assert done.returncode == 0, done.stderr
        newer.append(done.stdout.strip())
    builder.set("retention", bentos=1, monitoring_days=1, log_megabytes=0.001)
    monitored = builder.folder / "data/monitoring/readings/data"
    monitored.mkdir(parents=True)
    for name in ("old", "new"):
        (monitored / f"{name}.log").write_text("{}\n")
    os.utime(monitored / "old.log", (0, 0))
    log = builder.folder / ".prefect/server.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text("said\n" * 1000)

    told = builder.flows("clean", "--dry-run")
    assert told.returncode == 0, told.stderr
    assert builder.bentos() == {tag, *newer} and log.stat().st_size == 5000
    assert (monitored / "old.log").exists()
    for gone in (newer[0], "data/monitoring/readings/data/old.log", "server.log"):
        assert gone in told.stdout, told.stdout
    assert tag not in told.stdout and newer[1] not in told.stdout and "new.log" not in told.stdout

    done = builder.flows("clean")
    assert done.returncode == 0 and done.stdout == told.stdout, done.stderr
    assert builder.bentos() == {tag, newer[1]} and log.stat().st_size == 0
    assert [path.name for path in monitored.iterdir()] == ["new.log"]
    assert files(s3).exists(stored(tag))
    assert not builder.flows("clean").stdout, "there is nothing left to remove"
