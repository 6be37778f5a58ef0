"""Locate bundles: in the MLflow registry, in a folder, or in the repository itself."""

from __future__ import annotations

from pathlib import Path

import yaml

from components.recognizer.bundle import SETTINGS, bundled_model
from components.registry.mlflow_client import connect

SHIPPED = bundled_model()  # with its evaluation figures
METRICS = "metrics.json"


def bundle_folder(model: str) -> Path:
    """Return the folder of a bundle; download it if `model` is a registry URI.

    A URI is models:/NAME@ALIAS or models:/NAME/VERSION. Raises ValueError if the registry has no such bundle.
    """
    if not model.startswith("models:/"):
        return Path(model)
    mlflow = connect()
    try:
        fetched = Path(mlflow.artifacts.download_artifacts(artifact_uri=model))
    except mlflow.MlflowException as error:
        raise ValueError(f"{model}: {error.message} (registry: {mlflow.get_tracking_uri()})") from None
    found = sorted(fetched.rglob(SETTINGS))
    if not found:
        raise ValueError(f"{model}: the registered model contains no bundle ({SETTINGS} is missing)")
    return found[0].parent


def dvc_hashes(lock: Path = Path("dvc.lock")) -> dict[str, str]:
    """Return the MD5 of each output of the pipeline by path, empty without a lock file."""
    if not lock.exists():
        return {}
    stages = (yaml.safe_load(lock.read_text(encoding="utf-8")) or {}).get("stages", {})
    return {
        out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", ()) if "md5" in out
    }
