"""Of model versions the newest stay, and champion, predecessor and challenger, in a real registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.registry.mlflow_client import connect
from components.registry.model_versions import CHALLENGER, CHAMPION, PREVIOUS, Registry
from components.retention.models import old_versions, protected_versions

pytestmark = pytest.mark.slow


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Eight versions: 1 is champion, 3 was it before, 8 is the challenger."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow = connect()
    client = mlflow.MlflowClient()
    client.create_registered_model("ocr")
    experiment = client.create_experiment("ocr", artifact_location=(tmp_path / "artifacts").as_uri())
    for _ in range(8):
        run = client.create_run(experiment)
        client.log_text(run.info.run_id, "x", "bundle/x")
        client.create_model_version("ocr", f"{run.info.artifact_uri}/bundle", run.info.run_id)
    for alias, version in ((CHAMPION, "1"), (PREVIOUS, "3"), (CHALLENGER, "8")):
        client.set_registered_model_alias("ocr", alias, version)
    return Registry("ocr")


def test_versions_go_but_not_those_with_an_alias(registry: Registry) -> None:
    protected = protected_versions(registry)
    assert not list(old_versions(registry, 0, protected))
    runs = {version.version: version.run_id for version in registry.versions()}
    going = list(old_versions(registry, 2, protected))
    assert [removal.name for removal in going] == [f"models:/ocr/{number}" for number in (5, 4, 2)]
    assert len(registry.versions()) == 8, "nothing goes before it is told to"
    for removal in going:
        removal.run()
    assert [version.version for version in registry.versions()] == ["8", "7", "6", "3", "1"]
    client = connect().MlflowClient()
    states = {number: client.get_run(run).info.lifecycle_stage for number, run in runs.items()}
    assert {number for number, stage in states.items() if stage == "deleted"} == {"5", "4", "2"}
