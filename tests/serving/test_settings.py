"""Settings come from the environment, are told apart from nonsense, and are all documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components.serving import settings as module
from components.serving.settings import PATHS, Settings, SettingsError, absolute_paths, load_settings

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


@pytest.mark.parametrize("name", PATHS)
def test_in_a_bento_a_relative_path_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv(name, "data/kept")
    assert getattr(load_settings(), name.lower()) == Path("data/kept")
    monkeypatch.setattr(module, "BENTO", tmp_path)
    with pytest.raises(SettingsError, match=rf"environment: {name}: .*\$PWD/data/kept"):
        load_settings()
    monkeypatch.setenv(name, str(tmp_path / "kept"))
    assert getattr(load_settings(), name.lower()) == tmp_path / "kept"


def test_paths_are_made_absolute_for_a_process_that_starts_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"MONITOR_FOLDER": "kept", "FEEDBACK_FOLDER": "/kept", "API_KEYS_FILE": "", "AUTH": "off"}
    assert absolute_paths(given) == {"MONITOR_FOLDER": f"{tmp_path}/kept", "FEEDBACK_FOLDER": "/kept"}


def test_every_setting_that_is_a_path_is_known_as_one() -> None:
    paths = [name.upper() for name, field in Settings.model_fields.items() if "Path" in str(field.annotation)]
    assert sorted(paths) == sorted(PATHS)


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
