"""The flow `monitoring`: what the service read lately beside what the champion was tested on."""

from __future__ import annotations

from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed, Failed

from components.config import ParamsError, load_params
from components.monitoring.drift import SUMMARY, DriftError, check_drift
from components.registry.model_versions import CHAMPION, Registry, RegistryError
from flows.data_watch import DRIFT, RESOURCE
from flows.promotion import REFERENCE

REPORTS = Path("reports/drift")


@flow(name="monitoring", description="The service's last hours beside the champion's test split.")
def monitoring() -> State[str]:
    """Writes the report on drift; past the thresholds, an event that retraining is triggered by."""
    logger = get_run_logger()
    try:
        params = load_params()
        champion = (registry := Registry(params.register_.name)).find(CHAMPION)
        if champion is None:
            return Completed(message="there is no champion yet whose readings could be compared")
        reference = registry.fetch(champion, REFERENCE)
        drift = check_drift(params.monitor, champion.version, reference, REPORTS)
    except (ParamsError, RegistryError, DriftError, OSError) as error:
        return Failed(message=str(error))
    logger.info("%s Report: %s", drift.reason, REPORTS)
    if (summary := REPORTS / SUMMARY).exists():
        create_markdown_artifact(summary.read_text(encoding="utf-8"), "drift", drift.reason)
    if drift.drifted:
        emit_event(DRIFT, RESOURCE, payload={"reason": drift.reason})
    return Completed(message=drift.reason)
