"""What the registry is told, and in which order."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from components.recognizer.bundle import BundleError
from components.registry.model_versions import (
    CHAMPION,
    PREVIOUS,
    ROLLED_BACK,
    Registered,
    Registry,
    RegistryError,
)
from flows import promotion


class Client:
    """Writes down what it is asked; fails at what it is told to fail at."""

    def __init__(self, fails: str | None = None) -> None:
        self.asked: list[tuple[str, ...]] = []
        self._fails = fails

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self._note("alias", alias, version)

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        self._note("untag", version, key)

    def _note(self, *words: str) -> None:
        if self._fails in words:
            from mlflow.exceptions import MlflowException

            raise MlflowException("the registry is away")
        self.asked.append(words)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Registry:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return Registry("ocr")


def version(number: str, **tags: str) -> Registered:
    return Registered("ocr", number, "run", tags, {})


def test_the_champion_is_the_last_to_move(registry: Registry) -> None:
    registry._client = client = Client()
    registry.crown(version("2"), version("1"))
    assert client.asked == [("alias", PREVIOUS, "1"), ("alias", CHAMPION, "2")]


@pytest.mark.parametrize("fails", [PREVIOUS, CHAMPION])
def test_a_registry_that_goes_away_leaves_the_old_champion(registry: Registry, fails: str) -> None:
    registry._client = client = Client(fails)
    with pytest.raises(RegistryError, match="the registry is away"):
        registry.crown(version("2"), version("1"))
    assert ("alias", CHAMPION, "2") not in client.asked


def test_who_is_champion_again_was_not_rolled_back(registry: Registry) -> None:
    registry._client = client = Client()
    registry.crown(version("2", **{ROLLED_BACK: "2026-01-01"}), version("3"))
    assert client.asked[-1] == ("untag", "2", ROLLED_BACK)


def test_a_champion_of_another_format_is_named_with_the_way_out(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(exported / "data/bundle", folder)
    content = json.loads((folder / "bundle.json").read_text())
    content["settings"]["format"] = 99
    (folder / "bundle.json").write_text(json.dumps(content))
    monkeypatch.setattr(promotion, "bundle_folder", lambda address: folder)
    with pytest.raises(BundleError, match=r"version 1, the champion, can't be compared(.|\n)*--afresh"):
        promotion._readable(version("1"))
