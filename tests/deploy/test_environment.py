"""What deployments set, ask and watch is what the service has: settings, routes and metrics."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import Counter, Gauge, Histogram, MetricWrapperBase

import components.serving
from components.serving.observability import metrics
from components.serving.settings import Settings, load_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = sorted((DEPLOY / "cloudrun" / "alerts").glob("*.yaml"))

# What others than the service read: the system, Python, BentoML, ONNX Runtime.
FOREIGN = {
    "BENTOML_CONTAINERIZED", "BENTOML_DO_NOT_TRACK", "BENTOML_HOME", "BENTO_PATH", "LANG",
    "ORT_DISABLE_TELEMETRY", "PATH", "PORT", "PYTHONUNBUFFERED",
}  # fmt: skip
SECRET = "kept by the platform"  # a value that is not in the file

_SELECTED = re.compile(r"\b(ocr_\w+)(?:\{([^}]*)\})?")  # a measure, and what is asked of its labels
_DEFAULT = re.compile(r"\$\{\w+(?::?-([^}]*))?\}")  # Compose's ${NAME:-default}


def load(path: str) -> Any:
    text = (DEPLOY / path).read_text(encoding="utf-8")
    return json.loads(text) if path.endswith(".json") else yaml.safe_load(text)


def compose() -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = load("compose.yaml")["services"]
    return services


def cloud() -> dict[str, Any]:
    """What Cloud Run is told of an instance."""
    spec: dict[str, Any] = load("cloudrun/service.yaml")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    """The service's container on Cloud Run."""
    [found] = (c for c in cloud()["containers"] if c["name"] == "api")
    return found


def of_cloudrun() -> dict[str, str]:
    return {entry["name"]: entry.get("value", SECRET) for entry in container()["env"]}


def of_compose(service: str) -> dict[str, str]:
    """As it is where nobody sets anything."""
    return {
        name: _DEFAULT.sub(lambda found: found[1] or "", value)
        for name, value in compose()[service]["environment"].items()
    }


