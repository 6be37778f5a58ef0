"""What a client is made with, checked."""

from __future__ import annotations

from typing import Any

import httpx

from handwritten_math_client.version import __version__


def http_options(base_url: str, api_key: str | None) -> dict[str, Any]:
    """Arguments for httpx's clients. Raises ValueError."""
    url = httpx.URL(base_url)
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"base_url: {base_url!r} is no address such as http://localhost:3000")
    headers = {"User-Agent": f"handwritten-math-client/{__version__}", "Accept": "application/json"}
    if api_key is not None:
        if not api_key.isascii() or not api_key.isprintable() or not api_key.strip():
            raise ValueError("api_key: has characters that no key has; is it empty, or has it a line break?")
        headers["X-API-Key"] = api_key
    # Redirects are not followed: the key would go along.
    return {"base_url": url, "headers": headers, "follow_redirects": False}


def check_limits(timeout: float, retries: int) -> None:
    """Raises ValueError."""
    if not timeout > 0:
        raise ValueError(f"timeout: {timeout} is not above 0 seconds")
    if retries < 0:
        raise ValueError(f"retries: {retries} is below 0")
