"""What the flow `promote` makes of a verdict: alias, decision, approval. Libraries and registry are fakes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.logging import disable_run_logger

from components.config import Params
from components.registry.model_versions import (
    CHALLENGER,
    CHAMPION,
    DECIDED_BY,
    DECISION,
    ROLLED_BACK,
    ModelVersion,
    RegistryError,
)
from flows import promotion
from flows.promotion import Approval, Outcome, ask_for_approval


class FakeRegistry:
    """Two versions by alias; records tags and promotions."""

    name = "ocr"

    def __init__(self, **tags: str) -> None:
        self.versions = {
            CHAMPION: ModelVersion("ocr", "1", "run", {"bundle": "a"}, {}),
            CHALLENGER: ModelVersion("ocr", "2", "run", {"bundle": "b", **tags}, {}),
        }
        self.tags: dict[str, str] = {}
        self.promoted: list[str] = []
        self.read_only = False

    def find(self, alias: str) -> ModelVersion | None:
        return self.versions.get(alias)

    def resolve(self, uri: str) -> ModelVersion:
        return self.versions[uri.partition("@")[2]]

    def tag(self, version: str, tags: dict[str, str]) -> None:
        if self.read_only:
            raise RegistryError("registry: read-only")
        self.tags |= tags

    def promote(self, version: ModelVersion, champion: ModelVersion | None) -> None:
        self.promoted.append(version.version)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ModelVersion | None]]:
    """Replaces tasks by their functions, evaluation by a passing verdict; has the champions compared with."""
    champions: list[ModelVersion | None] = []

    def compare(registry: Any, params: Any, challenger: Any, champion: ModelVersion | None) -> Any:
        champions.append(champion)
        verdict = SimpleNamespace(promoted=True, reason="better")
        return SimpleNamespace(verdict=verdict, candidate=None, report=Path("report.md"))

    monkeypatch.setattr(promotion, "compare", compare)
    monkeypatch.setattr(promotion, "package", lambda *_: "ocr:bento")
    for name in ("resolve", "move_alias", "record_decision"):
        monkeypatch.setattr(promotion, name, getattr(promotion, name).fn)
    with disable_run_logger():
        yield champions


def promote(registry: FakeRegistry, params: Params, *, force: bool = False, ignore: bool = False) -> Outcome:
    return promotion._promote(registry, params, None, force, ignore)  # type: ignore[arg-type]


def with_approval(params: Params) -> Params:
    return params.model_copy(
        update={"promotion": params.promotion.model_copy(update={"approval": True, "approval_hours": 1.0})}
    )


def test_a_version_that_passes_becomes_champion(compared: list[Any], params: Params) -> None:
    registry = FakeRegistry()
    assert promote(registry, params).promoted
    assert registry.promoted == ["2"] and registry.tags[DECISION].startswith("promoted")


@pytest.mark.parametrize("tags", [{DECISION: "rejected: worse"}, {ROLLED_BACK: "2026-01-02"}])
def test_a_version_that_was_rejected_or_rolled_back_needs_force(
    compared: list[Any], params: Params, tags: dict[str, str]
) -> None:
    registry = FakeRegistry(**tags)
    assert not promote(registry, params).promoted and not compared
    assert promote(registry, params, force=True).promoted and registry.promoted == ["2"]


def test_an_ignored_champion_is_not_compared(compared: list[Any], params: Params) -> None:
    promote(FakeRegistry(), params, ignore=True)
    assert compared == [None]


def test_a_decision_that_cannot_be_recorded_does_not_undo_a_promotion(
    compared: list[Any], params: Params
) -> None:
    registry = FakeRegistry()
    registry.read_only = True
    assert promote(registry, params).promoted and registry.promoted == ["2"]


def test_without_approval_the_champion_stays(
    compared: list[Any], params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    registry = FakeRegistry()
    monkeypatch.setattr(promotion, "pause_flow_run", lambda **_: Approval(promote=False, by="Ada"))
    assert not promote(registry, with_approval(params)).promoted
    assert not registry.promoted and registry.tags[DECISION].startswith("rejected")


@pytest.mark.parametrize(
    ("answer", "by"),
    [(Approval(promote=True, by=" Ada "), "Ada"), (Approval(promote=False, by="Ada"), "Ada"),
     (Approval(promote=True), promotion.ANONYMOUS), (None, "gate")],
)  # fmt: skip
def test_the_version_keeps_who_decided(
    compared: list[Any], params: Params, monkeypatch: pytest.MonkeyPatch, answer: Approval | None, by: str
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    registry = FakeRegistry()
    monkeypatch.setattr(promotion, "pause_flow_run", lambda **_: answer)
    promote(registry, params if answer is None else with_approval(params))
    assert registry.tags[DECIDED_BY] == by


def test_silence_is_no_approval(monkeypatch: pytest.MonkeyPatch) -> None:
    def time_out(**_: Any) -> Any:
        raise TimeoutError

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr(promotion, "pause_flow_run", time_out)
    with disable_run_logger():
        assert not ask_for_approval(ModelVersion("ocr", "2", "run", {}, {}), "better", 1).promote


def test_approval_needs_a_server_that_people_can_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(ValueError, match="PREFECT_API_URL"):
        ask_for_approval(ModelVersion("ocr", "2", "run", {}, {}), "better", 1)
