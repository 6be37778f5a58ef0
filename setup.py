"""Add the bundled model to the wheel; all else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

MODEL = Path("models/default")


class BuildWithModel(build_py):
    """The bundle without its checkpoint: what reading needs, and its card and figures."""

    def run(self) -> None:
        super().run()
        target = Path(self.build_lib) / "handwritten_math" / "model"
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(MODEL.iterdir()):
            if file.suffix in (".onnx", ".json", ".md", ".png"):
                shutil.copyfile(file, target / file.name)


setup(cmdclass={"build_py": BuildWithModel})
