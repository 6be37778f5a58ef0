"""Put bundles into BentoML's model store, from which the service takes its model. Needs no MLflow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import bentoml
from bentoml.exceptions import NotFound

from components.recognizer.bundle import FILES, Bundle, bundled_model, load_bundle

_METRICS = "metrics.json"


def store_bundle(
    name: str, version: str, bundle: Bundle, metrics: Mapping[str, float], lineage: Mapping[str, str]
) -> bentoml.Tag:
    """Store a bundle as NAME:VERSION-HASH, unless it is there already."""
    # The hash of the bundle distinguishes versions of equal number in two registries.
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


def store_bundled_model(name: str) -> bentoml.Tag:
    """Store the bundled model, under the name of a registered model."""
    folder = bundled_model()
    metrics = json.loads((folder / _METRICS).read_text(encoding="utf-8"))
    numbers = {key: float(value) for key, value in metrics.items() if isinstance(value, int | float)}
    return store_bundle(name, "shipped", load_bundle(folder), numbers, {"source": "the bundled model"})


def store_folder(name: str, folder: Path) -> bentoml.Tag:
    """Store the bundle in a folder. Raises BundleError."""
    return store_bundle(name, "folder", load_bundle(folder), {}, {"source": str(folder.resolve())})
