"""Results of the pipeline leave the working folder: outputs to the DVC remote, dvc.lock to git."""

from __future__ import annotations

import subprocess
import sys

from components.orchestration.dvc_runner import LOCK

_TAIL = 1500  # characters of output quoted in an error


class ResultsError(RuntimeError):
    """Results could not be pushed or recorded; the message has the end of the command's output."""


def push_outputs() -> None:
    """Push the outputs that dvc.lock names to the default DVC remote. Raises ResultsError."""
    _run(
        "pipeline.push: no outputs were pushed; `dvc remote add --default NAME URL` adds a remote, "
        "and one on S3 needs dvc-s3",
        *(sys.executable, "-m", "dvc", "push"),
    )


def commit_lock(message: str, push: bool) -> bool:
    """Commit dvc.lock, and nothing else, if it has changed; with `push` push the branch in any case.

    Returns whether it has changed. Raises ResultsError.
    """
    why = "pipeline.record: dvc.lock was not committed"
    _run(why, "git", "add", "--", str(LOCK))
    changed = bool(_run(why, "git", "status", "--porcelain", "--", str(LOCK)))
    if changed:
        _run(why, "git", "commit", "--quiet", "--message", message, "--only", "--", str(LOCK))
    if push:
        _run("pipeline.record: the commit was not pushed", "git", "push", "--quiet")
    return changed


def _run(failure: str, *command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ResultsError(f"{failure}: {(done.stderr or done.stdout).strip()[-_TAIL:]}")
    return done.stdout.strip()
