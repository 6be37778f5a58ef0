"""Connection to MLflow: the server of MLFLOW_TRACKING_URI, or SQLite in the working folder."""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path
from types import ModuleType

DEFAULT = "sqlite:///mlflow.db"
ARTIFACTS = "mlartifacts"  # folder beside the SQLite file


def connect(experiment: str | None = None) -> ModuleType:
    """Import MLflow without telemetry, set its tracking URI, and select an experiment if one is given.

    With a local SQLite file, artifacts of the experiment go to ARTIFACTS beside it; a server decides itself.
    The import takes seconds, hence not at the top of the module.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read at import
    os.environ["DO_NOT_TRACK"] = "1"
    import mlflow

    # A new SQLite file logs a hundred migrations.
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
    """Return the commit of the work tree, with `-dirty` if it has changes; `unknown` outside git.

    dvc.lock does not count: DVC changes it as stages run, and its hashes are recorded with a version.
    """
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return "unknown"
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)dvc.lock")
    return f"{commit}-dirty" if changes else commit


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()
