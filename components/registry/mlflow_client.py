"""Connection to MLflow: the server of MLFLOW_TRACKING_URI, or SQLite in the working folder."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

_SQLITE = "sqlite:///"
DEFAULT = f"{_SQLITE}mlflow.db"
ARTIFACTS = "mlartifacts"  # folder beside the SQLite file

_DEFAULTS = {
    # MLflow's own: to repeat a request for four minutes before it says that the server is away.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # seconds without an answer
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # a line a file in the logs of flows
}
_REASON = 400  # characters quoted of what MLflow says


class TrackingError(ValueError):
    """MLflow's server or artifact store is unavailable; the message names it and says what to do."""


def connect(experiment: str | None = None) -> ModuleType:
    """Import MLflow without telemetry, set its tracking URI, and select an experiment if one is given.

    With a local SQLite file, artifacts of the experiment go to ARTIFACTS beside it; a server decides itself.
    The import takes seconds, hence not at the top of the module. Raises TrackingError if an experiment is
    given and the server is unavailable.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read at import
    os.environ["DO_NOT_TRACK"] = "1"
    import mlflow

    # A new SQLite file logs a hundred migrations.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it tells of each retry
    given = os.environ.get("MLFLOW_TRACKING_URI")
    uri = _absolute(tracking_uri())
    mlflow.set_tracking_uri(uri)  # which sets the variable too
    if given is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    else:
        os.environ["MLFLOW_TRACKING_URI"] = given
    if experiment is not None:
        with tracking_errors():
            _select(mlflow, uri, experiment)
    return mlflow


def tracking_uri() -> str:
    """Return the address that MLFLOW_TRACKING_URI gives, or DEFAULT."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT


def _absolute(uri: str) -> str:
    """Resolve a relative SQLite file: MLflow keeps its connections by address, even into another folder."""
    if not uri.startswith(_SQLITE):
        return uri
    return _SQLITE + Path(uri.removeprefix(_SQLITE)).resolve().as_posix()


def _select(mlflow: ModuleType, uri: str, experiment: str) -> None:
    if uri.startswith(_SQLITE) and mlflow.get_experiment_by_name(experiment) is None:
        folder = Path(uri.removeprefix(_SQLITE)).parent / ARTIFACTS
        mlflow.create_experiment(experiment, artifact_location=folder.as_uri())
    mlflow.set_experiment(experiment)


@contextmanager
def tracking_errors() -> Iterator[None]:
    """Turn what MLflow raises in the block into a TrackingError of one line."""
    from mlflow import MlflowException, get_tracking_uri

    try:
        yield
    except (MlflowException, OSError) as error:  # requests for artifacts raise OSErrors
        if isinstance(error, OSError) and error.filename is not None:
            raise  # it is about a file of ours
        reason = " ".join(str(error).split())[:_REASON]
        raise TrackingError(
            f"MLflow at {_without_password(get_tracking_uri())} (MLFLOW_TRACKING_URI): {reason}; "
            "check that the server runs, and that its artifact store is writable and not full"
        ) from None


def _without_password(uri: str) -> str:
    return re.sub(r"//[^/@]*@", "//", uri)


def git_commit() -> str:
    """Return the commit of the work tree, with `-dirty` if it has changes; `unknown` outside git.

    dvc.lock does not count: DVC changes it as stages run, and its hashes are recorded with a version.
    An archive of the source is outside, even if it lies in another repository.
    """
    if not Path(".git").exists() or shutil.which("git") is None:
        return "unknown"
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return "unknown"
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)dvc.lock")
    return f"{commit}-dirty" if changes else commit


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()
