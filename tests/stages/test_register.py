"""A bundle gets into MLflow's registry once, with what it came from, and reads from there without PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from components.config import Params
from components.ink.raster import RasterSettings, draw
from components.recognizer.bundle import FILES
from components.recognizer.recognizer import Recognizer
from components.registry.bundles import bundle_folder
from components.registry.mlflow_client import connect
from components.stages import register
from tests.architecture.imports import modules, reachable
from tests.recognizer.inks import formula
from tests.shared import copy_of
from tests.tiny import METRICS

pytestmark = pytest.mark.slow

LOCK = """
schema: '2.0'
stages:
  train:
    cmd: python -m components.stages.train
    outs:
    - path: data/model.pt
      hash: md5
      md5: 0123456789abcdef0123456789abcdef
"""

# What a user runs who has no torch: the import of it fails, and pickles are refused.
WITHOUT_TORCH = """
import base64, json, sys
sys.modules["torch"] = sys.modules["dvc"] = sys.modules["timm"] = None
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/handwritten-math-ocr@challenger")
import components.recognizer
assert "mlartifacts" in components.recognizer.__file__  # not this repository's, which the user lacks
png = open("formula.png", "rb").read()
text = base64.b64encode(png).decode()
inkml = '<ink><trace>0 0, 4 5, 9 12</trace><trace>9 0, 0 12</trace></ink>'
rows = [png, text, "data:image/png;base64," + text, "formula.png"]
answers = [
    model.predict(rows),
    model.predict(pandas.DataFrame({"picture": [png, png]})),
    model.predict([inkml, "nowhere.png", b"no picture"]),
    model.predict([png], params={"beam": 2}),
]
print(json.dumps([answer.to_dict("records") for answer in answers]))
"""


@pytest.fixture(scope="module")
def registered(exported: Path, params: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder after `register`, run twice."""
    folder = copy_of(exported, tmp_path_factory.mktemp("registered") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        Path("dvc.lock").write_text(LOCK)
        assert register.register(params)["new"]
        again = register.register(params)
        assert (again["new"], again["version"]) == (False, 1)
        png = cv2.imencode(".png", draw(formula(), RasterSettings()))[1].tobytes()
        Path("formula.png").write_bytes(png)
    return folder


@pytest.fixture
def here(registered: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(registered)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return registered


def test_a_version_tells_what_it_came_from_and_how_well_it_reads(here: Path) -> None:
    client = connect().MlflowClient()
    [version] = client.search_model_versions("name = 'handwritten-math-ocr'")
    assert version.tags["dvc.data/model.pt"] == "0123456789abcdef0123456789abcdef"
    assert {"git_commit", "training_run", "bundle"} <= set(version.tags)
    assert client.get_model_version_by_alias("handwritten-math-ocr", "challenger").version == version.version
    assert "Training data" in version.description
    assert client.get_run(version.run_id).data.metrics == {
        f"test_{name}": value for name, value in METRICS.items() if value is not None
    }


def test_everything_is_in_the_sqlite_file_and_its_folder(here: Path) -> None:
    assert (here / "mlflow.db").exists() and (here / "mlartifacts").is_dir()
    assert not (here / "mlruns").exists()


def test_nothing_is_pickled_and_only_what_reading_needs_is_packed(here: Path) -> None:
    files = [path for path in (here / "mlartifacts").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= set(FILES)
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".pyc")]
    assert not [path for path in files if "stages" in path.parts]
    [requirements] = (path for path in files if path.name == "requirements.txt")
    assert "onnxruntime==" in requirements.read_text() and "torch" not in requirements.read_text()


def test_the_packed_code_is_all_that_it_imports() -> None:
    packed = {register._SOURCE / file for file in register._code()}
    needed = {modules()[name] for name in reachable(["components.registry.pyfunc_model"]) & modules().keys()}
    assert {register._SOURCE / "registry/pyfunc_model.py", register._SOURCE / "files.py"} <= packed
    empty = {register._SOURCE / "registry/__init__.py"}  # a docstring; MLflow imports the model by its path
    assert needed - packed - empty == set()


def test_it_reads_pictures_and_ink_without_torch_and_without_pickle(here: Path, tmp_path: Path) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "MLFLOW_TRACKING_URI": f"sqlite:///{here / 'mlflow.db'}",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    (tmp_path / "formula.png").write_bytes((here / "formula.png").read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    same, table, mixed, beams = json.loads(done.stdout.splitlines()[-1])
    recognizer = Recognizer.load(here / "data/bundle")
    png = (here / "formula.png").read_bytes()
    for beam, rows in ((None, same + table), (2, beams)):
        reading = recognizer.read_file(png, beam)
        for row in rows:
            assert (row["latex"], row["error"]) == (reading.latex, "")
            assert row["confidence"] == pytest.approx(reading.confidence, rel=1e-4)
    assert [bool(row["error"]) for row in mixed] == [False, True, True]
    assert "nowhere.png" in mixed[1]["error"] and "picture" in mixed[2]["error"]


def test_the_registry_s_address_names_a_bundle(here: Path) -> None:
    bundle = bundle_folder("models:/handwritten-math-ocr@challenger")
    assert {path.name for path in bundle.iterdir()} == set(FILES)
    with pytest.raises(ValueError, match=r"models:/handwritten-math-ocr@champion: .*champion"):
        bundle_folder("models:/handwritten-math-ocr@champion")


def test_a_server_is_used_where_the_environment_names_one(
    here: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
    done = register.register(params)
    assert done["new"] and done["registry"].endswith("other.db")
    assert (tmp_path / "mlartifacts").is_dir()
