"""The service's OpenAPI description, as it serves it."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest

from components.serving.app import build_app
from components.serving.settings import Settings
from components.serving.state import AppState


@pytest.fixture(scope="session")
def description() -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        app = build_app(AppState(Settings(auth="required", _env_file=None), "the version"))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            found: dict[str, Any] = (await client.get("/docs.json")).raise_for_status().json()
        return found

    return anyio.run(ask)
