"""Write values.schema.json and the table of values in README.md from values.yaml and the service's settings.

python -m deploy.helm.generate
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml

from components.serving.settings import Settings

CHART = Path(__file__).parent / "handwritten-math"
VALUES = CHART / "values.yaml"
_FREE = {"annotations", "podAnnotations", "podLabels", "labels", "nodeSelector", "affinity", "resources"}
_ELSEWHERE = {"API_KEYS", "API_KEYS_FILE", "API_KEY_PEPPER", "REDIS_URL"}  # secrets, which the chart mounts
_KEY = re.compile(r"^( *)([A-Za-z]+):(.*)$")
_BEGIN, _END = "<!-- values -->\n", "<!-- end of values -->\n"


def schema() -> dict[str, Any]:
    """JSON schema of the values: no unknown names, the types of the defaults."""
    found = _schema("", yaml.safe_load(VALUES.read_text(encoding="utf-8")))
    properties = found["properties"]
    properties["settings"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name.upper(): _setting(field.annotation)
            for name, field in Settings.model_fields.items()
            if name.upper() not in _ELSEWHERE
        },
    }
    properties["canary"]["properties"]["weight"] |= {"minimum": 0, "maximum": 100}
    for block in ("image", "canary"):
        properties[block]["properties"]["digest"]["pattern"] = "^(sha256:[0-9a-f]{64})?$"
    properties["image"]["properties"]["pullPolicy"]["enum"] = ["Always", "IfNotPresent", "Never"]
    properties["global"] = {"type": "object"}  # Helm's own
    return {"$schema": "http://json-schema.org/draft-07/schema#", **found}


def _schema(name: str, default: Any) -> dict[str, Any]:
    if isinstance(default, dict):
        if name in _FREE:
            return {"type": "object"}
        properties = {key: _schema(key, value) for key, value in default.items()}
        return {"type": "object", "additionalProperties": False, "properties": properties}
    kinds: dict[type, str] = {bool: "boolean", int: "integer", str: "string", list: "array"}
    kind: dict[str, Any] = {"type": kinds[type(default)]}
    return kind | {"minimum": 0} if kind["type"] == "integer" else kind


def _setting(annotation: Any) -> dict[str, Any]:
    """Values of environment variables: never booleans, which YAML makes of an unquoted `off`."""
    if get_origin(annotation) is Literal:
        return {"type": "string", "enum": list(get_args(annotation))}
    return {"type": ["string", "number"]}


def table() -> str:
    """A Markdown table: value, default, what the comment before it says."""
    rows, path, comment = ["| value | default | |", "|---|---|---|"], [], ""
    for line in VALUES.read_text(encoding="utf-8").splitlines():
        if line.strip().startswith("# -- "):
            comment = line.strip()[5:]
        elif match := _KEY.match(line):
            depth = len(match[1]) // 2
            path = [*path[:depth], match[2]]
            default = match[3].strip()
            if default:
                rows.append(f"| `{'.'.join(path)}` | `{default}` | {comment} |")
            elif comment:
                rows.append(f"| `{'.'.join(path)}` | | {comment} |")
            comment = ""
    return "\n".join(rows) + "\n"


def readme(text: str) -> str:
    """The README with the table as it should be."""
    before, rest = text.split(_BEGIN)
    return f"{before}{_BEGIN}{table()}{_END}{rest.split(_END)[1]}"


def main() -> None:
    """Write both files."""
    (CHART / "values.schema.json").write_text(json.dumps(schema(), indent=2) + "\n", encoding="utf-8")
    page = CHART / "README.md"
    page.write_text(readme(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
