"""Review of a challenger: evaluate it against the champion, apply the gate, write and keep the report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.config import Params
from components.evaluation.report.markdown_page import markdown_page
from components.files import write_text
from components.monitoring.reference import REFERENCE, write_reference
from components.promotion.comparison import CandidateResult, evaluate_candidates
from components.promotion.gate import Verdict, judge
from components.promotion.report import gate_metrics, markdown
from components.recognizer.bundle import BundleError, load_bundle
from components.registry.bundles import bundle_folder, dvc_hashes
from components.registry.model_versions import ModelVersion, Registry

TEST = Path("data/shards/test")
REPORTS = Path("reports/promotion")

_SHARDS = "data/shards"


@dataclass(frozen=True, eq=False)
class Review:
    """The gate's verdict on a challenger, and its report."""

    verdict: Verdict
    candidate: CandidateResult
    report: Path
    text: str  # of the report, Markdown


def review(
    registry: Registry, params: Params, challenger: ModelVersion, champion: ModelVersion | None
) -> Review:
    """Evaluate both versions on the test split and judge the challenger.

    The report, and the reference distribution for drift monitoring, are written to REPORTS and attached to
    the challenger in the registry. Raises BundleError, RegistryError and OSError.
    """
    bundles = {f"version {challenger.version}": bundle_folder(challenger.uri)}
    if champion is not None:
        bundles[f"version {champion.version}"] = champion_bundle(champion)
    candidate, *others = evaluate_candidates(bundles, TEST, params.raster.settings)
    incumbent = others[0] if others else None
    verdict = judge(candidate, incumbent, params.promotion, params.seed)
    remarks = () if champion is None else tuple(_remarks(champion))
    text = markdown(verdict, candidate, incumbent, datetime.now(UTC), remarks)
    report = REPORTS / f"version-{challenger.version}.md"
    page, reference = report.with_suffix(".html"), REPORTS / REFERENCE
    write_text(text, report)
    write_text(markdown_page(text), page)
    write_reference(candidate.observations, candidate.kinds, reference)
    registry.attach(challenger, [report, page, reference])
    registry.tag(challenger.version, {"gate_metrics": gate_metrics(verdict, candidate)})
    return Review(verdict, candidate, report, text)


def champion_bundle(champion: ModelVersion) -> Path:
    """Download the champion's bundle. Raises BundleError if this code cannot load it, with the way out."""
    folder = bundle_folder(champion.uri)
    try:
        load_bundle(folder)
    except BundleError as error:
        raise BundleError(
            f"champion (version {champion.version}) cannot be evaluated: {error}. `python -m flows promote "
            "--ignore-champion` judges the challenger as a first version"
        ) from None
    return folder


def _remarks(champion: ModelVersion) -> list[str]:
    """Return caveats of the comparison."""
    now, then = dvc_hashes().get(_SHARDS), champion.tags.get(f"dvc.{_SHARDS}")
    if now == then or then is None:
        return []
    return [
        f"Version {champion.version} was trained on another data set. If inks or formulas of this test split "
        "were in its training split, its figures are too high."
    ]
