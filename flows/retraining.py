"""Flow `retrain`: imports corrections, runs the pipeline, judges the challenger.

Only one runs at a time, in a working folder and on all machines of a Prefect server, however it is started;
a second one does nothing.
"""

from __future__ import annotations

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from components.config import Params, ParamsError, load_params
from components.data.feedback_import import collect
from components.orchestration.dvc_runner import PipelineRun
from components.promotion.decisions import challenger_decision
from components.registry.model_versions import Registry, RegistryError
from flows.locks import BusyError, folder_lock, server_lock
from flows.pipeline import run_pipeline
from flows.promotion import promote

SKIPPED = "Skipped"  # name of the state of a run that found another one


@flow(name="retrain", description="Imports corrections, runs the pipeline, then the gate.")
def retrain(reason: str = "manual") -> State[str]:
    """Retrain if data or parameters have changed, and let the gate decide on the result."""
    get_run_logger().info("reason: %s", reason)
    try:
        with folder_lock(), server_lock():
            return _retrain(load_params())
    except BusyError as error:
        return Completed(name=SKIPPED, message=f"skipped: {error}")
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
