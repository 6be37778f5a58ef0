"""Keys over HTTP: with an admin key alone, by the rules of the command, and at once."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.__main__ import main
from components.serving.access.api_keys import Keys, add_key, list_keys
from components.serving.settings import Settings
from tests.serving.conftest import Service, serving


@dataclass
class Managed:
    """A service with a user's and an admin's key."""

    service: Service
    file: Path
    user: str
    admin: str

    async def ask(self, method: str, path: str, secret: str | None, **options: Any) -> httpx.Response:
        headers = {"x-api-key": secret} if secret else {}
        return await self.service.client.request(method, path, headers=headers, **options)


@asynccontextmanager
async def managed(folder: Path, **settings: Any) -> AsyncIterator[Managed]:
    file = folder / "keys.json"
    user, admin = add_key(file, "Ada", ""), add_key(file, "Boss", "", admin=True)
    async with serving(**{"auth": "required", "api_keys_file": file} | settings) as service:
        yield Managed(service, file, user, admin)


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/keys", {}),
    ("POST", "/keys", {"json": {"name": "Eve"}}),
    ("PATCH", "/keys/{user}", {"json": {"minute": 1}}),
    ("DELETE", "/keys/{user}", {}),
]


@pytest.mark.parametrize(("method", "path", "options"), CALLS)
async def test_without_an_admin_key_nothing_is_shown_or_changed(
    tmp_path: Path, method: str, path: str, options: dict[str, Any]
) -> None:
    async with managed(tmp_path) as at:
        before = at.file.read_bytes()
        path = path.format(user=at.user.split("_")[1])
        for secret, status, kind in (
            (None, 401, "key-needed"), ("hm_00000000_x", 401, "unknown-key"), (at.user, 403, "admin-needed"),
        ):  # fmt: skip
            answer = await at.ask(method, path, secret, **options)
            assert (answer.status_code, answer.json()["type"]) == (status, f"urn:problem:{kind}")
        assert at.file.read_bytes() == before


async def test_a_key_is_added_limited_and_revoked_and_each_counts_at_once(tmp_path: Path) -> None:
    async with managed(tmp_path, rate_limits="on") as at:
        body = {"name": "Bob", "expires_days": 30, "limits": {"minute": 7}}
        answer = await at.ask("POST", "/keys", at.admin, json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert made["key"]["state"] == "valid" and made["key"]["expires"] is not None
        id, secret = made["key"]["id"], made["secret"]
        first = await at.service.predict(**{"x-api-key": secret})
        assert first.status_code == 200 and '"minute";q=7' in first.headers["ratelimit-policy"]
        limited = await at.ask("PATCH", f"/keys/{id}", at.admin, json={"day": 9})
        assert limited.json()["limits"] == {"minute": None, "hour": None, "day": 9, "at_once": None}
        again = await at.service.predict(8, **{"x-api-key": secret})
        assert '"day";q=9' in again.headers["ratelimit-policy"] and "q=7" not in str(again.headers)
        gone = await at.ask("DELETE", f"/keys/{id}", at.admin)
        assert gone.json()["state"] == "revoked"
        assert (await at.service.predict(16, **{"x-api-key": secret})).status_code == 401
        listed = (await at.ask("GET", "/keys", at.admin)).json()["keys"]
        assert [(key["name"], key["state"], key["admin"]) for key in listed] == [
            ("Ada", "valid", False), ("Boss", "valid", True), ("Bob", "revoked", False)
        ]  # fmt: skip
        texts = (await at.ask("GET", "/keys", at.admin)).text
        assert secret.split("_", 2)[2] not in texts and "hash" not in texts
        assert secret.split("_", 2)[2] not in at.file.read_text()


async def test_what_the_api_writes_the_command_reads_and_the_other_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with managed(tmp_path) as at:
        answer = await at.ask("POST", "/keys", at.admin, json={"name": "Bob", "admin": True})
        id = answer.json()["key"]["id"]
        assert main(["keys", "--file", str(at.file), "limit", id, "--hour", "5"]) == 0
        assert main(["keys", "--file", str(at.file), "list"]) == 0
        shown = capsys.readouterr().out
        assert f"{id} (Bob) has new limits" in shown and "Bob  (hour 5)  admin" in shown
        listed = (await at.ask("GET", "/keys", at.admin)).json()["keys"]
        assert listed[-1]["limits"]["hour"] == 5
        assert main(["keys", "--file", str(at.file), "add", "Eve", "--admin"]) == 0
        eve = capsys.readouterr().out.strip()
        keys = Keys(Settings(_env_file=None, api_keys_file=at.file))
        assert (found := keys.find(eve)) is not None and found.admin


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"), ({}, "name"), ({"name": "x" * 101}, "name"),
        ({"name": "x", "more": 1}, "more"), ({"name": "x", "expires_days": 0}, "expires_days"),
        ({"name": "x", "limits": {"minute": 0}}, "minute"),
    ],
)  # fmt: skip
async def test_bad_input_is_named_and_changes_nothing(
    tmp_path: Path, body: dict[str, Any], field: str
) -> None:
    async with managed(tmp_path) as at:
        answer = await at.ask("POST", "/keys", at.admin, json=body)
        assert answer.status_code == 422 and field in answer.json()["detail"]
        assert len(list_keys(at.file)) == 2


async def test_a_key_that_is_not_there_is_a_404(tmp_path: Path) -> None:
    async with managed(tmp_path) as at:
        for method, options in (("PATCH", {"json": {}}), ("DELETE", {})):
            answer = await at.ask(method, "/keys/ffffffff", at.admin, **options)
            assert (answer.status_code, answer.json()["type"]) == (404, "urn:problem:unknown-key-id")
            assert (await at.ask(method, "/keys/..%2fx", at.admin, **options)).status_code in (404, 422)


async def test_keys_from_the_environment_are_listed_and_not_changed(tmp_path: Path) -> None:
    async with managed(tmp_path) as at:
        text, admin = at.file.read_text(), at.admin
    async with serving(auth="required", api_keys=text) as service:
        headers = {"x-api-key": admin}
        assert len((await service.client.get("/keys", headers=headers)).json()["keys"]) == 2
        answer = await service.client.post("/keys", json={"name": "Eve"}, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:keys-read-only")


async def test_without_keys_there_is_nothing_to_manage() -> None:
    async with serving(auth="off") as service:
        answer = await service.client.get("/keys")
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:problem:keys-off")


async def test_a_file_that_is_gone_is_a_503_that_names_no_path(tmp_path: Path) -> None:
    async with managed(tmp_path) as at:
        at.file.write_text("{")
        answer = await at.ask("GET", "/keys", at.admin)
        assert answer.status_code == 503 and str(tmp_path) not in answer.text
        answer = await at.ask("POST", "/keys", at.admin, json={"name": "Eve"})
        assert answer.status_code == 503 and at.file.read_text() == "{", "it is not overwritten"


async def test_who_changed_what_is_in_the_audit_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with managed(tmp_path) as at:
        with caplog.at_level(logging.INFO, "audit"):
            made = (await at.ask("POST", "/keys", at.admin, json={"name": "Bob"})).json()
        [line] = [record for record in caplog.records if record.getMessage() == "key added"]
        assert (line.by, line.key) == ("Boss", made["key"]["id"])  # type: ignore[attr-defined]
        assert made["secret"] not in caplog.text


def test_a_file_without_admins_is_read_by_older_services(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    add_key(file, "Ada", "")
    assert "admin" not in file.read_text()
