"""The pages' files as they are sent; what they do in a browser is in tests/integration/test_page.py."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from components.serving.page import FILES
from tests.serving.conftest import serving

MOST = 150_000  # bytes, of all files together


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_they_are_small() -> None:
    assert sum(len(file.content) for file in FILES.values()) < MOST


def test_nothing_is_inline_and_nothing_from_elsewhere() -> None:
    for name, file in FILES.items():
        text = file.content.decode()
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=\"", text), name
        addresses = set(
            re.findall(r"(?:https?:)?//[\w.]+\.\w+[^\s\"']*", re.sub(r"^\s*//.*|/\*.*?\*/", "", text))
        )
        assert addresses <= {"http://www.w3.org/1998/Math/MathML", "http://www.w3.org/2000/svg"}, name


@pytest.mark.parametrize("address", ["/", "/dashboard", "/page/main.js", "/page/page.css"])
async def test_they_come_with_a_strict_policy_and_are_not_sent_twice(address: str) -> None:
    async with serving() as service:
        first = await service.client.get(address)
        assert first.status_code == 200
        policy = dict(
            part.strip().split(" ", 1) for part in first.headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["connect-src"] == "'self'" and policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in first.headers["content-security-policy"]
        assert first.headers["x-content-type-options"] == "nosniff"
        again = await service.client.get(address, headers={"if-none-match": first.headers["etag"]})
        assert again.status_code == 304 and again.content == b""


async def test_all_that_a_page_names_is_there() -> None:
    async with serving() as service:
        for address in ("/", "/dashboard"):
            text = (await service.client.get(address)).text
            for name in re.findall(r"(?:href|src)=\"(page/[^\"]+)\"", text):
                assert (await service.client.get(f"/{name}")).status_code == 200, name
    for name, file in FILES.items():
        for other in re.findall(r"from \"\./([^\"]+)\"", file.content.decode()):
            assert other in FILES, f"{name} imports {other}"


@pytest.mark.parametrize("name", ["index.html", "__init__.py", "..%2fkeys.py", "nothing.js", ".js"])
async def test_nothing_else_is_given_away(name: str) -> None:
    async with serving() as service:
        assert (await service.client.get(f"/page/{name}")).status_code == 404


async def test_the_page_knows_whether_keys_and_corrections_are_wanted(tmp_path: Path) -> None:
    async with serving(auth="optional") as service:
        assert 'data-auth="optional" data-feedback="off"' in (await service.client.get("/")).text
    async with serving(feedback_folder=tmp_path) as service:
        assert 'data-auth="off" data-feedback="on"' in (await service.client.get("/")).text
