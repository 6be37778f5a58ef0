"""The stage `evaluate`: the pipeline's test split, and any folder of labelled InkML."""

import csv
import json
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from components.config import Params
from components.data.datasets import LabelledShards, Sample
from components.data.shards import Row, read_table, strokes_of, write_shard
from components.evaluation.reader import read_dataset
from components.ink.ink import Ink, Stroke
from components.ink.inkml import write_inkml
from components.ink.raster import Picture, RasterSettings, draw
from components.latex.tokenizer import detokenize, tokenize
from components.model.torch_engine import load_torch_recognizer
from components.recognizer.bundle import BundleSettings, DecodingConfig
from components.recognizer.recognizer import Prediction, Recognizer
from components.registry.bundles import bundle_folder
from components.registry.mlflow_client import connect
from components.stages import evaluate as stage

ROOT = Path(__file__).parents[2]
RASTER = RasterSettings()
RESULTS = {"metrics.json", "predictions.parquet", "plots", "worst.html"}


def strokes(seed: int) -> tuple[Stroke, ...]:
    rng = np.random.default_rng(seed)
    return tuple(rng.uniform(0, 100, (8, 2)).astype(np.float32) for _ in range(3))


def inkml(ink: Sequence[Stroke], label: str | None) -> str:
    traces = "".join(f"<trace>{','.join(f'{x} {y}' for x, y in stroke)}</trace>" for stroke in ink)
    truth = "" if label is None else f'<annotation type="truth">{label}</annotation>'
    return f'<ink xmlns="http://www.w3.org/2003/InkML">{truth}{traces}</ink>'


