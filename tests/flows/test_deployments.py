"""prefect.yaml gives a work pool what `python -m flows schedule` serves: the same flows at the same times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger

from components.config import Params
from flows.deployments import deployments

ROOT = Path(__file__).parents[2]
OF_THE_POOL = {"work_pool", "pull"}  # what prefect.yaml says besides


@pytest.fixture
def deployed() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    return content


def as_deployed(served: RunnerDeployment) -> dict[str, Any]:
    """A deployment as prefect.yaml would say it, triggers apart."""
    assert served.concurrency_options is not None and served.schedules is not None
    strategy = served.concurrency_options.collision_strategy.value
    said = {
        "name": served.name,
        "entrypoint": served.entrypoint,
        "concurrency_limit": {"limit": served.concurrency_limit, "collision_strategy": strategy},
        "schedules": [as_scheduled(each.schedule) for each in served.schedules],
        "parameters": served.parameters,
        "tags": served.tags,
    }
    return {key: value for key, value in said.items() if value not in ({}, [])}


def as_scheduled(schedule: object) -> dict[str, Any]:
    if isinstance(schedule, CronSchedule):
        return {"cron": schedule.cron, "timezone": schedule.timezone}
    assert isinstance(schedule, IntervalSchedule)
    return {"interval": schedule.interval.total_seconds()}


def test_a_work_pool_gets_the_flows_that_are_served_when_they_are_served(
    deployed: dict[str, Any], params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # entrypoints are named from here
    served = deployments(params)
    entries = deployed["deployments"]
    without = OF_THE_POOL | {"triggers"}
    assert [{key: value for key, value in entry.items() if key not in without} for entry in entries] == [
        as_deployed(each) for each in served
    ]
    for entry, each in zip(entries, served, strict=True):
        triggers = [DeploymentEventTrigger.model_validate(given) for given in entry.get("triggers", [])]
        assert triggers == each.triggers


def test_all_go_to_one_pool_and_each_has_a_clone_of_its_own(deployed: dict[str, Any]) -> None:
    assert {entry["work_pool"]["name"] for entry in deployed["deployments"]} == {"handwriting"}
    for entry in deployed["deployments"]:  # a container's run begins in a folder that goes with it
        place = entry["pull"][0]["prefect.deployments.steps.set_working_directory"]
        assert place == {"directory": "{{ $WORK_DIR }}"}
    clones = [entry["pull"][1]["prefect.deployments.steps.git_clone"] for entry in deployed["deployments"]]
    assert len({clone["clone_directory_name"] for clone in clones}) == len(clones) == 3
