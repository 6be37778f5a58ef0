"""A version keeps the Bento it has; a machine that lacks it builds one of its own."""

from __future__ import annotations

from types import SimpleNamespace

import bentoml
import pytest
from bentoml.exceptions import NotFound

from components.deployment import packaging
from components.deployment.packaging import ensure_bento
from components.registry.model_versions import BENTO, ModelVersion

STORED = "ocr:stored"


class FakeRegistry:
    """Records tags."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}

    def tag(self, version: str, tags: dict[str, str]) -> None:
        self.tags |= tags


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(tag: str) -> SimpleNamespace:
        if tag != STORED:
            raise NotFound(tag)
        return SimpleNamespace(tag=tag)

    monkeypatch.setattr(bentoml, "get", get)
    monkeypatch.setattr(bentoml.bentos, "list", lambda: [])
    monkeypatch.setattr(packaging, "build_bento", lambda version: "ocr:built")


@pytest.mark.parametrize(
    ("tags", "tag", "recorded"),
    [
        ({BENTO: STORED}, STORED, {}),
        ({BENTO: "ocr:another-machines"}, "ocr:built", {}),
        ({}, "ocr:built", {BENTO: "ocr:built"}),
    ],
)
def test_a_bento_is_built_where_the_store_lacks_it(
    tags: dict[str, str], tag: str, recorded: dict[str, str]
) -> None:
    registry = FakeRegistry()
    version = ModelVersion("ocr", "2", "run", tags, {})
    assert ensure_bento(registry, version, None) == tag  # type: ignore[arg-type]
    assert registry.tags == recorded


def test_bentoml_reports_nothing() -> None:
    from bentoml._internal.utils.analytics.usage_stats import do_not_track

    assert do_not_track()


def test_a_build_installs_no_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """BentoML asks for it before each build, and would install any version over the network."""
    from bentoml._internal import configuration

    def install(*_: object, **__: object) -> None:
        raise AssertionError("pip was called")

    monkeypatch.setattr("subprocess.run", install)
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("importlib.metadata.version", lambda name: install(name))
    with packaging._without_uv():
        assert configuration.get_uv_command() == ["uv"]
    with pytest.raises(AssertionError, match="pip was called"):
        configuration.get_uv_command.__wrapped__()
