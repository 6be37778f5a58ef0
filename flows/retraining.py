"""The flow `retraining`: what users corrected is collected, the pipeline run, and the challenger judged.

Never two at once: whoever starts it, by whatever way, the second one in a working folder ends at once.
"""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout
from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from components.config import Params, ParamsError, load_params
from components.data.feedback_import import collect
from components.registry.model_versions import (
    CHALLENGER,
    CHAMPION,
    GATE,
    ROLLED_BACK,
    Registry,
    RegistryError,
)
from flows.pipeline import PipelineRun, pipeline
from flows.promotion import promotion

LOCK = Path(".dvc/tmp/retraining.lock")  # the system frees it when its holder dies, however it dies


@flow(name="retraining", description="New ink and corrections, the pipeline, then the gate.")
def retraining(reason: str = "asked for") -> State[str]:
    """Trains anew where something has changed, and lets the gate decide. Says so where nothing has."""
    get_run_logger().info("retraining: %s", reason)
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(LOCK, timeout=0):
            return _retrain(load_params())
    except Timeout:
        return Completed(name="Skipped", message="another retraining is under way: this one did nothing")
    except (ParamsError, RegistryError, OSError) as error:
        return Failed(message=str(error))


def _retrain(params: Params) -> State[str]:
    logger = get_run_logger()
    if params.data.corrections is not None:
        logger.info("corrections: %s", collect(params.retraining.feedback, params.data.corrections))
    trained = pipeline(return_state=True)
    if not trained.is_completed():
        return Failed(message=f"the champion stays: {trained.message}")
    ran: PipelineRun = trained.result()  # type: ignore[assignment]  # Prefect types the state, not what it holds
    if not ran.ran and (decided := _decided(params.register_.name)):
        return Completed(message=f"nothing changed: {decided}")
    judged = promotion(return_state=True)
    done = f"{trained.message}; {judged.message}"
    return Completed(message=done) if judged.is_completed() else Failed(message=done)


def _decided(name: str) -> str | None:
    """What became of the challenger, if the gate has seen it."""
    registry = Registry(name)
    challenger, champion = registry.find(CHALLENGER), registry.find(CHAMPION)
    if challenger is None:
        return None
    if champion is not None and champion.bundle == challenger.bundle:
        return f"version {champion.version} is champion"
    if when := challenger.tags.get(ROLLED_BACK):
        return f"version {challenger.version} was rolled back ({when})"
    said = challenger.tags.get(GATE)
    return f"version {challenger.version} was {said}" if said else None