class Parrot:
    """Stands in for a model: knows some pictures by heart, and reads x in all others."""

    settings = BundleSettings(raster=RASTER, multiple=32, decoding=DecodingConfig(max_tokens=16))

    def __init__(self, known: dict[bytes, str]) -> None:
        self.known = known

    def read(self, pictures: Sequence[Picture], beam: int | None = None) -> list[Prediction]:
        latex = [self.known.get(picture.tobytes(), "x") for picture in pictures]
        return [Prediction(text, tokenize(text), 0.9 if text != "x" else 0.2) for text in latex]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four usable inks, of which a model that is loaded from `model` reads three, and three that are none."""
    folder, known = tmp_path / "inks", {}
    labels = {"a": "x^2", "deep/b": r"\frac{1}{2}", "deep/er/c": "1+1", "d.1": r"\alpha"}
    for seed, (name, label) in enumerate(labels.items()):
        path = folder / f"{name}.inkml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(inkml(strokes(seed), label))
        known[draw(strokes(seed), RASTER).tobytes()] = {"x^2": "x^{2}"}.get(label, label)
    del known[draw(strokes(2), RASTER).tobytes()]
    (folder / "unlabelled.inkml").write_text(inkml(strokes(9), None))
    (folder / "empty.inkml").touch()
    (folder / "deep/broken.inkml").write_text(inkml(strokes(9), r"\frac{1"))
    (folder / "notes.txt").write_text("no ink")
    monkeypatch.setattr(Recognizer, "load", lambda path: Parrot(known))
    return folder


def alone(*arguments: object) -> int:
    return stage.main([str(argument) for argument in arguments])


class TestAlone:
    def test_scores_what_is_labelled_and_lists_the_rest(self, folder: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        assert alone("--data", folder, "--out", out) == 0
        assert {path.name for path in out.iterdir()} == RESULTS | {"rejected.csv"}
        metrics = json.loads((out / "metrics.json").read_text())
        assert (metrics["n"], metrics["exprate"], metrics["rejected"]) == (4, 0.75, 3)
        rejected = {row["file"]: row["reason"] for row in csv.DictReader((out / "rejected.csv").open())}
        assert set(rejected) == {"unlabelled.inkml", "empty.inkml", "deep/broken.inkml"}
        assert all(rejected.values())
        assert str(tmp_path) not in "".join(rejected.values())

    def test_ids_are_paths_without_suffix(self, folder: Path, tmp_path: Path) -> None:
        alone("--data", folder, "--out", tmp_path / "out")
        rows = pq.read_table(tmp_path / "out/predictions.parquet").to_pylist()
        found = {row["id"]: (row["label"], row["prediction"], row["edits"]) for row in rows}
        assert found == {
            "a": ("x^{2}", "x^{2}", 0),
            "d.1": (r"\alpha", r"\alpha", 0),
            "deep/b": (r"\frac{1}{2}", r"\frac{1}{2}", 0),
            "deep/er/c": ("1+1", "x", 3),
        }

    def test_shows_the_picture_of_a_mistake(self, folder: Path, tmp_path: Path) -> None:
        alone("--data", folder, "--out", tmp_path / "out")
        html = (tmp_path / "out/worst.html").read_text()
        assert html.count("<img") == 1
        assert "deep/er/c" in html

    def test_ends_with_the_table_and_where_the_results_are(
        self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        alone("--data", folder, "--out", tmp_path / "out")
        *table, _, results, rejected = capsys.readouterr().out.splitlines()
        assert any("all" in line and "75.00%" in line for line in table)
        assert str(tmp_path / "out/metrics.json") in results
        assert "3 of 7 files were rejected" in rejected

    def test_limit_takes_an_even_spread(self, folder: Path, tmp_path: Path) -> None:
        alone("--data", folder, "--out", tmp_path / "out", "--limit", 3)
        rows = pq.read_table(tmp_path / "out/predictions.parquet").to_pylist()
        assert [row["id"] for row in rows] == ["a", "deep/b", "deep/er/c"]

    def test_says_why_nothing_can_be_evaluated(
        self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bare = tmp_path / "bare"
        bare.mkdir()
        assert alone("--data", bare, "--out", tmp_path / "out") == 1
        assert "no .inkml file in it or below" in capsys.readouterr().err
        assert alone("--data", tmp_path / "nowhere", "--out", tmp_path / "out") == 1
        assert "nowhere: not a folder" in capsys.readouterr().err
        shutil.copy(folder / "unlabelled.inkml", bare)
        assert alone("--data", bare, "--out", tmp_path / "out") == 1
        assert "rejected.csv" in capsys.readouterr().err
        assert "label" in (tmp_path / "out/rejected.csv").read_text()

    @pytest.mark.parametrize("arguments", [["--out", "x"], ["--limit", "0"], ["--beam", "two"]])
    def test_refuses_arguments_that_make_no_sense(self, arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as stopped:
            alone(*arguments)
        assert stopped.value.code == 2


def test_names_what_a_model_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert alone("--data", tmp_path, "--out", tmp_path / "out", "--model", tmp_path / "none") == 1
    assert str(tmp_path / "none") in capsys.readouterr().err


@pytest.mark.slow
def test_fetches_a_bundle_from_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow = connect("evaluate")  # MLflow itself remembers registry and experiment of tests before
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/bundle.json").write_text("{}")
    with mlflow.start_run() as run:
        mlflow.log_artifacts("bundle", "model/artifacts/bundle")
        source = mlflow.get_artifact_uri("model")
    client = mlflow.MlflowClient()
    client.create_registered_model("reader")
    version = client.create_model_version("reader", source, run.info.run_id).version
    client.set_registered_model_alias("reader", "challenger", version)

    assert (bundle_folder("models:/reader@challenger") / "bundle.json").read_text() == "{}"
    assert alone("--data", tmp_path, "--out", tmp_path / "out", "--model", "models:/nobody@champion") == 1
    assert "models:/nobody@champion: Registered Model with name=nobody not found" in capsys.readouterr().err


LABELS = ("x^{2}", r"\frac{1}{2}", "a+b", "y", "1")


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A test split of five inks in two shards."""
    rows = []
    for seed, latex in enumerate(LABELS):
        picture = draw(strokes(seed), RASTER)
        png = cv2.imencode(".png", picture)[1].tobytes()
        height, width = picture.shape
        rows.append(
            Row(
                f"f/{seed}",
                None,
                strokes(seed),
                (),
                png,
                width,
                height,
                latex,
                tokenize(latex),
                str(seed),
                "",
            )
        )
    folder = tmp_path / "data/shards/test"
    folder.mkdir(parents=True)
    write_shard(rows[:3], folder / "part-00000.parquet")
    write_shard(rows[3:], folder / "part-00001.parquet")
    return folder


