"""The schedule on one machine: deployments of the flows, served by this process until it is stopped."""

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

_PATIENCE = 180  # seconds until Prefect's server answers


class ServerError(RuntimeError):
    """Prefect's server does not come up; the message has its last words."""


def serve_flows(port: int) -> None:
    """Serves the flows by the server of PREFECT_API_URL, or one started here. Ends with Ctrl-C."""
    params = load_params()
    with server(port) as url:
        os.environ["PREFECT_API_URL"] = url  # Prefect looks when it is imported
        from prefect import serve

        print(f"Prefect: {url.removesuffix('/api')}; retraining at {params.retraining.cron}", flush=True)
        serve(*deployments(params))


def deployments(params: Params) -> list[RunnerDeployment]:
    """What is served: when each flow runs, by itself and on which event."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.events import DeploymentEventTrigger
    from prefect.schedules import Cron

    from flows.data_watch import ARRIVED, DRIFT, watching
    from flows.monitoring import monitoring
    from flows.retraining import retraining

    alone = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
    events = {ARRIVED: "new ink has come", DRIFT: "what is read has drifted"}
    when = params.retraining
    made: list[Any] = [  # to_deployment would be a coroutine inside another one
        retraining.to_deployment(
            "schedule",
            schedule=Cron(when.cron, timezone=when.timezone),
            parameters={"reason": "scheduled"},
            concurrency_limit=alone,
            triggers=[
                DeploymentEventTrigger(
                    name=f"retraining: {reason}", expect={event}, parameters={"reason": reason}
                )
                for event, reason in events.items()
            ],
        ),
        watching.to_deployment("schedule", interval=when.watch, concurrency_limit=alone),
        monitoring.to_deployment("schedule", interval=when.watch_drift, concurrency_limit=alone),
    ]
    return made


@contextmanager
def server(port: int) -> Iterator[str]:
    """The address of Prefect's API: of the server that PREFECT_API_URL names, else of one of our own."""
    if given := os.environ.get("PREFECT_API_URL"):
        yield given
        return
    url = f"http://127.0.0.1:{port}/api"
    log = Path(os.environ["PREFECT_HOME"]) / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            stdout=stream, stderr=subprocess.STDOUT,
            env=os.environ | {"PREFECT_SERVER_UI_API_URL": url},  # its page would look on port 4200
        )  # fmt: skip
    try:
        _await(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait()


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise ServerError(f"Prefect's server does not start; its last words ({log}): {log.read_text()[-1500:]}")
