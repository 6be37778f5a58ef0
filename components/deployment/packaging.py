"""Package model versions: into BentoML's model store, and as Bentos that have passed a smoke test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import bentoml
from bentoml._internal import configuration
from bentoml.exceptions import NotFound

from components.deployment.bento_store import BentoStore
from components.deployment.model_store import store_bundle
from components.deployment.smoke_test import Expected, SmokeTestError, recorded_expectations, smoke_test
from components.recognizer.bundle import load_bundle
from components.registry.bundles import bundle_folder
from components.registry.model_versions import BENTO, DIGEST, ModelVersion, Registry

BENTOFILE = Path("bentofile.yaml")

_ALGORITHM = "sha256:"


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
        with _without_uv():
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


@contextmanager
def _without_uv() -> Iterator[None]:
    """Keep BentoML from installing uv, any version of it, into the locked environment.

    It does so before each build, and then has no use for it: requirements are locked already.
    """
    command = configuration.get_uv_command
    configuration.get_uv_command = lambda: ["uv"]  # type: ignore[assignment]
    try:
        yield
    finally:
        configuration.get_uv_command = command


def publish_bento(registry: Registry, version: ModelVersion, bento: str, store: str | None) -> None:
    """Push a Bento to the store, if there is one, and tag its version with it and with its digest.

    Raises BentoStoreError and RegistryError.
    """
    digest = {DIGEST: f"{_ALGORITHM}{BentoStore(store).push(bento)}"} if store else {}
    registry.tag(version.version, {BENTO: bento, **digest})


def ensure_bento(registry: Registry, version: ModelVersion, store: str | None) -> str:
    """Return the tag of a version's Bento on this machine; pull it, or build it if there is none to be had.

    A Bento that another machine has built and not pushed stays the version's: this machine builds one of its
    own, once. Raises PackagingError, BentoStoreError (also where the store's Bento is not the one that was
    tested) and RegistryError.
    """
    tag, digest = version.tags.get(BENTO), version.tags.get(DIGEST, "").removeprefix(_ALGORITHM)
    if tag is not None:
        with suppress(NotFound):
            return str(bentoml.get(tag).tag)
        if store and digest and BentoStore(store).has(tag):
            return BentoStore(store).pull(tag, digest)
    if (built := _built_here(version)) is None:
        built = str(build_bento(version))
    if store or tag is None:
        publish_bento(registry, version, built, store)
    return built


def local_bentos(name: str) -> list[bentoml.Bento]:
    """Return the Bentos of one name on this machine, the newest first."""
    found = [bento for bento in bentoml.bentos.list() if bento.tag.name == name]
    return sorted(found, key=lambda bento: bento.creation_time, reverse=True)


def _built_here(version: ModelVersion) -> str | None:
    """Return the newest Bento on this machine with a version's model."""
    model = f"v{version.version}-{version.bundle}"
    found = [
        bento
        for bento in local_bentos(version.name)
        if any(used.tag.version == model for used in bento.info.all_models)
    ]
    return str(found[0].tag) if found else None
