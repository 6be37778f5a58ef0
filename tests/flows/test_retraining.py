"""Of two retrainings in one folder, the second does nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock
from prefect.logging import disable_run_logger

from flows import retraining
from flows.locks import LOCK
from flows.retraining import SKIPPED, retrain


def test_of_two_retrainings_at_once_the_second_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(retraining, "load_params", lambda: pytest.fail("it begins all the same"))
    LOCK.parent.mkdir(parents=True)
    with disable_run_logger(), FileLock(LOCK):
        state = retrain.fn()
    assert state.is_completed() and state.name == SKIPPED
