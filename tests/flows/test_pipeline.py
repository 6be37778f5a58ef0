"""The flow `pipeline` registers the bundle where DVC sees no change, but the registry lacks it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from components.orchestration.dvc_runner import PipelineRun, Plan, StageRun
from components.registry.model_versions import RegistryError
from flows import pipeline

STAGES = ("train", "register")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, bool]]:
    """The stages that run, and whether they were forced; without Prefect and DVC."""
    done: list[tuple[str, bool]] = []
    (tmp_path / "registered.json").write_text(json.dumps({"bundle": "0123"}))

    class Task:
        def __call__(self, stage: str, limit: float, force: bool, return_state: bool) -> Task:
            done.append((stage, force))
            self.stage = stage
            return self

        def is_completed(self) -> bool:
            return True

        def result(self) -> StageRun:
            return StageRun(self.stage, "ran", 1.0)

    monkeypatch.setattr(pipeline, "REPORTS", tmp_path)
    monkeypatch.setattr(pipeline, "stage_task", lambda stage, limits: Task())
    monkeypatch.setattr(pipeline, "publish_stages", lambda runs, failed=None: None)
    monkeypatch.setattr(pipeline, "publish_results", lambda: None)
    monkeypatch.setattr(pipeline, "get_run_logger", lambda: logging.getLogger("test"))
    return done


def run(monkeypatch: pytest.MonkeyPatch, changed: set[str], registry: object) -> PipelineRun:
    plan = Plan(STAGES, {"train": frozenset(), "register": frozenset({"train"})}, frozenset(changed))
    monkeypatch.setattr(pipeline, "plan", lambda: plan)

    class Registry:
        def __init__(self, name: str) -> None:
            pass

        def has_bundle(self, bundle: str) -> bool:
            if isinstance(registry, Exception):
                raise registry
            return bundle in registry  # type: ignore[operator]

    monkeypatch.setattr(pipeline, "Registry", Registry)
    state = pipeline.run_pipeline.fn()
    assert state.is_completed()
    done: PipelineRun = state.data
    return done


def test_where_the_registry_has_the_bundle_nothing_runs(
    monkeypatch: pytest.MonkeyPatch, ran: list[tuple[str, bool]]
) -> None:
    assert not run(monkeypatch, set(), {"0123"}).changed and not ran


def test_a_registry_without_the_bundle_gets_it(
    monkeypatch: pytest.MonkeyPatch, ran: list[tuple[str, bool]]
) -> None:
    assert run(monkeypatch, set(), {"4567"}).changed == ("register",)
    assert ran == [("register", True)]


def test_what_ran_is_registered_whatever_dvc_remembers(
    monkeypatch: pytest.MonkeyPatch, ran: list[tuple[str, bool]]
) -> None:
    run(monkeypatch, {"train"}, {"0123"})
    assert ran == [("train", False), ("register", True)]


def test_an_unreachable_registry_does_not_stop_a_run_with_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch, ran: list[tuple[str, bool]], caplog: pytest.LogCaptureFixture
) -> None:
    run(monkeypatch, set(), RegistryError("registry http://nowhere: no answer"))
    assert not ran and "http://nowhere" in caplog.text
