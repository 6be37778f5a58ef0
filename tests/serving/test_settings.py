"""Settings come from the environment, are told apart from nonsense, and are all documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components.serving.settings import Settings, SettingsError, load_settings

PAGE = Path(__file__).parents[2] / "docs/settings.md"


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE_LIMIT_MINUTE", "77")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, https://b.example")
    settings = load_settings()
    assert settings.rate_limit_minute == 77
    assert settings.origins == ["https://a.example", "https://b.example"]


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "")
    assert load_settings().redis_url is None


@pytest.mark.parametrize(
    ("name", "value"), [("AUTH", "maybe"), ("RATE_LIMIT_DAY", "0"), ("BEAM", "three"), ("TRACE_SHARE", "2")]
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"environment: {name}: "):
        load_settings()


def test_the_documentation_lists_each_with_its_default() -> None:
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| ([^|]*) \| ([^|]*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert rows == [
        (name.upper(), _shown(field.default), field.description)
        for name, field in Settings.model_fields.items()
    ], "run: python -m tests.serving.test_settings"


def _shown(default: object) -> str:
    value = default.get_secret_value() if hasattr(default, "get_secret_value") else default
    return "" if value in (None, "") else f"`{value}`"


if __name__ == "__main__":
    for name, field in Settings.model_fields.items():
        print(f"| `{name.upper()}` | {_shown(field.default)} | {field.description} |")
