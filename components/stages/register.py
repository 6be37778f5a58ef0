"""Stage `register`: register the bundle as a version in the MLflow registry, with its lineage."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import components
from components.config import Params, load_params
from components.files import write_json
from components.recognizer.bundle import CARD, Bundle, load_bundle
from components.registry.bundles import dvc_hashes
from components.registry.mlflow_client import connect, git_commit, tracking_errors, tracking_uri

BUNDLE, METRICS = Path("data/bundle"), Path("reports/metrics.json")
TRAINING, REPORT = Path("reports/train.json"), Path("reports/registered.json")

_SOURCE = Path(components.__path__[0])
_MODEL = Path("registry/pyfunc_model.py")
_MODULES = (Path("__init__.py"), Path("files.py"), _MODEL)
_PACKAGES = ("ink", "latex", "recognizer")  # of `components`: what inference needs
_REQUIREMENTS = ("mlflow", "numpy", "opencv-python-headless", "pillow", "lxml", "pydantic", "onnxruntime")


def register(params: Params) -> dict[str, Any]:
    """Register the bundle, or find its version, and point the alias at it.

    Returns what the report says. The same bundle with the same code to read it is registered once.
    """
    name, alias = params.register_.name, params.register_.alias
    bundle = load_bundle(BUNDLE)
    mlflow = connect(name)
    client = mlflow.MlflowClient()
    identity = {"bundle": bundle.version, "code": _code_hash()}
    known = [
        found
        for found in client.search_model_versions(f"name = '{name}'")
        if identity.items() <= found.tags.items()
    ]
    model = known[0] if known else _new_version(mlflow, name, bundle, identity)
    client.set_registered_model_alias(name, alias, model.version)
    return {
        "model": f"models:/{name}@{alias}",
        "version": int(model.version),
        "bundle": bundle.version,
        "run": model.run_id,
        "registry": tracking_uri(),
        "new": not known,
    }


def _new_version(mlflow: ModuleType, name: str, bundle: Bundle, identity: dict[str, str]) -> Any:
    training = json.loads(TRAINING.read_text(encoding="utf-8")).get("mlflow_run")
    metrics = _figures(json.loads(METRICS.read_text(encoding="utf-8")))
    lineage = {**identity, "git_commit": git_commit(), "training_run": training or "unknown"}
    lineage |= {f"dvc.{path}": md5 for path, md5 in dvc_hashes().items()}
    below = {"mlflow.parentRunId": training} if training else {}
    with mlflow.start_run(run_name=f"register {bundle.version}", tags={**lineage, **below}):
        logged = _log(mlflow, bundle)
        mlflow.log_metrics(metrics, model_id=logged.model_id)
        # Tags are set with the version, not after it: a killed run leaves no version without them.
        made = mlflow.register_model(logged.model_uri, name, tags=lineage)
    card = (bundle.folder / CARD).read_text(encoding="utf-8")
    mlflow.MlflowClient().update_model_version(name, made.version, description=card)
    return made


def _log(mlflow: ModuleType, bundle: Bundle) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    # An unnamed column, so that a list will do; of bytes, for which MLflow accepts strings.
    signature = ModelSignature(
        Schema([ColSpec(DataType.binary)]),
        Schema(
            [
                ColSpec(DataType.string, "latex"),
                ColSpec(DataType.double, "confidence"),
                ColSpec(DataType.string, "error"),
            ]
        ),
        ParamSchema([ParamSpec("beam", DataType.long, 0)]),
    )
    # It asks for the version of pip, which an environment of uv lacks.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    with TemporaryDirectory() as folder, _no_bytecode():
        code = Path(folder) / _SOURCE.name
        for file in _code():
            (code / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(_SOURCE / file, code / file)
        return mlflow.pyfunc.log_model(
            name="bundle",
            python_model=str(_SOURCE / _MODEL),
            artifacts={"bundle": str(bundle.folder)},
            code_paths=[str(code)],
            signature=signature,
            input_example=[_EXAMPLE],
            pip_requirements=[f"{package}=={version(package)}" for package in _REQUIREMENTS],
        )


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Keep MLflow, which imports the packed model to check it, from leaving `__pycache__` beside it."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _code() -> list[Path]:
    """The code files packed with the model, relative to `components`."""
    inside = [path for package in _PACKAGES for path in (_SOURCE / package).rglob("*.py")]
    return [*_MODULES, *sorted(path.relative_to(_SOURCE) for path in inside)]


def _code_hash() -> str:
    total = hashlib.sha256()
    for file in _code():
        total.update(f"{file.as_posix()}\0".encode() + (_SOURCE / file).read_bytes() + b"\0")
    return total.hexdigest()[:16]


def _figures(metrics: dict[str, Any]) -> dict[str, float]:
    """The numbers of the report, which MLflow accepts as metrics."""
    return {
        f"test_{name}": float(value)
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


_EXAMPLE = (
    '<ink xmlns="http://www.w3.org/2003/InkML">'
    "<trace>0 0, 4 5, 9 12</trace><trace>9 0, 5 6, 0 12</trace></ink>"
)


def main() -> None:
    """Run the stage with params.yaml."""
    try:
        params = load_params()
        connect(params.register_.name)  # first of all: whether the server answers
        with tracking_errors():
            done = register(params)
    except (ValueError, OSError) as error:
        sys.exit(f"register: {error}")
    write_json(done, REPORT)
    how = "registered as" if done["new"] else "was registered already:"
    print(f"bundle {done['bundle']} {how} {done['model']}, version {done['version']}, in {done['registry']}")
    if done["registry"].startswith("sqlite:"):
        print(f"all versions: MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri {done['registry']}")


if __name__ == "__main__":
    main()
