"""The scripts of deployment, with stand-ins for the cloud and BentoML that write down what they are asked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
SCRIPTS = sorted(DEPLOY.rglob("*.sh"))

PARAMETERS = {
    "PROJECT": "p",
    "REGION": "r",
    "REPOSITORY": "images",
    "SERVICE_ACCOUNT": "ocr@p.example",
    "NETWORK": "vpc",
    "SUBNET": "vpc-r",
    "COLLECTOR_IMAGE": "registry.example/collector:1",
}

# The cloud: a repository, and in it the images that the file `images` names.
GCLOUD = """#!/bin/sh
printf '%s\\n' "$*" >>"$CLOUD/calls"
case "$*" in
  "artifacts repositories describe"*) echo registry.example/p/images;;
  "artifacts docker images describe"*) grep -qxF "$5" "$CLOUD/images";;
  "secrets versions describe latest --secret ocr-api-keys"*) ;;
  "builds submit"*) test -f "$3/Dockerfile" && test -f "$3/models/bundle" && echo built >&2;;
  "run services replace"*) cp "$4" "$CLOUD/service.yaml";;
  "run services describe"*) echo https://service.example;;
  *"policies list"*) cat "$CLOUD/policies" 2>/dev/null || true;;
  *"dashboards list"*) cat "$CLOUD/dashboards" 2>/dev/null || true;;
esac
"""

BENTOML = """#!/bin/sh
case "$1" in
  get) test "$2" != nothing:latest && echo /store/handwritten-math-ocr/abc123;;
  export)
    test "$2" = handwritten-math-ocr:abc123 || exit 1
    made=$(mktemp -d)
    mkdir -p "$made/models" "$made/src"
    echo "version: abc123" >"$made/bento.yaml"
    touch "$made/models/bundle" "$made/src/requirements-serve.lock"
    tar -c -f "$3" -C "$made" .
    rm -r "$made";;
esac
"""


class Cloud:
    """A folder that the stand-ins write to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        for name, text in {"gcloud": GCLOUD, "bentoml": BENTOML}.items():
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        (folder / "images").touch()

    def run(self, script: str, *arguments: str, **parameters: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "CLOUD": str(self.folder)}
        (self.folder / "calls").write_text("")
        return subprocess.run(
            [DEPLOY / script, *arguments],
            env=environment | parameters, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()

    def asked(self, what: str) -> list[str]:
        return [call for call in self.calls if what in call]


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_plain_shell_that_stops_at_the_first_fault(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/bin/sh\n") and "\nset -eu\n" in text
    assert os.access(script, os.X_OK)
    subprocess.run(["sh", "-n", script], check=True)


def test_deploy_names_everything_that_is_missing(cloud: Cloud) -> None:
    done = cloud.run("cloudrun/deploy.sh", PROJECT="p", REGION="")
    assert done.returncode == 2 and not cloud.calls
    assert "PROJECT" not in done.stderr.splitlines()[0]
    assert all(name in done.stderr for name in PARAMETERS if name != "PROJECT")


def test_deploy_builds_an_image_that_is_not_there_and_applies_the_service(cloud: Cloud) -> None:
    done = cloud.run("cloudrun/deploy.sh", **PARAMETERS)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "https://service.example\n" and "built" in done.stderr
    [submitted] = cloud.asked("builds submit")
    assert submitted.endswith("--substitutions _IMAGE=registry.example/p/images/handwritten-math-ocr:abc123")
    applied = yaml.safe_load((cloud.folder / "service.yaml").read_text())
    spec = applied["spec"]["template"]["spec"]
    assert "${" not in "".join(
        line.partition("#")[0] for line in (cloud.folder / "service.yaml").read_text().splitlines()
    )
    assert [container["image"] for container in spec["containers"]] == [
        "registry.example/p/images/handwritten-math-ocr:abc123",
        PARAMETERS["COLLECTOR_IMAGE"],
    ]
    assert spec["volumes"][0]["secret"]["items"][0]["key"] == "latest"
    assert spec["serviceAccountName"] == PARAMETERS["SERVICE_ACCOUNT"]
    interfaces = applied["spec"]["template"]["metadata"]["annotations"][
        "run.googleapis.com/network-interfaces"
    ]
    assert yaml.safe_load(interfaces) == [{"network": "vpc", "subnetwork": "vpc-r"}]


def test_deploy_does_not_build_again_what_is_there(cloud: Cloud) -> None:
    (cloud.folder / "images").write_text("registry.example/p/images/handwritten-math-ocr:abc123\n")
    done = cloud.run("cloudrun/deploy.sh", BASE="other", **PARAMETERS)
    assert done.returncode == 0, done.stderr
    assert not cloud.asked("builds submit") and cloud.asked("run services replace")


def test_a_dry_run_changes_nothing_and_shows_the_service(cloud: Cloud) -> None:
    done = cloud.run("cloudrun/deploy.sh", DRY_RUN="1", **PARAMETERS)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["kind"] == "Service"
    assert all(" describe " in call for call in cloud.calls)


@pytest.mark.parametrize("wrong", ['vpc"}]', "a|b", "a b", "$(id)"])
def test_a_parameter_can_not_change_the_service_otherwise(cloud: Cloud, wrong: str) -> None:
    done = cloud.run("cloudrun/deploy.sh", **PARAMETERS | {"NETWORK": wrong})
    assert done.returncode == 2 and "NETWORK" in done.stderr
    assert not cloud.asked("builds submit") and not cloud.asked("replace")


def test_a_bento_that_is_not_there_is_said_so(cloud: Cloud) -> None:
    done = cloud.run("cloudrun/deploy.sh", "nothing:latest", **PARAMETERS)
    assert done.returncode != 0 and "flows build" in done.stderr
    assert not cloud.asked("replace")


def test_monitoring_is_made_once_and_then_brought_up_to_date(cloud: Cloud) -> None:
    assert cloud.run("cloudrun/monitor.sh").returncode == 2
    first = cloud.run("cloudrun/monitor.sh", PROJECT="p", CHANNEL="projects/p/notificationChannels/1")
    assert first.returncode == 0, first.stderr
    assert len(cloud.asked("policies create")) == 5 and not cloud.asked("policies update")
    assert all("--notification-channels projects/p" in call for call in cloud.asked("policies create"))
    assert 'displayName="handwritten-math-ocr: errors"' in "\n".join(cloud.asked("policies list"))
    assert len(cloud.asked("dashboards create")) == 1 and not cloud.asked("dashboards delete")
    (cloud.folder / "policies").write_text("projects/p/alertPolicies/1\n")
    (cloud.folder / "dashboards").write_text("projects/1/dashboards/1\n")
    again = cloud.run("cloudrun/monitor.sh", PROJECT="p")
    assert again.returncode == 0, again.stderr
    assert len(cloud.asked("policies update")) == 5 and not cloud.asked("policies create")
    assert len(cloud.asked("dashboards delete")) == 1 == len(cloud.asked("dashboards create"))


def test_the_training_image_is_made_from_the_lock_alone(tmp_path: Path) -> None:
    script = DEPLOY / "container/build.sh"
    done = subprocess.run(
        [script, "--lay-out", tmp_path, "--training"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"Dockerfile", "requirements.lock"}
    lines = (tmp_path / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    assert copied == ["requirements.lock"] and "USER 1034:1034" in lines
