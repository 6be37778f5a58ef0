"""Where MLflow keeps runs and models: a server's address from the environment, or a file here."""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path
from types import ModuleType

DEFAULT = "sqlite:///mlflow.db"
ARTIFACTS = "mlartifacts"  # beside the SQLite file


def connect(experiment: str | None = None) -> ModuleType:
    """MLflow, pointed at MLFLOW_TRACKING_URI, or at an SQLite file and a folder in the working folder.

    With `experiment`, what is logged goes there; its files go to `ARTIFACTS` where the tables are in a local
    SQLite file, and where the server says otherwise. It reports nothing to anybody. Importing MLflow takes
    some seconds, so only who needs it does.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # it looks at import
    os.environ["DO_NOT_TRACK"] = "1"
    import mlflow

    # A new SQLite file tells of a hundred migrations.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT
    mlflow.set_tracking_uri(uri)
    if experiment is not None:
        if uri.startswith("sqlite:///") and mlflow.get_experiment_by_name(experiment) is None:
            folder = Path(uri.removeprefix("sqlite:///")).resolve().parent / ARTIFACTS
            mlflow.create_experiment(experiment, artifact_location=folder.as_uri())
        mlflow.set_experiment(experiment)
    return mlflow


def git_commit() -> str:
    """The commit of the work tree, marked where it has changes; 'unknown' outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
