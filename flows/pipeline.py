"""The flow `pipeline`: the stages of dvc.yaml as Prefect tasks, one after another, and what they show."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pyarrow.parquet as pq
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from components.config import ParamsError, PipelineParams, load_params
from components.data.datasets import LabelledShards
from components.evaluation.metrics import Answer
from components.evaluation.report.error_gallery import worst
from components.latex.tokenizer import tokenize
from components.orchestration.dvc_runner import Plan, StageError, StageRun, plan, run_stage

REPORTS, TEST = Path("reports"), Path("data/shards/test")

_SHOWN = 12  # mistakes
_RATES = ("exprate", "exprate_low", "exprate_high", "exprate_le1", "exprate_le2", "cer", "ece")


@dataclass(frozen=True)
class PipelineRun:
    """What became of each stage, in the order they came."""

    stages: tuple[StageRun, ...]

    @property
    def ran(self) -> tuple[str, ...]:
        return tuple(run.stage for run in self.stages if run.outcome == "ran")

    def __str__(self) -> str:
        if not self.ran:
            return "nothing changed: no stage had to run"
        seconds = sum(run.seconds for run in self.stages)
        return (
            f"{', '.join(self.ran)} ran, {len(self.stages) - len(self.ran)} were cached, in {seconds:.0f} s"
        )


@flow(name="pipeline", description="The stages of dvc.yaml: from InkML to a registered challenger.")
def pipeline() -> State[PipelineRun]:
    """Runs what has changed and what follows from it. Fails with the failed stage's own last lines."""
    logger = get_run_logger()
    try:
        params, planned = load_params().pipeline, plan()
    except (ParamsError, StageError) as error:
        return Failed(message=str(error))
    runs: list[StageRun] = []
    for name in planned.order:
        if not to_run(name, planned, runs):
            # DVC would take a second to find that out once more.
            runs.append(StageRun(name, "cached", 0.0))
            continue
        state = stage_task(name, params)(name, params.limit(name), return_state=True)
        if not state.is_completed():
            show_stages(runs, failed=name)
            return Failed(message=state.message)
        runs.append(state.result())
    done = PipelineRun(tuple(runs))
    show_stages(runs)
    if done.ran:
        show_results()
    logger.info("%s", done)
    return Completed(message=str(done), data=done)


def to_run(stage: str, planned: Plan, runs: Sequence[StageRun]) -> bool:
    """Whether a stage has changed, or needs one that has run by now."""
    ran = {run.stage for run in runs if run.outcome == "ran"}
    return stage in planned.changed or bool(planned.needs[stage] & ran)


@task(cache_policy=NO_CACHE)  # DVC knows what has changed
def run(stage: str, limit: float) -> State[StageRun]:
    """Runs one stage; its lines are the task's log, live."""
    logger = get_run_logger()
    try:
        done = run_stage(stage, logger.info, limit)
    except StageError as error:
        return Failed(message=str(error))  # returned: raised, it would come with Prefect's own stack
    return Completed(message=f"{done.outcome}, {done.seconds:.1f} s", data=done)


def stage_task(stage: str, params: PipelineParams) -> Any:
    """The task of a stage, named after it. What crosses a network is tried again, later and later."""
    retries = params.retries.get(stage, 0)
    delays = [params.retry_delay * 2**attempt for attempt in range(retries)]
    return run.with_options(name=stage, task_run_name=stage, retries=retries, retry_delay_seconds=delays or 0)


def show_stages(runs: Sequence[StageRun], failed: str | None = None) -> None:
    """An artifact: how long each stage took, and whether it ran."""
    rows: list[dict[str, Any]] = [
        {"stage": run.stage, "outcome": run.outcome, "seconds": round(run.seconds, 1)} for run in runs
    ]
    if failed is not None:
        rows.append({"stage": failed, "outcome": "failed", "seconds": None})
    create_table_artifact(rows, "stages", "What became of the stages, and how long they took")


def show_results() -> None:
    """Artifacts: the metrics, the MLflow run, and pictures of the worst mistakes."""
    metrics = _read("metrics.json")
    create_table_artifact(metric_rows(metrics), "metrics", f"On {metrics.get('n')} inks of the test split")
    create_markdown_artifact(mlflow_note(_read("registered.json")), "mlflow", "The registered version")
    create_markdown_artifact(mistakes_page(), "worst-mistakes", "What was read wrong, the surest first")


def metric_rows(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """The headline figures, as percentages where they are rates."""
    return [
        {"metric": name, "value": f"{metrics[name]:.2%}"} for name in _RATES if metrics.get(name) is not None
    ]


def mlflow_note(registered: Mapping[str, Any]) -> str:
    """Where the registered version is to be seen."""
    address, version, run_id = registered["model"], registered["version"], registered["run"]
    registry: str = registered["registry"]
    if registry.startswith("http"):
        name = address.removeprefix("models:/").partition("@")[0]
        link = f"[version {version}]({registry.rstrip('/')}/#/models/{name}/versions/{version})"
        return f"`{address}` is {link} (run `{run_id}`)"
    return (
        f"`{address}` is version {version} (run `{run_id}`). To look at it: "
        f"`mlflow ui --backend-store-uri {registry}`"
    )


def mistakes_page() -> str:
    """Markdown with the pictures of the worst mistakes in it."""
    rows = pq.read_table(REPORTS / "predictions.parquet").to_pylist()
    answers = [
        Answer(row["id"], tokenize(row["label"]), tokenize(row["prediction"]), row["confidence"])
        for row in rows
    ]
    mistakes = worst(answers, _SHOWN)
    if not mistakes.ids:
        return "No mistake: every formula of the test split was read rightly."
    pictures = LabelledShards(TEST).pictures(mistakes.ids)
    parts = ["| picture | label | read | confidence |", "|---|---|---|---|"]
    for answer in (*mistakes.sure, *mistakes.far):
        png = b64encode(cv2.imencode(".png", pictures[answer.id])[1].tobytes()).decode()
        label, read = (
            f"`{' '.join(tokens).replace('|', chr(92) + '|')}`" for tokens in (answer.label, answer.read)
        )
        parts.append(
            f"| ![{answer.id}](data:image/png;base64,{png}) | {label} | {read} | {answer.confidence:.0%} |"
        )
    return "\n".join(parts)


def _read(report: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((REPORTS / report).read_text(encoding="utf-8"))
    return content
