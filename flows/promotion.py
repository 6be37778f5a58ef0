"""The flow `promotion`: a challenger against the champion, and the alias `champion` moved last of all."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, get_run_logger, pause_flow_run, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.input import RunInput
from prefect.states import Completed, Failed

from components.config import Params, ParamsError, load_params
from components.deployment.packaging import PackagingError, bento_of, build
from components.files import atomic_write
from components.promotion.comparison import Trial, try_out, write_reference
from components.promotion.gate import Verdict, judge
from components.promotion.report import html, markdown, numbers
from components.recognizer.bundle import BundleError, load_bundle
from components.registry.bundles import bundle_folder, dvc_hashes
from components.registry.model_versions import (
    BENTO,
    CHALLENGER,
    CHAMPION,
    GATE,
    PREVIOUS,
    ROLLED_BACK,
    Registered,
    Registry,
    RegistryError,
)

TEST = Path("data/shards/test")
REPORTS = Path("reports/promotion")
REFERENCE = "reference.parquet"  # what monitoring compares with

_DELAYS: list[float] = [2, 10, 30]  # seconds before what talks to the registry tries again


class Approval(RunInput):
    """What a person answers in Prefect's UI."""

    promote: bool = False
    by: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a challenger."""

    version: str
    promoted: bool
    reason: str
    report: Path | None = None

    def __str__(self) -> str:
        return f"version {self.version} {'is champion' if self.promoted else 'was refused'}: {self.reason}"


@flow(name="promotion", description="Challenger against champion; a Bento, tried; then the alias.")
def promotion(model: str | None = None, again: bool = False, afresh: bool = False) -> State[Outcome]:
    """Judges a version (the challenger, or the one that `model` addresses) and makes it champion, or not.

    One that was judged before, or rolled back, is judged once more only if `again`. With `afresh` it is
    judged as a first one is, whatever the champion reads: where this code can't read the champion.
    """
    logger = get_run_logger()
    try:
        params = load_params()
        registry = Registry(params.register_.name)
        outcome = _promote(registry, params, model, again, afresh)
    except (ParamsError, RegistryError, PackagingError, ValueError, OSError) as error:
        return Failed(message=f"the champion stays: {error}")
    logger.info("%s", outcome)
    return Completed(message=str(outcome), data=outcome)


def _promote(registry: Registry, params: Params, model: str | None, again: bool, afresh: bool) -> Outcome:
    challenger = found(registry, model or f"models:/{registry.name}@{CHALLENGER}")
    champion = registry.find(CHAMPION)
    if champion is not None and champion.bundle == challenger.bundle:
        return Outcome(challenger.version, True, f"it is champion already, as version {champion.version}")
    if (said := before(challenger)) and not again:
        return Outcome(challenger.version, False, said)
    verdict, trial, report = compare(registry, params, challenger, None if afresh else champion)
    if not verdict.promoted:
        close(registry, challenger, f"refused: {verdict.reason}")
        return Outcome(challenger.version, False, verdict.reason, report)
    bento = package(registry, challenger, params.evaluate.beam, trial)
    if params.promotion.approval and not approved(challenger, verdict, params.promotion.approval_hours):
        close(registry, challenger, "refused: nobody approved of it")
        return Outcome(challenger.version, False, "nobody approved of it", report)
    crown(registry, challenger, champion)
    try:
        close(registry, challenger, f"promoted: {verdict.reason}")
    except RegistryError as error:  # it is champion all the same
        get_run_logger().warning(
            "version %s is champion, but not noted as such: %s", challenger.version, error
        )
    return Outcome(challenger.version, True, f"{verdict.reason}; Bento {bento}", report)


def before(challenger: Registered) -> str | None:
    """What was said of a challenger before, if that holds."""
    if when := challenger.tags.get(ROLLED_BACK):
        return f"it was rolled back ({when})"
    if (said := challenger.tags.get(GATE, "")).startswith("refused"):
        return f"it was judged before and {said}"
    return None


@task(retries=len(_DELAYS), retry_delay_seconds=_DELAYS, cache_policy=NO_CACHE)
def found(registry: Registry, address: str) -> Registered:
    """Asks the registry."""
    return registry.resolve(address)


@task(cache_policy=NO_CACHE)
def compare(
    registry: Registry, params: Params, challenger: Registered, champion: Registered | None
) -> tuple[Verdict, Trial, Path]:
    """Reads the test split with both, judges, and writes the report: a file, an artifact here and there."""
    bundles = {f"version {challenger.version}": bundle_folder(challenger.address)}
    if champion is not None:
        bundles[f"version {champion.version}"] = _readable(champion)
    trial, *others = try_out(bundles, TEST, params.evaluate.beam)
    verdict = judge(trial, others[0] if others else None, params.promotion, params.seed)
    remarks = () if champion is None else tuple(_remarks(champion))
    text = markdown(verdict, trial, others[0] if others else None, datetime.now(UTC), remarks)
    report = REPORTS / f"version-{challenger.version}.md"
    for path, content in ((report, text), (report.with_suffix(".html"), html(text))):
        with atomic_write(path) as beside:
            beside.write_text(content, encoding="utf-8")
    write_reference(trial, report.parent / REFERENCE)
    registry.keep(challenger, [report, report.with_suffix(".html"), report.parent / REFERENCE])
    registry.tag(challenger.version, {"gate_numbers": numbers(verdict, trial)})
    create_markdown_artifact(text, "promotion", f"Version {challenger.version} at the gate")
    return verdict, trial, report


@task(cache_policy=NO_CACHE)
def package(registry: Registry, challenger: Registered, beam: int, trial: Trial) -> str:
    """Builds the Bento, serves it, compares its answers, and notes its tag with the version."""
    bento = str(build(challenger, beam, trial.expected))
    registry.tag(challenger.version, {BENTO: bento})
    return bento


def approved(challenger: Registered, verdict: Verdict, hours: float) -> bool:
    """Waits until a person has answered in Prefect's UI. Raises ValueError where there is none to ask in."""
    if not os.environ.get("PREFECT_API_URL"):
        raise ValueError(
            "promotion.approval needs a Prefect server that people can reach: start `prefect server start` "
            "and set PREFECT_API_URL"
        )
    get_run_logger().warning(
        "version %s waits for approval in Prefect's UI: %s", challenger.version, verdict.reason
    )
    try:
        asked = Approval.with_initial_data(
            description=f"Version {challenger.version} passed the gate: {verdict.reason}."
        )
        answer = pause_flow_run(wait_for_input=asked, timeout=int(3600 * hours), poll_interval=2)
    except TimeoutError:
        return False
    return bool(answer.promote)


