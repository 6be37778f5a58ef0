"""Where to look at a registered version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def version_link(registered: Mapping[str, Any]) -> str:
    """Return Markdown that leads to the version in reports/registered.json: a link, or a command."""
    uri, version, run_id = registered["model"], registered["version"], registered["run"]
    registry: str = registered["registry"]
    if registry.startswith("http"):
        name = uri.removeprefix("models:/").partition("@")[0]
        link = f"[version {version}]({registry.rstrip('/')}/#/models/{name}/versions/{version})"
        return f"`{uri}` is {link} (run `{run_id}`)."
    command = f"MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri {registry}"
    return f"`{uri}` is version {version} (run `{run_id}`): `{command}`."
