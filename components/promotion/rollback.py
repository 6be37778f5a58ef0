"""Rollback: the previous champion becomes champion again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from components.deployment.packaging import ensure_bento
from components.registry.model_versions import CHAMPION, PREVIOUS, ROLLED_BACK, Registry, RegistryError


@dataclass(frozen=True)
class Rollback:
    """The versions that changed places."""

    champion: str
    replaced: str
    bento: str


def rollback(registry: Registry, store: str | None) -> Rollback:
    """Make the previous champion champion again, with a working Bento.

    The replaced champion becomes `previous`: a second rollback restores it. It is not promoted again unless
    forced. `store` is where Bentos of other machines are. Raises RegistryError, PackagingError and
    BentoStoreError.
    """
    champion, previous = registry.find(CHAMPION), registry.find(PREVIOUS)
    if champion is None or previous is None or previous.version == champion.version:
        raise RegistryError(f"{registry.name} has no version with the alias {PREVIOUS} to roll back to")
    bento = ensure_bento(registry, previous, store)
    registry.tag(champion.version, {ROLLED_BACK: datetime.now(UTC).isoformat(timespec="seconds")})
    registry.promote(previous, champion)
    return Rollback(previous.version, champion.version, bento)
