"""Where MLflow keeps runs and models: a server's address from the environment, or a file here."""

from __future__ import annotations

import os
from types import ModuleType

DEFAULT = "sqlite:///mlflow.db"


def connect() -> ModuleType:
    """MLflow, pointed at MLFLOW_TRACKING_URI, or at an SQLite file and a folder in the working folder.

    It reports nothing to anybody. Importing it takes some seconds, so only who needs it does.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    import mlflow

    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", DEFAULT))
    return mlflow
