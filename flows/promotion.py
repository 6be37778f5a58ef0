"""Flow `promote`: judges a challenger against the champion; the alias `champion` moves last."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from prefect import flow, get_run_logger, pause_flow_run, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.input import RunInput
from prefect.states import Completed, Failed

from components.config import Params, ParamsError, load_params
from components.deployment.packaging import PackagingError, build_bento, publish_bento
from components.promotion.comparison import CandidateResult
from components.promotion.decisions import GATE, record_promotion, record_rejection, standing_rejection
from components.promotion.review import Review, review
from components.registry.model_versions import (
    CHALLENGER,
    CHAMPION,
    ModelVersion,
    Registry,
    RegistryError,
)
from flows import START_SERVER

ANONYMOUS = "a person without a name"
_DELAYS: list[float] = [2, 10, 30]  # seconds before retries of registry calls


class Approval(RunInput):
    """The form that a person fills in in Prefect's UI."""

    promote: bool = False
    by: str = ""


@dataclass(frozen=True)
class Outcome:
    """The outcome for a challenger."""

    version: str
    promoted: bool
    reason: str
    report: Path | None = None

    def __str__(self) -> str:
        return f"version {self.version} {'promoted' if self.promoted else 'not promoted'}: {self.reason}"


@flow(name="promote", description="Challenger against champion; build and test a Bento; move the alias.")
def promote(model: str | None = None, force: bool = False, ignore_champion: bool = False) -> State[Outcome]:
    """Judge a version (the challenger, or the one at URI `model`) and promote it if it passes the gate.

    A version that was rejected or rolled back before is judged again only with `force`. With
    `ignore_champion` it is judged as a first version is, for a champion that this code cannot load.
    """
    try:
        params = load_params()
        registry = Registry(params.register_.name)
        outcome = _promote(registry, params, model, force, ignore_champion)
    except (ParamsError, RegistryError, PackagingError, ValueError, OSError) as error:
        return Failed(message=f"champion unchanged: {error}")
    get_run_logger().info("%s", outcome)
    return Completed(message=str(outcome), data=outcome)


def _promote(
    registry: Registry, params: Params, model: str | None, force: bool, ignore_champion: bool
) -> Outcome:
    challenger = resolve(registry, model or f"models:/{registry.name}@{CHALLENGER}")
    champion = registry.find(CHAMPION)
    if champion is not None and champion.bundle == challenger.bundle:
        return Outcome(challenger.version, True, f"already champion, as version {champion.version}")
    if (rejection := standing_rejection(challenger)) and not force:
        return Outcome(challenger.version, False, f"{rejection}; --force judges it again")
    reviewed = compare(registry, params, challenger, None if ignore_champion else champion)
    reason = reviewed.verdict.reason
    if not reviewed.verdict.promoted:
        record_decision(registry, challenger, False, reason)
        return Outcome(challenger.version, False, reason, reviewed.report)
    bento = package(registry, challenger, reviewed.candidate, params.deployment.store)
    by = GATE
    if params.promotion.approval:
        answer = ask_for_approval(challenger, reason, params.promotion.approval_hours)
        by = answer.by.strip() or ANONYMOUS
        if not answer.promote:
            record_decision(registry, challenger, False, "not approved", by)
            return Outcome(challenger.version, False, "not approved", reviewed.report)
    move_alias(registry, challenger, champion)
    try:
        record_decision(registry, challenger, True, reason, by)
    except RegistryError as error:  # the alias has moved: the promotion stands
        get_run_logger().warning(
            "version %s is champion, but the decision was not recorded: %s", challenger.version, error
        )
    return Outcome(challenger.version, True, f"{reason}; Bento {bento}", reviewed.report)


@task(retries=len(_DELAYS), retry_delay_seconds=_DELAYS, cache_policy=NO_CACHE)
def resolve(registry: Registry, uri: str) -> ModelVersion:
    """Look up the version that a URI stands for."""
    return registry.resolve(uri)


@task(cache_policy=NO_CACHE)
def compare(
    registry: Registry, params: Params, challenger: ModelVersion, champion: ModelVersion | None
) -> Review:
    """Review the challenger; show the report as an artifact."""
    reviewed = review(registry, params, challenger, champion)
    create_markdown_artifact(reviewed.text, "promotion", f"Promotion report of version {challenger.version}")
    return reviewed


@task(cache_policy=NO_CACHE)
def package(
    registry: Registry, challenger: ModelVersion, candidate: CandidateResult, store: str | None
) -> str:
    """Build and test the Bento, push it to the store, and tag the version with it."""
    bento = str(build_bento(challenger, candidate.expected))
    publish_bento(registry, challenger, bento, store)
    return bento


def ask_for_approval(challenger: ModelVersion, reason: str, hours: float) -> Approval:
    """Wait for a person's answer in Prefect's UI; a timeout is a no. Raises ValueError without a server."""
    if not os.environ.get("PREFECT_API_URL"):
        raise ValueError(
            f"promotion.approval needs a Prefect server that people can reach: run `{START_SERVER}` and set "
            "PREFECT_API_URL to its address"
        )
    get_run_logger().warning("version %s awaits approval in Prefect's UI: %s", challenger.version, reason)
    try:
        form = Approval.with_initial_data(
            description=f"Version {challenger.version} passed the gate: {reason}."
        )
        answer = pause_flow_run(wait_for_input=form, timeout=int(3600 * hours), poll_interval=2)
    except TimeoutError:
        return Approval(by="nobody in time")
    return answer


@task(retries=len(_DELAYS), retry_delay_seconds=_DELAYS, cache_policy=NO_CACHE)
def move_alias(registry: Registry, challenger: ModelVersion, champion: ModelVersion | None) -> None:
    """Make the challenger champion."""
    registry.promote(challenger, champion)


@task(retries=len(_DELAYS), retry_delay_seconds=_DELAYS, cache_policy=NO_CACHE)
def record_decision(
    registry: Registry, challenger: ModelVersion, promoted: bool, reason: str, by: str = GATE
) -> None:
    """Tag the version with the decision, and with who made it."""
    (record_promotion if promoted else record_rejection)(registry, challenger, reason, by)
