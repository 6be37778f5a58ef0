"""A fresh copy of the repository to run commands in, as a user does in a clone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
LOGGED = "dvc.log"  # what `dvc repro` said in a trained clone


class Clone:
    """A copy of the repository with the preset of the tests: fresh, or a copy of one that is trained."""

    def __init__(self, folder: Path, trained: Path | None = None) -> None:
        self.folder = folder
        self.environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.environment.pop("MLFLOW_TRACKING_URI", None)
        if trained is None:
            self._fill()
            self.change("params.yaml", lambda params: params | {"preset": "ci"})
        else:
            shutil.copytree(trained, folder, symlinks=True, dirs_exist_ok=True)

    def _fill(self) -> None:
        """Copies the files of the repository, also those that are not committed yet."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.folder / name)
        subprocess.run(["git", "init", "-q"], cwd=self.folder, check=True)

    def change(self, file: str, how: Callable[[dict], dict]) -> None:
        path = self.folder / file
        path.write_text(yaml.safe_dump(how(yaml.safe_load(path.read_text())), sort_keys=False))

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def run(self, *command: str) -> str:
        process = self.start(*command)
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0, output
        return output

    def repro(self, *arguments: str) -> list[str]:
        """Runs `dvc repro`; returns the stages that ran."""
        return stages_in(self.run("dvc", "repro", *arguments))

    def read(self, file: str) -> dict:
        return json.loads((self.folder / file).read_text())


def stages_in(output: str) -> list[str]:
    """The stages that ran, by what `dvc repro` said."""
    return [stage for stage in STAGES if f"Running stage '{stage}'" in output]


def small(preset: dict) -> dict:
    """Formulas of at most four tokens, of which a small model reads a tenth after ten epochs."""
    preset["data"]["synthetic"] |= {"train": 800, "valid": 60, "test": 150, "writers": 40, "max_tokens": 4}
    preset["model"] |= {"decoder_width": 64, "decoder_heads": 4}
    preset["train"] |= {"lr": 0.004, "ema": 0.95, "epochs": 2}
    return preset


def train(folder: Path) -> None:
    """Makes a fresh clone, and runs in it all stages but `register`, whose registry is each story's own."""
    clone = Clone(folder)
    clone.change("presets/ci.yaml", small)
    (folder / LOGGED).write_text(clone.run("dvc", "repro", "export"), encoding="utf-8")
    for path in ("mlartifacts", ".dvc/tmp"):  # MLflow keeps absolute paths
        shutil.rmtree(folder / path, ignore_errors=True)
    (folder / "mlflow.db").unlink()
