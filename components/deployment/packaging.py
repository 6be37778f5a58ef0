"""Package model versions: into BentoML's model store, and as Bentos that have passed a smoke test."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import bentoml
from bentoml.exceptions import NotFound

from components.deployment.model_store import store_bundle
from components.deployment.smoke_test import Expected, SmokeTestError, recorded_expectations, smoke_test
from components.recognizer.bundle import load_bundle
from components.registry.bundles import bundle_folder
from components.registry.model_versions import BENTO, ModelVersion, Registry

BENTOFILE = Path("bentofile.yaml")


class PackagingError(ValueError):
    """The Bento could not be built, or failed its smoke test and was deleted."""


def store_model(version: ModelVersion) -> bentoml.Tag:
    """Put the bundle of a version into BentoML's model store, unless it is there already."""
    bundle = load_bundle(bundle_folder(version.uri))
    lineage = {key: value for key, value in version.tags.items() if not key.startswith("mlflow.")}
    return store_bundle(version.name, f"v{version.version}", bundle, version.metrics, lineage)


def build_bento(version: ModelVersion, expected: Sequence[Expected] | None = None) -> bentoml.Tag:
    """Build a Bento with a version, serve it, and compare its answers with the expected ones.

    Without `expected`, predictions recorded by the stage `evaluate` are used if they are this bundle's.
    Raises PackagingError.
    """
    model = store_model(version)
    try:
        bento = bentoml.bentos.build_bentofile(
            str(BENTOFILE),
            build_ctx=".",
            labels={"model": str(model), "registry_version": version.version},
            args={"model": model.version},
        )
    except SystemExit as error:  # service.py refuses the environment's settings
        raise PackagingError(str(error)) from None
    if expected is None:
        bundle = load_bundle(Path(bentoml.models.get(model).path))
        expected = recorded_expectations(bundle.version, bundle.settings.raster)
    try:
        smoke_test(bento, expected)
    except SmokeTestError as error:
        bentoml.bentos.delete(bento.tag)
        raise PackagingError(f"{bento.tag}: {error}; the Bento was deleted") from None
    return bento.tag


def ensure_bento(registry: Registry, version: ModelVersion) -> str:
    """Return the tag of a version's Bento; build it if this machine's store lacks it.

    Raises PackagingError and RegistryError.
    """
    tag = version.tags.get(BENTO)
    with suppress(NotFound):
        if tag is not None:
            return str(bentoml.get(tag).tag)
    tag = str(build_bento(version))
    registry.tag(version.version, {BENTO: tag})
    return tag