class TestShards:
    def test_give_pictures_and_labels_as_they_were_drawn(self, shards: Path) -> None:
        samples = [entry for entry in LabelledShards(shards) if isinstance(entry, Sample)]
        assert [detokenize(sample.label) for sample in samples] == list(LABELS)
        assert all(np.array_equal(s.picture, draw(strokes(i), RASTER)) for i, s in enumerate(samples))

    def test_give_an_even_spread_and_single_pictures(self, shards: Path) -> None:
        data = LabelledShards(shards, 2)
        assert [entry.id for entry in data if isinstance(entry, Sample)] == ["f/0", "f/2"]
        pictures = LabelledShards(shards).pictures(["f/4", "f/1"])
        assert np.array_equal(pictures["f/4"], draw(strokes(4), RASTER))
        assert set(pictures) == {"f/1", "f/4"}


def test_the_pipeline_reads_the_test_split_with_the_checkpoint(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(project / "data", tmp_path / "data")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    monkeypatch.chdir(tmp_path)
    assert stage.main([]) == 0
    assert {path.name for path in (tmp_path / "reports").iterdir()} == RESULTS
    rows = pq.read_table("reports/predictions.parquet").to_pylist()
    metrics = json.loads(Path("reports/metrics.json").read_text())
    assert metrics["n"] == len(rows) == 12
    assert metrics["exprate"] == sum(row["label"] == row["prediction"] for row in rows) / 12


@pytest.mark.slow
def test_a_bundle_reads_inkml_as_the_checkpoint_reads_the_shards(
    exported: Path, params: Params, tmp_path: Path
) -> None:
    shards = exported / "data/shards/test"
    (tmp_path / "inks").mkdir()
    for row in read_table(shards, ["id", "strokes", "latex"]).to_pylist():
        ink = Ink(row["id"], strokes_of(row["strokes"]), row["latex"])
        write_inkml(ink, tmp_path / "inks" / f"{ink.id}.inkml")
    assert (
        alone("--data", tmp_path / "inks", "--out", tmp_path / "out", "--model", exported / "data/bundle")
        == 0
    )
    answers, _ = read_dataset(
        LabelledShards(shards), load_torch_recognizer(exported / "data/model.pt", params.decoding)
    )
    rows = pq.read_table(tmp_path / "out/predictions.parquet").to_pylist()
    assert [(row["id"], row["prediction"]) for row in rows] == [(a.id, detokenize(a.read)) for a in answers]
    assert [row["confidence"] for row in rows] == pytest.approx([a.confidence for a in answers], abs=1e-4)


@pytest.mark.slow
def test_real_files_are_read_in_depth(exported: Path, tmp_path: Path) -> None:
    archive = ROOT.parent / "shared/data/mathwriting-2024-excerpt.tgz"
    if not archive.exists():
        pytest.skip(f"the real data are not here: {archive}")
    with tarfile.open(archive) as members:
        wanted = [m for m in members if Path(m.name).parent.name in ("symbols", "test")]
        members.extractall(tmp_path, wanted, filter="data")
    out = tmp_path / "out"
    assert alone("--data", tmp_path, "--out", out, "--model", exported / "data/bundle", "--beam", 2) == 0
    rejected = list(csv.DictReader((out / "rejected.csv").open()))
    assert {Path(row["file"]).parent.name for row in rejected} == {"symbols"}  # accents without argument
    rows = pq.read_table(out / "predictions.parquet").to_pylist()
    assert len(rows) + len(rejected) == 200
    assert all(row["id"].startswith("mathwriting-2024-excerpt/") for row in rows)