def of_the_image() -> dict[str, str]:
    lines = (DEPLOY / "container" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    pairs = [pair for line in lines if line.startswith("ENV ") for pair in line.split()[1:]]
    return dict(pair.split("=", 1) for pair in pairs)


ENVIRONMENTS = {
    "cloudrun/service.yaml": of_cloudrun(),
    "compose.yaml, api": of_compose("api"),
    "compose.yaml, keys": of_compose("keys"),
    "container/Dockerfile": of_the_image(),
}


@pytest.mark.parametrize("where", ENVIRONMENTS)
def test_every_variable_is_one_that_somebody_reads(where: str) -> None:
    known = {name.upper() for name in Settings.model_fields} | FOREIGN
    assert ENVIRONMENTS[where] and set(ENVIRONMENTS[where]) <= known


@pytest.mark.parametrize("where", ENVIRONMENTS)
def test_every_value_is_one_that_the_service_takes(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in ENVIRONMENTS[where].items():
        if name.lower() in Settings.model_fields:
            monkeypatch.setenv(name, value)
    load_settings()


def test_no_other_place_sets_variables_of_the_service() -> None:
    for path in ("cloudrun/deploy.sh", "cloudrun/cloudbuild.yaml", "container/build.sh"):
        text = (DEPLOY / path).read_text(encoding="utf-8")
        assert not re.search(r"--(set|update)-(env-vars|secrets)", text)


def test_an_instance_gets_as_much_as_it_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in of_cloudrun().items():
        monkeypatch.setenv(name, value)
    settings, spec = load_settings(), cloud()
    assert spec["containerConcurrency"] == 2 * settings.batch_size
    assert settings.max_queue > spec["containerConcurrency"], "the platform holds back, nobody is refused"
    assert str(settings.threads) == container()["resources"]["limits"]["cpu"]
    assert spec["timeoutSeconds"] > settings.read_timeout + 10  # service.py's own
    template = load("cloudrun/service.yaml")["spec"]["template"]["metadata"]["annotations"]
    assert template["autoscaling.knative.dev/minScale"] == "0"
    assert template["autoscaling.knative.dev/maxScale"] == "100"


def test_probes_ask_the_port_that_is_served() -> None:
    [port] = container()["ports"]
    startup, liveness = container()["startupProbe"], container()["livenessProbe"]
    assert startup["httpGet"] == {"path": "/readyz", "port": port["containerPort"]}
    assert liveness["httpGet"] == {"path": "/livez", "port": port["containerPort"]}
    assert startup["periodSeconds"] * startup["failureThreshold"] <= 240  # Cloud Run takes no more
    assert all(probe["timeoutSeconds"] <= probe["periodSeconds"] for probe in (startup, liveness))


def test_keys_lie_where_the_service_looks() -> None:
    [mount], [volume] = container()["volumeMounts"], cloud()["volumes"]
    assert mount["name"] == volume["name"]
    [item] = volume["secret"]["items"]
    assert of_cloudrun()["API_KEYS_FILE"] == f"{mount['mountPath']}/{item['path']}"
    for service in ("api", "keys"):
        [where] = compose()[service]["volumes"]
        assert Path(of_compose(service)["API_KEYS_FILE"]).parent == Path(where.split(":")[1])


def test_one_machine_is_as_closed_as_it_can_be() -> None:
    for name, service in compose().items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert "ports" not in compose()["redis"]
    [ports] = compose()["api"]["ports"]
    assert ports.startswith("${BIND:-127.0.0.1}:"), "callers from elsewhere are let in on purpose only"
    command = compose()["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "allkeys-lru" and "--maxmemory" in command
    for name in ("api", "redis"):
        assert compose()[name]["restart"] == "unless-stopped" and compose()[name]["healthcheck"]
        assert compose()[name]["mem_limit"] and compose()[name]["pids_limit"]
        assert set(compose()[name]["logging"]["options"]) == {"max-size", "max-file"}


def test_the_image_is_checked_on_its_port_and_prints_nothing_of_its_own(tmp_path: Path) -> None:
    dockerfile = (DEPLOY / "container/Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"HEALTHCHECK .*\\\n +python -c .*PORT.*/readyz", dockerfile)
    [entrypoint] = re.findall(r"^ENTRYPOINT (.*)", dockerfile, re.MULTILINE)
    bentoml = tmp_path / "entrypoint.sh"
    bentoml.write_text('#!/bin/sh\necho "${PORT-none} $BENTOML_PORT $*"\n')
    bentoml.chmod(0o755)
    command = json.loads(entrypoint.replace("/home/bentoml/bento/env/docker/entrypoint.sh", str(bentoml)))
    for given, port in (({}, "3000"), ({"PORT": "8080"}, "8080")):
        done = subprocess.run(
            [*command, "python", "-V"],
            env={"PATH": os.environ["PATH"], **given},
            capture_output=True,
            text=True,
        )
        assert done.stdout == f"none {port} python -V\n"


def queries() -> Iterator[str]:
    for path in ALERTS:
        for condition in yaml.safe_load(path.read_text(encoding="utf-8"))["conditions"]:
            yield condition["conditionPrometheusQueryLanguage"]["query"]
    for tile in load("cloudrun/dashboard.json")["mosaicLayout"]["tiles"]:
        for series in tile["widget"]["xyChart"]["dataSets"]:
            yield series["timeSeriesQuery"]["prometheusQuery"]


def exposed() -> dict[str, MetricWrapperBase]:
    """The service's measures by the names they have in Prometheus."""
    endings = {Counter: ("_total",), Gauge: ("",), Histogram: ("_bucket", "_sum", "_count")}
    found = [measure for measure in vars(metrics).values() if isinstance(measure, MetricWrapperBase)]
    return {measure._name + ending: measure for measure in found for ending in endings[type(measure)]}


def test_every_measure_that_is_watched_is_measured() -> None:
    known = exposed()
    watched = [found for query in queries() for found in _SELECTED.findall(query)]
    assert {name for name, _ in watched} <= set(known)
    for name, labels in watched:
        assert set(re.findall(r"(\w+)\s*[=!]", labels)) <= set(known[name]._labelnames) | {"le"}, name


def test_every_kind_of_refusal_that_is_watched_is_one_that_callers_meet() -> None:
    folder = Path(components.serving.__path__[0])
    source = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    kinds = [kind for query in queries() for kind in re.findall(r'kind=~?"([^"]*)"', query)]
    assert kinds
    for kind in "|".join(kinds).split("|"):
        assert f'"{kind}"' in source, kind


@pytest.mark.parametrize("path", ALERTS, ids=lambda path: path.stem)
def test_an_alert_has_one_condition_and_says_what_to_do(path: Path) -> None:
    policy = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert len(policy["conditions"]) == 1, "Cloud Monitoring takes no more with PromQL"
    assert policy["documentation"]["content"] and policy["severity"] in ("CRITICAL", "ERROR", "WARNING")
    # monitor.sh finds the title by this line, and the policy by the title.
    assert f'displayName: "{policy["displayName"]}"\n' in path.read_text(encoding="utf-8")


def test_alerts_are_told_apart_by_their_titles() -> None:
    assert len(ALERTS) == 5
    assert len({yaml.safe_load(path.read_text(encoding="utf-8"))["displayName"] for path in ALERTS}) == 5
    assert load("cloudrun/dashboard.json")["displayName"]


def test_every_file_can_be_parsed() -> None:
    files = [p for p in DEPLOY.rglob("*") if p.suffix in (".yaml", ".json") and "templates" not in p.parts]
    assert len(files) >= 9
    for path in files:
        assert load(str(path.relative_to(DEPLOY)))
