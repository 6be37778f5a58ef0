"""The values for the charts of Prefect and MLflow: variables that these read, and no telemetry.

The charts are no packages of a registry: they were rendered by hand, with what their README says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

VALUES = Path(__file__).parents[2] / "deploy" / "helm" / "servers"


def load(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((VALUES / f"{name}.yaml").read_text(encoding="utf-8"))
    return values


def test_prefect_reads_each_variable_and_remembers_who_holds_the_slot() -> None:
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_valid_setting_names

    from flows.deployments import LEASES

    server = {entry["name"]: entry["value"] for entry in load("prefect-server")["server"]["env"]}
    worker = {entry["name"]: entry["value"] for entry in load("prefect-worker")["worker"]["extraEnvVars"]}
    assert {name for name in server if name != "DO_NOT_TRACK"} <= _get_valid_setting_names(Settings)
    assert server["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] == LEASES
    assert server["DO_NOT_TRACK"] == worker["DO_NOT_TRACK"] == "1"
    assert server["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_mlflow_reads_each_variable_and_asks_for_a_password() -> None:
    from mlflow import environment_variables

    values = load("mlflow")
    assert all(hasattr(environment_variables, name) for name in values["extraEnvVars"])
    assert values["extraEnvVars"]["MLFLOW_DISABLE_TELEMETRY"] == "true" and values["auth"]["enabled"]


def test_the_worker_serves_the_pool_of_the_deployments() -> None:
    prefect = yaml.safe_load((VALUES.parents[2] / "prefect.yaml").read_text(encoding="utf-8"))
    assert load("prefect-worker")["worker"]["config"]["workPool"] == prefect["definitions"]["pool"]["name"]
