"""Deployments of the flows for one machine, served by this process until it is stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from components.config import Params, load_params

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

# In memory, Prefect's default, a restarted server would forget who holds a slot, which never gets free.
LEASES = "prefect.server.concurrency.lease_storage.filesystem"
_START_TIMEOUT = 180  # seconds until Prefect's server answers
_LOG_TAIL = 1500  # characters quoted in an error


class ServerError(RuntimeError):
    """Prefect's server did not start; the message has the end of its log."""


def serve_schedule(port: int) -> None:
    """Serve the deployments with the server of PREFECT_API_URL, else with a new one, until Ctrl-C."""
    params = load_params()
    with server(port, params.retention.run_days) as url:
        os.environ["PREFECT_API_URL"] = url  # read when Prefect is imported
        from prefect import serve

        print(f"Prefect: {url.removesuffix('/api')}; retraining at {params.retraining.cron}", flush=True)
        serve(*deployments(params))


def deployments(params: Params) -> list[RunnerDeployment]:
    """Return the deployments: each flow with its schedule, and the events that trigger it."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.events import DeploymentEventTrigger
    from prefect.schedules import Cron

    from flows.data_watch import watch_data
    from flows.events import DRIFT_DETECTED, INK_ARRIVED
    from flows.monitoring import monitor_drift
    from flows.retraining import retrain

    single = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
    reasons = {INK_ARRIVED: "new ink", DRIFT_DETECTED: "drift"}
    settings = params.retraining
    found: list[Any] = [  # typed as Any: within a coroutine, to_deployment returns one
        retrain.to_deployment(
            "schedule",
            schedule=Cron(settings.cron, timezone=settings.timezone),
            parameters={"reason": "scheduled"},
            concurrency_limit=single,
            triggers=[
                DeploymentEventTrigger(
                    name=f"retrain: {reason}", expect={event}, parameters={"reason": reason}
                )
                for event, reason in reasons.items()
            ],
        ),
        watch_data.to_deployment("schedule", interval=settings.watch, concurrency_limit=single),
        monitor_drift.to_deployment("schedule", interval=settings.watch_drift, concurrency_limit=single),
    ]
    return found


@contextmanager
def server(port: int, run_days: float) -> Iterator[str]:
    """Yield the URL of Prefect's API: that of PREFECT_API_URL, else of a server started for the block.

    The latter removes flow runs and their logs `run_days` after they ended; 0: never.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        yield url
        return
    url = f"http://127.0.0.1:{port}/api"
    log = Path(os.environ["PREFECT_HOME"]) / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            stdout=stream, stderr=subprocess.STDOUT,
            env=os.environ
            | {"PREFECT_SERVER_UI_API_URL": url}  # the UI would look for port 4200
            | {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASES}
            | vacuum(run_days),
        )  # fmt: skip
    try:
        _wait_until_healthy(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait()


def vacuum(run_days: float) -> dict[str, str]:
    """The settings by which Prefect's server removes old flow runs itself, with their logs and artifacts."""
    if not run_days:
        return {}
    return {
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(int(run_days * 86400)),
    }


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise ServerError(f"Prefect's server did not start; end of {log}: {log.read_text()[-_LOG_TAIL:]}")
