"""Flow `retrain`: imports corrections, runs the pipeline, judges the challenger.

Only one runs at a time in a working folder, however it is started; a second one ends at once.
"""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout
from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from components.config import Params, ParamsError, load_params
from components.data.feedback_import import collect
from components.orchestration.dvc_runner import PipelineRun
from components.promotion.decisions import challenger_decision
from components.registry.model_versions import Registry, RegistryError
from flows.pipeline import run_pipeline
from flows.promotion import promote

LOCK = Path(".dvc/tmp/retraining.lock")  # released by the system when its holder dies
SKIPPED = "Skipped"  # name of the state of a run that found another one


@flow(name="retrain", description="Imports corrections, runs the pipeline, then the gate.")
def retrain(reason: str = "manual") -> State[str]:
    """Retrain if data or parameters have changed, and let the gate decide on the result."""
    get_run_logger().info("reason: %s", reason)
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(LOCK, timeout=0):
            return _retrain(load_params())
    except Timeout:
        return Completed(name=SKIPPED, message="skipped: another retraining is running in this folder")
    except (ParamsError, RegistryError, OSError) as error:
        return Failed(message=str(error))


def _retrain(params: Params) -> State[str]:
    if params.data.corrections is not None:
        imported = collect(params.retraining.feedback, params.data.corrections)
        get_run_logger().info("corrections: %s", imported)
    trained = run_pipeline(return_state=True)
    if not trained.is_completed():
        return Failed(message=f"champion unchanged: {trained.message}")
    run: PipelineRun = trained.result()  # type: ignore[assignment]  # Prefect types the state alone
    if not run.changed and (decision := challenger_decision(Registry(params.register_.name))):
        return Completed(message=f"nothing to do: {decision}")
    judged = promote(return_state=True)
    message = f"{trained.message}; {judged.message}"
    return Completed(message=message) if judged.is_completed() else Failed(message=message)
