"""The page and the dashboard: static files, read once, and their Content-Security-Policy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

# Own scripts and styles, pictures that the user chose, and requests to this service. Nothing inline, nothing
# from or to other origins.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class PageFile:
    """A file as the browser receives it."""

    content: bytes
    media_type: str
    etag: str  # changes with the content


def page_file(content: bytes, suffix: str) -> PageFile:
    """The file with this content."""
    return PageFile(content, _TYPES[suffix], f'"{hashlib.sha256(content).hexdigest()[:16]}"')


FILES = {
    path.name: page_file(path.read_bytes(), path.suffix)
    for path in sorted(Path(__file__).parent.iterdir())
    if path.suffix in _TYPES
}
