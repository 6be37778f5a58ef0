"""The base job templates of the work pools: as generated, and a pod that a cluster takes."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.pools.generate import FOLDER, templates, text
from tests.deploy.test_helm import KUBERNETES, VALIDATE

GIVEN = {
    "name": "retrain", "namespace": "ocr", "labels": {}, "env": [], "service_account_name": "default",
    "command": ["prefect", "flow-run", "execute"], "image": "registry.example/train:1",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_templates_are_up_to_date(kind: str) -> None:
    written = (FOLDER / f"{kind}.json").read_text(encoding="utf-8")
    assert written == text(templates()[kind]), "run: python -m deploy.pools.generate"


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_each_placeholder_is_a_variable(kind: str) -> None:
    template = templates()[kind]
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(template["job_configuration"])))
    assert used <= template["variables"]["properties"].keys()


def test_runs_keep_what_they_made_and_have_no_rights() -> None:
    assert templates()["docker"]["variables"]["properties"]["volumes"]["default"] == [
        "handwriting-work:/work"
    ]
    pod = manifest()["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["volumeMounts"] == [{"name": "work", "mountPath": "/work"}]
    assert pod["securityContext"]["runAsUser"] == 1034 and not pod["automountServiceAccountToken"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def manifest() -> dict[str, Any]:
    """The Job of a run whose variables have their defaults."""
    template = templates()["kubernetes"]
    values = {n: v["default"] for n, v in template["variables"]["properties"].items() if v.get("default")}

    def filled(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: filled(value) for key, value in node.items()}
        if isinstance(node, list):
            return [filled(value) for value in node]
        if isinstance(node, str) and (whole := re.fullmatch(r"{{ (\w+) }}", node)):
            return (values | GIVEN).get(whole[1])
        return node.replace("{{ name }}", "retrain") if isinstance(node, str) else node

    job: dict[str, Any] = filled(template["job_configuration"]["job_manifest"])
    return job


def test_the_job_is_valid_kubernetes(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    job = manifest()
    job["metadata"]["name"] = job["metadata"].pop("generateName") + "1"
    job["spec"] = {name: value for name, value in job["spec"].items() if value is not None}
    file.write_text(yaml.safe_dump(job))
    done = subprocess.run(
        [*VALIDATE, "--strict", "-k", KUBERNETES, file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
