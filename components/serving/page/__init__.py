"""The start page."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

START = (Path(__file__).parent / "index.html").read_text(encoding="utf-8")

# The page's own style and nothing else, from nowhere else.
_STYLE = re.search(r"<style>(.*?)</style>", START, re.DOTALL)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.group(1).encode() if _STYLE else b"").digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'; base-uri 'none'"
