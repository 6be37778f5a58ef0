"""Server commands, typed or printed anywhere, switch telemetry off and name a database driver."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from flows import START_SERVER

ROOT = Path(__file__).parents[2]
SWITCHES = {
    r"prefect server start": "PREFECT_SERVER_ANALYTICS_ENABLED=false",
    r"prefect worker start": "DO_NOT_TRACK=1",
    r"mlflow (?:server|ui)\b": "MLFLOW_DISABLE_TELEMETRY=true",
}


@pytest.fixture(scope="module")
def lines() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", "*.md", "*.py", "*.yaml", "Makefile", ":!tests", ":!benchmarks"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    files = [ROOT / name for name in listed.split("\0") if name]
    return [line for file in files if file.exists() for line in file.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("command", SWITCHES)
def test_every_server_command_switches_its_telemetry_off(command: str, lines: list[str]) -> None:
    typed = [line for line in lines if re.search(command, line)]
    assert typed and all(SWITCHES[command] in line for line in typed), typed


def test_the_command_in_errors_is_the_one_in_the_readme(lines: list[str]) -> None:
    assert any(START_SERVER in line for line in lines if line.startswith("$ "))


def test_servers_that_others_reach_ask_for_a_password(lines: list[str]) -> None:
    typed = [
        line for line in lines if re.search(r"(prefect server start|mlflow server).*--host 0\.0\.0\.0", line)
    ]
    assert len(typed) == 2
    assert all("prefect" in line or "--app-name basic-auth" in line for line in typed)
    assert any("PREFECT_SERVER_API_AUTH_STRING=" in line for line in lines)
    assert any("MLFLOW_AUTH_ADMIN_PASSWORD=" in line for line in lines)


def test_database_urls_name_their_driver(lines: list[str]) -> None:
    """SQLAlchemy 2.1 takes psycopg 3 for `postgresql://`."""
    assert not [line for line in lines if "postgresql://" in line]