@task(retries=len(_DELAYS), retry_delay_seconds=_DELAYS, cache_policy=NO_CACHE)
def crown(registry: Registry, challenger: Registered, champion: Registered | None) -> None:
    """Moves the aliases."""
    registry.crown(challenger, champion)


@task(retries=len(_DELAYS), retry_delay_seconds=_DELAYS, cache_policy=NO_CACHE)
def close(registry: Registry, challenger: Registered, said: str) -> None:
    """Notes with the version what was decided."""
    registry.tag(challenger.version, {GATE: said[:1000]})


@dataclass(frozen=True)
class RolledBack:
    """Which version is champion again, and which was put down."""

    champion: str
    former: str
    bento: str


def rollback() -> RolledBack:
    """Makes the previous champion champion again, with a Bento that works.

    What was champion becomes `previous`, so that another call puts that back; it is not promoted by itself.
    Raises RegistryError and PackagingError.
    """
    params = load_params()
    registry = Registry(params.register_.name)
    champion, previous = registry.find(CHAMPION), registry.find(PREVIOUS)
    if champion is None or previous is None or previous.version == champion.version:
        raise RegistryError(f"{registry.name} has no version called {PREVIOUS} to go back to")
    bento = bento_of(registry, previous, params.evaluate.beam)
    registry.tag(champion.version, {ROLLED_BACK: datetime.now(UTC).isoformat(timespec="seconds")})
    registry.crown(previous, champion)
    return RolledBack(previous.version, champion.version, bento)


def _readable(champion: Registered) -> Path:
    """The champion's bundle. Raises BundleError where this code can't read it, saying what to do."""
    folder = bundle_folder(champion.address)
    try:
        load_bundle(folder)
    except BundleError as error:
        raise BundleError(
            f"version {champion.version}, the champion, can't be compared: {error}. `python -m flows promote "
            "--afresh` judges the challenger as a first one"
        ) from None
    return folder


def _remarks(champion: Registered) -> list[str]:
    """What to know of a champion that is compared."""
    now, then = dvc_hashes().get("data/shards"), champion.tags.get("dvc.data/shards")
    if now == then or then is None:
        return []
    return [
        f"Version {champion.version} was trained beside other data than that of this test split; if formulas "
        "or inks of it were in its training, it is flattered here."
    ]
