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
STAGES = ["download", "rasterize", "validate", "vocab", "train", "evaluate", "export", "register"]


class Clone:
    """A fresh copy of the repository, with the preset of the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        self.change("params.yaml", lambda params: params | {"preset": "ci"})
        self.environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.environment.pop("MLFLOW_TRACKING_URI", None)

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
        output = self.run("dvc", "repro", *arguments)
        return [stage for stage in STAGES if f"Running stage '{stage}'" in output]

    def read(self, file: str) -> dict:
        return json.loads((self.folder / file).read_text())
