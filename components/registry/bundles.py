"""Where bundles come from: the MLflow registry, a folder, or the repository itself."""

from __future__ import annotations

from pathlib import Path

import yaml

from components.recognizer.bundle import SETTINGS
from components.registry.mlflow_client import connect

# The bundle that comes with the repository, and its figures beside it.
SHIPPED = Path(__file__).parents[2] / "models" / "crohme"
METRICS = "metrics.json"


def bundle_folder(model: str) -> Path:
    """The bundle that `model` names: a folder, or an address in the registry (models:/name@alias or
    models:/name/version), fetched from there. Raises ValueError where the registry has no such bundle."""
    if not model.startswith("models:/"):
        return Path(model)
    mlflow = connect()
    try:
        fetched = Path(mlflow.artifacts.download_artifacts(artifact_uri=model))
    except mlflow.MlflowException as error:
        raise ValueError(f"{model}: {error.message} (registry: {mlflow.get_tracking_uri()})") from None
    found = sorted(fetched.rglob(SETTINGS))
    if not found:
        raise ValueError(f"{model}: the registered model holds no bundle ({SETTINGS})")
    return found[0].parent


def dvc_hashes(lock: Path = Path("dvc.lock")) -> dict[str, str]:
    """What DVC keeps each output of the pipeline under, by the output's path; nothing without a lock file."""
    if not lock.exists():
        return {}
    stages = (yaml.safe_load(lock.read_text(encoding="utf-8")) or {}).get("stages", {})
    return {
        out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", ()) if "md5" in out
    }
