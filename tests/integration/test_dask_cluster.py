"""A Dask cluster whose workers share nothing with this machine but addresses: they are given the code."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pytest
from dask.distributed import Client

from components.config import Params
from components.data.dask_client import ClusterError, connect
from components.data.packed_files import pack_files
from components.data.pictures import LABEL
from components.deployment.service_process import free_port
from tests.integration.servers import create_bucket, s3_environment, s3_server
from tests.stages.test_rasterize import contents, run, with_params, write_raw

pytestmark = pytest.mark.slow


@contextmanager
def process(folder: Path, *command: str, **environment: str) -> Iterator[None]:
    """Run a command of Dask's in a folder that has none of this code, without PYTHONPATH."""
    folder.mkdir(parents=True)
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    started = subprocess.Popen(
        [sys.executable, "-P", "-m", "distributed.cli." + command[0], *command[1:]],
        cwd=folder, env=inherited | environment,
        stdout=(folder / "log").open("w"), stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield
    finally:
        started.terminate()
        started.wait(30)


@contextmanager
def cluster(folder: Path, *workers: Mapping[str, str]) -> Iterator[str]:
    """A scheduler and workers with these variables; yields the scheduler's address."""
    address = f"tcp://127.0.0.1:{(port := free_port())}"
    with ExitStack() as running:
        scheduler = ["dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
        running.enter_context(process(folder / "scheduler", *scheduler))
        for number, environment in enumerate(workers):
            command = ["dask_worker", address, "--nworkers", "1", "--nthreads", "1", "--no-dashboard",
                       "--no-nanny", "--name", f"machine-{number}"]  # fmt: skip
            running.enter_context(process(folder / f"worker-{number}", *command, **environment))
        with Client(address, timeout=60) as client:
            client.wait_for_workers(len(workers), timeout=60)
        yield address


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    server = s3_server(tmp_path_factory.mktemp("s3") / "server")
    create_bucket(server, "shared")
    yield s3_environment(server)
    server.stop()


def on(params: Params, **compute: Any) -> Params:
    return with_params(params, shard_rows=300).model_copy(
        update={"compute": params.compute.model_copy(update=compute)}
    )


def test_workers_elsewhere_make_the_same_shards_through_an_object_store(
    tmp_path: Path, params: Params, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    raw = write_raw(tmp_path / "raw", train=700)
    (raw / "train" / "a" / "empty.inkml").write_text("")
    run(with_params(params, shard_rows=300), raw, tmp_path / "here")
    pack_files(raw / "train", LABEL, 100)
    with cluster(tmp_path, s3, s3) as scheduler:
        run(on(params, scheduler=scheduler, storage="s3://shared/tmp"), raw, tmp_path / "there")
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    bucket = fsspec.filesystem("s3", use_listings_cache=False)
    assert not bucket.find("shared"), "nothing is left in the store"


def test_workers_that_see_the_same_files_need_no_store(tmp_path: Path, params: Params) -> None:
    raw = write_raw(tmp_path / "raw")
    run(with_params(params, shard_rows=300), raw, tmp_path / "here")
    with cluster(tmp_path, {}) as scheduler:
        run(on(params, scheduler=scheduler), raw, tmp_path / "there")
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_a_worker_that_does_not_reach_the_store_is_named_before_work_begins(
    tmp_path: Path, params: Params, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    without = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    raw = write_raw(tmp_path / "raw")
    with cluster(tmp_path, s3, s3 | without) as scheduler:
        with Client(scheduler, timeout=60) as client:
            workers = client.scheduler_info(n_workers=-1)["workers"]
            [bad] = [address for address, info in workers.items() if info["id"] == "machine-1"]
            [good] = workers.keys() - {bad}
        start = time.monotonic()
        with pytest.raises(ClusterError, match=r"compute\.scheduler: .*compute\.storage") as raised:
            run(on(params, scheduler=scheduler, storage="s3://shared/tmp"), raw, tmp_path / "there")
    assert bad in str(raised.value) and good not in str(raised.value)
    assert time.monotonic() - start < 120 and not (tmp_path / "there/shards").exists()


def test_changed_code_takes_the_place_of_the_old(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    import components

    with cluster(tmp_path, {}) as scheduler:
        there = params.compute.model_copy(update={"scheduler": scheduler})
        for version in ("one", "two"):
            package = tmp_path / version / "components"
            package.mkdir(parents=True)
            (package / "__init__.py").write_text("")
            (package / "part.py").write_text(f"NAME = {version!r}\n")
            monkeypatch.setattr(components, "__path__", [str(package)])
            with connect(there, 1) as client:
                named = "__import__('components.part').part.NAME"
                assert set(client.run(eval, named).values()) == {version}
