"""Write the base job templates of this folder: Prefect's own, with what a retraining needs.

python -m deploy.pools.generate
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import prefect.server.api.collections_data.views

FOLDER = Path(__file__).parent
_USER = 1034  # of the training image
_VOLUME = "handwriting-work"


def templates() -> dict[str, dict[str, Any]]:
    """The template of each kind of pool."""
    made = {kind: _default(kind) for kind in ("docker", "kubernetes")}
    _docker(made["docker"])
    _kubernetes(made["kubernetes"])
    return made


def _default(kind: str) -> dict[str, Any]:
    """The template of `prefect work-pool get-default-base-job-template --type KIND`."""
    [views] = map(Path, prefect.server.api.collections_data.views.__path__)
    found = json.loads((views / "aggregate-worker-metadata.json").read_text(encoding="utf-8"))
    template: dict[str, Any] = found[f"prefect-{kind}"][kind]["default_base_job_configuration"]
    return template


def _docker(template: dict[str, Any]) -> None:
    template["variables"]["properties"]["volumes"]["default"] = [f"{_VOLUME}:/work"]


def _kubernetes(template: dict[str, Any]) -> None:
    variables = template["variables"]["properties"]
    variables |= {
        "work_claim": _variable("Claim of a volume that keeps clones, data and checkpoints", _VOLUME),
        "secret": _variable("Secret whose keys become environment variables", "handwriting-training"),
    }
    sizes = {"cpu_request": "2", "cpu_limit": "4", "memory_request": "12Gi", "memory_limit": "16Gi"}
    for name, size in sizes.items():
        variables[name]["default"] = size
    job = template["job_configuration"]["job_manifest"]["spec"]
    pod = job["template"]["spec"]
    for name in ("parallelism", "completions"):
        del pod[name]  # a Job's, which no pod has
    pod |= {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": "{{ work_claim }}"}}],
    }  # fmt: skip
    [container] = pod["containers"]
    container |= {
        "workingDir": "/work",
        "envFrom": [{"secretRef": {"name": "{{ secret }}"}}],
        "volumeMounts": [{"name": "work", "mountPath": "/work"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }


def _variable(description: str, default: str) -> dict[str, str]:
    return {"type": "string", "description": description, "default": default}


def text(template: dict[str, Any]) -> str:
    return json.dumps(template, indent=2) + "\n"


def main() -> None:
    for kind, template in templates().items():
        (FOLDER / f"{kind}.json").write_text(text(template), encoding="utf-8")


if __name__ == "__main__":
    main()
