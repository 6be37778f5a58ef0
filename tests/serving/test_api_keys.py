"""Keys are made, found, revoked and read again; only their hashes are kept."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.__main__ import main
from components.serving.access import api_keys
from components.serving.access.api_keys import KeyLimits, Keys, KeysError, add_key, list_keys, revoke
from components.serving.settings import Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "keys.json"


def ring(file: Path, **settings: object) -> Keys:
    return Keys(Settings(api_keys_file=file, **settings))


def test_a_key_is_found_with_its_name_and_limits(file: Path) -> None:
    key = add_key(file, "Ada", "", limits=KeyLimits(minute=60))
    found = ring(file).find(key)
    assert found is not None and (found.name, found.limits.minute, found.limits.day) == ("Ada", 60, None)


def test_only_hashes_are_stored_and_only_the_owner_may_read_them(file: Path) -> None:
    secret = add_key(file, "Ada", "").split("_", 2)[2]
    assert secret not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_wrong_keys_are_not_found(file: Path) -> None:
    key = add_key(file, "Ada", "")
    id = key.split("_")[1]
    keyring = ring(file)
    for wrong in ("", "hm_", "hm__", key[:-1], key + "x", key.removeprefix("hm_"), f"hm_{id}_", f"hm_{id}",
                  "hm_00000000_" + key.split("_", 2)[2], "hm_" + "é" * 40, "\ud800"):  # fmt: skip
        assert keyring.find(wrong) is None, wrong


def test_with_another_pepper_no_key_is_found(file: Path) -> None:
    key = add_key(file, "Ada", "salt and")
    assert ring(file).find(key) is None
    assert ring(file, api_key_pepper="salt and").find(key) is not None


def test_expired_and_revoked_keys_are_not_found(file: Path) -> None:
    short = add_key(file, "Ada", "", expires=timedelta(seconds=-1))
    gone, stays = add_key(file, "Bob", ""), add_key(file, "Cid", "")
    revoke(file, gone.split("_")[1])
    keyring = ring(file)
    assert [keyring.find(key) is not None for key in (short, gone, stays)] == [False, False, True]
    assert len(keyring) == 1


def test_a_change_is_seen_while_the_service_runs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "RELOAD_SECONDS", 0.0)
    first = add_key(file, "Ada", "")
    keyring = ring(file)
    second = add_key(file, "Bob", "")
    assert keyring.find(second) is not None
    revoke(file, first.split("_")[1])
    assert keyring.find(first) is None


def test_a_file_that_breaks_leaves_the_keys_as_they_were(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(api_keys, "RELOAD_SECONDS", 0.0)
    key = add_key(file, "Ada", "")
    keyring = ring(file)
    file.write_text("{")
    assert keyring.find(key) is not None
    file.unlink()
    assert keyring.find(key) is not None
    assert "the API keys are unchanged" in caplog.text


def test_the_environment_may_hold_them(file: Path) -> None:
    key = add_key(file, "Ada", "")
    assert Keys(Settings(api_keys=file.read_text())).find(key) is not None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "Invalid JSON"),
        ('{"keys": [{"id": "1"}]}', r"keys\.0\.id"),
        ('{"keys": 3}', "keys: "),
        ("[]", "object"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(file: Path, content: str, reason: str) -> None:
    file.parent.mkdir()
    file.write_text(content)
    with pytest.raises(KeysError, match=rf"keys\.json: .*{reason}"):
        ring(file)


def test_a_missing_file_says_how_to_make_it(file: Path) -> None:
    with pytest.raises(KeysError, match=r"keys\.json: No such file"):
        ring(file)


def test_keys_made_at_the_same_time_are_all_kept(file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: add_key(file, f"caller {n}", ""), range(20)))
    keyring = ring(file)
    assert len(keyring) == len(set(made)) == 20


class TestCommand:
    def test_makes_lists_and_revokes(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["keys", "--file", str(file), "add", "Ada", "--minute", "60", "--expires", "30"]) == 0
        key = capsys.readouterr().out.strip()
        found = ring(file).find(key)
        assert found is not None and found.expires is not None
        assert timedelta(days=29) < found.expires - datetime.now(UTC) < timedelta(days=31)
        assert main(["keys", "--file", str(file), "list"]) == 0
        listed = capsys.readouterr().out
        assert found.id in listed and "Ada" in listed and "minute 60" in listed
        assert key.split("_", 2)[2] not in listed and found.hash not in listed
        assert main(["keys", "--file", str(file), "revoke", found.id]) == 0
        assert ring(file).find(key) is None and list_keys(file)[0].revoked is not None

    def test_says_what_is_wrong(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["keys", "--file", str(file), "list"]) == 1
        assert str(file) in capsys.readouterr().err
        assert main(["keys", "--file", str(file), "add", ""]) == 1
        assert "name" in capsys.readouterr().err
        assert main(["keys", "--file", str(file), "add", "Ada"]) == 0
        assert main(["keys", "--file", str(file), "revoke", "ffffffff"]) == 1
        assert "ffffffff" in capsys.readouterr().err
        assert len(json.loads(file.read_text())["keys"]) == 1
