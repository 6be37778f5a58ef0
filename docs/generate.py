"""Pages of the documentation that are made from the code: the HTTP API and the command line."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import httpx
import mkdocs_gen_files

from components.serving.app import build_app
from components.serving.settings import Settings
from components.serving.state import AppState

COMMANDS = ("predict", "serve", "keys", "data", "report")


def http_api() -> str:
    """The OpenAPI description that the service serves, as Markdown."""
    description = asyncio.run(_description())
    lines = [
        "# HTTP API",
        "",
        "Made from the OpenAPI description, which a running service serves at `/docs.json`.",
        "",
    ]
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            lines += [
                f"## {method.upper()} {path}",
                "",
                operation.get("description") or operation["summary"],
                "",
            ]
            lines += _parameters(operation) + _bodies(operation) + _responses(operation)
    lines += ["# Schemas", ""]
    for name, schema in description["components"]["schemas"].items():
        lines += [f"## {name}", "", schema.get("description", ""), "", *_fields(schema)]
    return "\n".join(lines)


async def _description() -> dict[str, Any]:
    app = build_app(AppState(Settings(auth="required", _env_file=None), "the version"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://docs") as client:
        found: dict[str, Any] = (await client.get("/docs.json")).raise_for_status().json()
    return found


def _parameters(operation: dict[str, Any]) -> list[str]:
    rows = [
        f"| `{p['name']}` | {p['in']} | {_type(p['schema'])} | {p.get('description', '')} |"
        for p in operation.get("parameters", [])
    ]
    return ["| parameter | in | type | |", "|---|---|---|---|", *rows, ""] if rows else []


def _bodies(operation: dict[str, Any]) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {})
    return [f"Body: {', '.join(f'`{kind}`' for kind in content)}.", ""] if content else []


def _responses(operation: dict[str, Any]) -> list[str]:
    rows = []
    for status, response in operation["responses"].items():
        schemas = [_type(c.get("schema", {})) for c in response.get("content", {}).values()]
        rows.append(f"| {status} | {response['description']} | {', '.join(s for s in schemas if s)} |")
    return ["| status | | body |", "|---|---|---|", *rows, ""]


def _fields(schema: dict[str, Any]) -> list[str]:
    required = schema.get("required", [])
    rows = [
        f"| `{name}` | {_type(field)} | {'yes' * (name in required)} | {field.get('description', '')} |"
        for name, field in schema.get("properties", {}).items()
    ]
    return ["| field | type | required | |", "|---|---|---|---|", *rows, ""] if rows else []


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(option) for option in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {})) or 'anything'}"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    return str(schema.get("type", ""))


def command_line() -> str:
    """What `--help` prints, command by command."""
    lines = ["# Command line", ""]
    for command in ((), *((name,) for name in COMMANDS)):
        name = " ".join(("python -m components", *command))
        done = subprocess.run(
            [sys.executable, "-m", "components", *command, "--help"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:  # needs the training environment, which the documentation's lacks
            continue
        lines += [f"## {name}", "", "```text", done.stdout.rstrip(), "```", ""]
    return "\n".join(lines)


for page, text in (("http-api.md", http_api()), ("cli.md", command_line())):
    with mkdocs_gen_files.open(page, "w") as file:
        file.write(text)
