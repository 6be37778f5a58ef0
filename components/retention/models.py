"""Bentos and model versions: the newest stay, and those of champion, predecessor and challenger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import bentoml

from components.deployment.bento_store import BentoStore
from components.deployment.packaging import local_bentos
from components.registry.model_versions import (
    BENTO,
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    ModelVersion,
    Registry,
)
from components.retention.removal import Removal

BENTOS, VERSIONS = "retention.bentos", "retention.versions"


def protected_versions(registry: Registry) -> list[ModelVersion]:
    """The versions that stay whatever the settings say. Raises RegistryError."""
    found = [registry.find(alias) for alias in (CHAMPION, PREVIOUS, CHALLENGER)]
    return [version for version in found if version is not None]


def old_versions(registry: Registry, keep: int, protected: Sequence[ModelVersion]) -> Iterator[Removal]:
    """Yield the versions beyond the newest `keep`; 0: none. Raises RegistryError."""
    numbers = {version.version for version in protected}
    others = [version for version in registry.versions() if version.version not in numbers]
    for version in others[keep:] if keep else ():
        yield Removal(VERSIONS, version.uri, None, partial(registry.delete, version))


def old_bentos(
    name: str, keep: int, protected: Sequence[ModelVersion], store: str | None
) -> Iterator[Removal]:
    """Yield Bentos beyond the newest `keep`, here and in the store, and models that only these have; 0: none.

    Raises BentoStoreError.
    """
    if not keep:
        return
    tags = {version.tags.get(BENTO) for version in protected}
    bentos = local_bentos(name)
    others = [bento for bento in bentos if str(bento.tag) not in tags]
    for bento in others[keep:]:
        yield Removal(
            BENTOS,
            f"Bento {bento.tag}",
            _size(Path(bento.path)),
            partial(bentoml.bentos.delete, bento.tag),
        )
    yield from _unused_models(name, [b for b in bentos if b not in others[keep:]], others[keep:], protected)
    if store is None:
        return
    shared = BentoStore(store)
    stored = [bento for bento in shared.bentos(name) if bento.tag not in tags]
    for old in stored[keep:]:
        yield Removal(BENTOS, f"{shared.address}: Bento {old.tag}", old.size, partial(shared.remove, old.tag))


def _unused_models(
    name: str,
    kept: Sequence[bentoml.Bento],
    removed: Sequence[bentoml.Bento],
    protected: Sequence[ModelVersion],
) -> Iterator[Removal]:
    """Yield the stored models of removed Bentos that no kept Bento and no protected version has."""
    used = {str(model.tag) for bento in kept for model in bento.info.all_models}
    used |= {f"{name}:v{version.version}-{version.bundle}" for version in protected}
    there = {str(model.tag): model for model in bentoml.models.list()}
    gone = {str(model.tag) for bento in removed for model in bento.info.all_models}
    for tag in sorted((gone - used) & there.keys()):
        yield Removal(
            BENTOS,
            f"stored model {tag}",
            _size(Path(there[tag].path)),
            partial(bentoml.models.delete, tag),
        )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
