"""The order in which aliases move, and what a failure leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.registry.model_versions import (
    CHAMPION,
    PREVIOUS,
    ROLLED_BACK,
    ModelVersion,
    Registry,
    RegistryError,
)


class Client:
    """Records calls; fails on the alias it is told to fail on."""

    def __init__(self, fails: str | None = None) -> None:
        self.calls: list[tuple[str, ...]] = []
        self._fails = fails

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self._record("alias", alias, version)

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        self._record("untag", version, key)

    def _record(self, *call: str) -> None:
        if self._fails in call:
            from mlflow.exceptions import MlflowException

            raise MlflowException("connection refused")
        self.calls.append(call)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Registry:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return Registry("ocr")


def version(number: str, **tags: str) -> ModelVersion:
    return ModelVersion("ocr", number, "run", tags, {})


def test_the_alias_champion_moves_last(registry: Registry) -> None:
    registry._client = client = Client()
    registry.promote(version("2"), version("1"))
    assert client.calls == [("alias", PREVIOUS, "1"), ("alias", CHAMPION, "2")]


@pytest.mark.parametrize("fails", [PREVIOUS, CHAMPION])
def test_an_unavailable_registry_leaves_the_old_champion(registry: Registry, fails: str) -> None:
    registry._client = client = Client(fails)
    with pytest.raises(RegistryError):
        registry.promote(version("2"), version("1"))
    assert ("alias", CHAMPION, "2") not in client.calls


def test_a_promotion_lifts_a_rollback(registry: Registry) -> None:
    registry._client = client = Client()
    registry.promote(version("2", **{ROLLED_BACK: "2026-01-01"}), version("3"))
    assert client.calls[-1] == ("untag", "2", ROLLED_BACK)


def test_a_registry_says_whether_it_has_a_bundle(registry: Registry) -> None:
    assert not registry.has_bundle("0123"), "it is new"
    registry._client.create_registered_model("ocr")
    registry._client.create_model_version("ocr", "file:///nowhere", tags={"bundle": "0123"})
    assert registry.has_bundle("0123") and not registry.has_bundle("4567")


def test_an_unknown_version_names_the_registry_and_the_way_out(registry: Registry) -> None:
    assert registry.find(CHAMPION) is None
    with pytest.raises(
        RegistryError, match=r"mlflow\.db.*`dvc repro`.*`dvc repro --force --single-item register`"
    ):
        registry.resolve()
