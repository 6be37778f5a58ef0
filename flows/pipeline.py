"""Flow `pipeline`: the stages of dvc.yaml as Prefect tasks, one after another, and their artifacts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from components.config import ParamsError, PipelineParams, load_params
from components.evaluation.report.tables import error_table, metric_rows
from components.orchestration.dvc_runner import LOCK, PipelineRun, StageError, StageRun, plan, run_stage
from components.orchestration.results import ResultsError, commit_lock, push_outputs
from components.registry.links import version_link
from components.registry.model_versions import Registry, RegistryError

REGISTER = "register"  # the one stage whose result is not in this folder
REPORTS, TEST = Path("reports"), Path("data/shards/test")

_MISTAKES = 12


@flow(name="pipeline", description="The stages of dvc.yaml: from InkML to a registered challenger.")
def run_pipeline() -> State[PipelineRun]:
    """Run the stages that have changed and those that depend on them, up to the first failure."""
    try:
        params, planned = load_params(), plan()
    except (ParamsError, StageError) as error:
        return Failed(message=str(error))
    limits, runs = params.pipeline, list[StageRun]()
    for stage in planned.order:
        due = planned.is_due(stage, PipelineRun(tuple(runs)).changed)
        if not due and stage == REGISTER:
            due = not is_registered(params.register_.name)
        if not due:
            # `dvc repro` would take a second to find that out again.
            runs.append(StageRun(stage, "cached", 0.0))
            continue
        # DVC would restore the outputs of an earlier run, and the registry's alias would be another's.
        state = stage_task(stage, limits)(
            stage, limits.limit(stage), force=stage == REGISTER, return_state=True
        )
        if not state.is_completed():
            publish_stages(runs, failed=stage)
            return Failed(message=state.message)
        runs.append(state.result())
    done = PipelineRun(tuple(runs))
    publish_stages(runs)
    if done.changed:
        publish_results()
    try:
        keep(params.pipeline, str(done))
    except ResultsError as error:
        return Failed(message=f"{done}; {error}")
    get_run_logger().info("%s", done)
    return Completed(message=str(done), data=done)


@task(cache_policy=NO_CACHE)  # caching is DVC's
def run(stage: str, limit: float, force: bool = False) -> State[StageRun]:
    """Run one stage; its output goes to the task's log as it comes."""
    logger = get_run_logger()
    try:
        done = run_stage(stage, logger.info, limit, force)
    except StageError as error:
        return Failed(message=str(error))  # returned, not raised: Prefect would log its own stack trace
    return Completed(message=f"{done.outcome}, {done.seconds:.1f} s", data=done)


def keep(params: PipelineParams, summary: str) -> None:
    """Push outputs and record dvc.lock, as params.yaml says. Raises ResultsError.

    Also where all was cached: an earlier run may have failed to.
    """
    if params.push:
        retries = params.retries.get("push", 0)
        push.with_options(retries=retries, retry_delay_seconds=params.retry_delay)()
    if params.record == "artifact":
        lock = LOCK.read_text(encoding="utf-8")
        create_markdown_artifact(f"```yaml\n{lock}```\n", "dvc-lock", "dvc.lock after this run")
    elif params.record != "none":
        commit_lock(f"Record the pipeline's results\n\n{summary}", push=params.record == "push")


@task(cache_policy=NO_CACHE)
def push() -> None:
    """Push the outputs to the DVC remote."""
    push_outputs()


def is_registered(name: str) -> bool:
    """Return whether the registry has the bundle of this folder, which DVC can't see: it may be a new one."""
    try:
        return Registry(name).has_bundle(_read("registered.json")["bundle"])
    except RegistryError as error:
        get_run_logger().warning("can't tell whether the bundle is registered: %s", error)
        return True


def stage_task(stage: str, params: PipelineParams) -> Any:
    """Return the task of a stage, named after it, with the retries of params.yaml and doubling delays."""
    retries = params.retries.get(stage, 0)
    delays = [params.retry_delay * 2**attempt for attempt in range(retries)]
    return run.with_options(name=stage, task_run_name=stage, retries=retries, retry_delay_seconds=delays or 0)


def publish_stages(runs: Sequence[StageRun], failed: str | None = None) -> None:
    """Create an artifact with outcome and duration of each stage."""
    rows: list[dict[str, Any]] = [
        {"stage": run.stage, "outcome": run.outcome, "seconds": round(run.seconds, 1)} for run in runs
    ]
    if failed is not None:
        rows.append({"stage": failed, "outcome": "failed", "seconds": None})
    create_table_artifact(rows, "stages", "Outcome and duration of the stages")


def publish_results() -> None:
    """Create artifacts with the metrics, the registered version, and the worst mistakes."""
    metrics, registered = _read("metrics.json"), _read("registered.json")
    create_table_artifact(metric_rows(metrics), "metrics", f"Test split, {metrics.get('n')} inks")
    create_markdown_artifact(version_link(registered), "mlflow", "Registered version")
    mistakes = error_table(REPORTS / "predictions.parquet", TEST, _MISTAKES)
    create_markdown_artifact(mistakes, "worst-mistakes", "Wrong predictions, the most confident first")


def _read(report: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((REPORTS / report).read_text(encoding="utf-8"))
    return content
