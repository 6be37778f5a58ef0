"""Flow `monitor-drift`: compares recent predictions with the champion's on the test split."""

from __future__ import annotations

from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed, Failed

from components.config import ParamsError, load_params
from components.monitoring.drift import check_drift
from components.monitoring.reference import REFERENCE, DriftError
from components.monitoring.report import SUMMARY
from components.registry.model_versions import CHAMPION, Registry, RegistryError
from flows.events import DRIFT_DETECTED, RESOURCE

REPORTS = Path("reports/drift")


@flow(name="monitor-drift", description="Recent predictions against the champion's on the test split.")
def monitor_drift() -> State[str]:
    """Write the drift report; emit DRIFT_DETECTED if a column has drifted."""
    try:
        params = load_params()
        registry = Registry(params.register_.name)
        champion = registry.find(CHAMPION)
        if champion is None:
            return Completed(message="no champion yet, nothing to compare")
        reference = registry.download(champion, REFERENCE)
        drift = check_drift(params.monitor, champion.version, reference, REPORTS)
        summary = (REPORTS / SUMMARY).read_text(encoding="utf-8")
    except (ParamsError, RegistryError, DriftError, OSError) as error:
        return Failed(message=str(error))
    get_run_logger().info("%s; report: %s", drift.reason, REPORTS)
    create_markdown_artifact(summary, "drift", drift.reason)
    if drift.drifted:
        emit_event(DRIFT_DETECTED, RESOURCE, payload={"columns": drift.drifted, "reason": drift.reason})
    return Completed(message=drift.reason)
