"""From a registered version to a Bento that has been tried."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import bentoml
from bentoml.exceptions import NotFound

from components.deployment.smoke_test import Expected, SmokeError, evaluated, smoke_test
from components.recognizer.bundle import FILES, Bundle, load_bundle
from components.registry.bundles import METRICS, SHIPPED, bundle_folder
from components.registry.model_versions import BENTO, Registered, Registry

BENTOFILE = Path("bentofile.yaml")


class PackagingError(ValueError):
    """The Bento does not hold what it promised, and is removed."""


def store(registered: Registered) -> bentoml.Tag:
    """Puts a registered bundle into BentoML's model store; what is there already stays."""
    bundle = load_bundle(bundle_folder(registered.address))
    lineage = {key: value for key, value in registered.tags.items() if not key.startswith("mlflow.")}
    return _stored(registered.name, f"v{registered.version}", bundle, registered.metrics, lineage)


def store_shipped(name: str) -> bentoml.Tag:
    """Puts the bundle that comes with the repository into the store, under a registered model's name."""
    metrics = json.loads((SHIPPED / METRICS).read_text(encoding="utf-8"))
    numbers = {key: float(value) for key, value in metrics.items() if isinstance(value, int | float)}
    return _stored(name, "shipped", load_bundle(SHIPPED), numbers, {"source": "models/crohme"})


def _stored(
    name: str, version: str, bundle: Bundle, metrics: Mapping[str, float], lineage: Mapping[str, str]
) -> bentoml.Tag:
    # The version is the registry's; the rest tells the same number of two registries apart.
    tag = bentoml.Tag(name, f"{version}-{bundle.version}")
    try:
        return bentoml.models.get(tag).tag
    except NotFound:
        pass
    number = version.removeprefix("v")
    with bentoml.models.create(
        tag,
        module="components.recognizer",
        labels={"registry_version": number, "bundle": bundle.version},
        metadata={"version": number, "metrics": dict(metrics), "lineage": dict(lineage)},
        signatures={},
    ) as model:
        for file in FILES:
            if (bundle.folder / file).exists():
                shutil.copyfile(bundle.folder / file, Path(model.path) / file)
    return tag


def build(registered: Registered, beam: int, expected: Sequence[Expected] | None = None) -> bentoml.Tag:
    """Builds a Bento around a version, serves it once, and compares its answers with what is expected.

    Without `expected`: with what the stage `evaluate` wrote down, where that is of this very bundle. Raises
    PackagingError.
    """
    model = store(registered)
    bento = bentoml.bentos.build_bentofile(
        str(BENTOFILE),
        build_ctx=".",
        labels={"model": str(model), "registry_version": registered.version},
        args={"model": model.version},
    )
    if expected is None:
        expected = evaluated(load_bundle(Path(bentoml.models.get(model).path)).version)
    try:
        smoke_test(bento, beam, expected)
    except SmokeError as error:
        bentoml.bentos.delete(bento.tag)
        raise PackagingError(f"{bento.tag}: {error}; it is removed") from None
    return bento.tag


def bento_of(registry: Registry, registered: Registered, beam: int) -> str:
    """The tag of a version's Bento in this machine's store, built where it is another machine's, or gone.

    Raises PackagingError and RegistryError.
    """
    tag = registered.tags.get(BENTO)
    with suppress(NotFound):
        if tag is not None:
            return str(bentoml.get(tag).tag)
    tag = str(build(registered, beam))
    registry.tag(registered.version, {BENTO: tag})
    return tag
