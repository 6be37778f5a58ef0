"""Decisions recorded with model versions: promoted, rejected, rolled back."""

from __future__ import annotations

from components.registry.model_versions import (
    CHALLENGER,
    CHAMPION,
    DECIDED_BY,
    DECISION,
    ROLLED_BACK,
    ModelVersion,
    Registry,
)

GATE = "gate"  # who decides where no person is asked
_MAX_TAG = 1000  # characters: MLflow limits the length of a tag
_REJECTED = "rejected"


def record_promotion(registry: Registry, version: ModelVersion, reason: str, by: str = GATE) -> None:
    """Tag a version as promoted, and with who decided. Raises RegistryError."""
    registry.tag(version.version, {DECISION: f"promoted: {reason}"[:_MAX_TAG], DECIDED_BY: by[:_MAX_TAG]})


def record_rejection(registry: Registry, version: ModelVersion, reason: str, by: str = GATE) -> None:
    """Tag a version as rejected, and with who decided. Raises RegistryError."""
    registry.tag(version.version, {DECISION: f"{_REJECTED}: {reason}"[:_MAX_TAG], DECIDED_BY: by[:_MAX_TAG]})


def standing_rejection(version: ModelVersion) -> str | None:
    """Return why a version is not evaluated again unless forced: rolled back, or rejected before."""
    if when := version.tags.get(ROLLED_BACK):
        return f"rolled back on {when}"
    decision = version.tags.get(DECISION, "")
    return decision if decision.startswith(_REJECTED) else None


def challenger_decision(registry: Registry) -> str | None:
    """Return what was decided on the current challenger, None if it has not been evaluated.

    Raises RegistryError.
    """
    challenger, champion = registry.find(CHALLENGER), registry.find(CHAMPION)
    if challenger is None:
        return None
    if champion is not None and champion.bundle == challenger.bundle:
        return f"version {champion.version} is champion"
    decision = standing_rejection(challenger) or challenger.tags.get(DECISION)
    return f"version {challenger.version} was {decision}" if decision else None
