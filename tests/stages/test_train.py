"""The stage `train` writes model, summary and history, and logs one MLflow run for one training."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from components.config import Params, load_params
from components.data.shards import SPLITS, write_shard
from components.latex.vocabulary import Vocabulary
from components.model.checkpoint import load_model
from components.registry.mlflow_client import connect
from components.stages import train as stage
from tests.model.conftest import rows

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after `vocab`."""
    folder = tmp_path_factory.mktemp("train")
    tokens = []
    for split, count in zip(SPLITS, (32, 16, 2), strict=True):
        (folder / "data/shards" / split).mkdir(parents=True)
        made = rows(split, count)
        write_shard(made, folder / "data/shards" / split / "part-00000.parquet")
        tokens += [row.tokens for row in made]
    Vocabulary.build(tokens).save(folder / "data/vocab.json")
    return folder


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


@pytest.fixture(scope="module")
def chosen() -> Params:
    return with_rate(0.002)


def with_rate(rate: float) -> Params:
    params = load_params(ROOT / "params.yaml", preset="ci")
    update = {"epochs": 2, "workers": 0, "synthetic": (0.0, 0.0), "lr": rate}
    return params.model_copy(update={"train": params.train.model_copy(update=update)})


def run_of(params: Params) -> str:
    """The MLflow run of a training with these parameters."""
    summary = stage.train(params)
    assert summary is not None
    return str(summary["mlflow_run"])


@pytest.mark.slow
def test_model_summary_and_history_are_of_the_same_training(here: Path, chosen: Params) -> None:
    summary = stage.train(chosen)
    assert summary is not None
    assert json.loads((here / "reports/train.json").read_text()) == summary
    with (here / "reports/history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    assert [row["epoch"] for row in history] == ["0", "1"] and summary["epochs"] == 2
    best = history[summary["best_epoch"] - 1]
    assert float(best["valid_loss"]) == pytest.approx(summary["valid_loss"])
    model = load_model(here / "data/model.pt").model
    assert sum(weights.numel() for weights in model.parameters()) == summary["parameters"]
    assert [path.name for path in (here / "data").glob("*.part")] == []

    client = connect().MlflowClient()
    run = client.get_run(summary["mlflow_run"])
    assert run.info.status == "FINISHED"
    assert [m.step for m in client.get_metric_history(run.info.run_id, "valid_loss")] == [0, 1]
    assert run.data.params["train.epochs"] == "2" and run.data.params["preset"] == "ci"
    assert run.data.metrics["best_valid_loss"] == pytest.approx(summary["valid_loss"])
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"vocab.json", "valid_samples.png"} <= files


@pytest.mark.slow
def test_a_training_that_goes_on_logs_to_its_run_and_forgets_those_of_other_parameters(
    here: Path, chosen: Params
) -> None:
    first = run_of(chosen)
    assert run_of(chosen) == first
    (here / "data/training/other").mkdir()
    other = run_of(with_rate(0.001))
    assert other != first
    assert len(list((here / "data/training").glob("*/"))) == 1
    # As with another server, or a fresh database: the training goes on, in a run of its own.
    connect().MlflowClient().delete_run(other)
    [note] = (here / "data/training").glob("*/mlflow_run")
    note.write_text("0" * 32)
    assert run_of(with_rate(0.001)) not in (other, "0" * 32)


def test_without_a_vocabulary_the_stage_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").symlink_to(ROOT / "params.yaml")
    (tmp_path / "presets").symlink_to(ROOT / "presets")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"train: .*data/vocab\.json"):
        stage.main()
