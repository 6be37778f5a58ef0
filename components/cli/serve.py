"""`python -m components serve`: serve the champion, or the bundled model, with API and page."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from importlib.util import find_spec
from pathlib import Path

from components.cli.base import CommandError, Commands, count

_REGISTRY = Path("mlflow.db")  # of this working folder
_TRAINING = Path(".venv/bin/python")  # the environment that has MLflow, in a checkout
_NAME = "handwritten-math-ocr"

_EXAMPLES = """examples:
  python -m components serve --open                 without API keys, on this machine
  python -m components serve --model models:/handwritten-math-ocr/3 --port 3001 --open
  python -m components serve --model data/bundle --open
  API_KEYS_FILE=keys.json python -m components serve --host 0.0.0.0

All settings are environment variables; see docs/settings.md."""


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "serve",
        help="serve a model, with a page to write on",
        description="Serves the registry's champion, or the bundled model if there is none: the page on / "
        "and the API, until Ctrl-C.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    command.add_argument("--port", type=count, default=3000, metavar="N", help="(default: %(default)s)")
    command.add_argument("--host", default="127.0.0.1", help="0.0.0.0: all (default: %(default)s)")
    command.add_argument(
        "--model",
        help="models:/NAME@ALIAS, or a bundle's folder (default: champion, else the bundled model)",
    )
    command.add_argument("--open", action="store_true", help="no API keys: as AUTH=off")
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Become the service. Raises CommandError."""
    if find_spec("bentoml") is None:
        raise CommandError(
            "BentoML is not installed: install the extra `serve`, or run `make serve` in a checkout"
        )
    version = _stored(options.model)
    environment = os.environ | ({"AUTH": "off"} if options.open else {})
    where = f"http://{options.host}:{options.port}"
    print(f"{where} will show the page when the service is ready", file=sys.stderr, flush=True)
    # Where service.py lies: the checkout, or what is installed.
    folder = str(Path(__file__).parents[2])
    arguments = ["-m", "bentoml", "serve", "service:HandwrittenMath", "--working-dir", folder]
    place = ["--arg", f"model={version}", "--host", options.host, "--port", str(options.port)]
    os.execve(sys.executable, [sys.executable, *arguments, *place], environment)


def _stored(model: str | None) -> str:
    """Put the model into BentoML's store; returns its version there. Raises CommandError."""
    if model is None and not (_REGISTRY.exists() or os.environ.get("MLFLOW_TRACKING_URI")):
        from components.deployment.model_store import store_bundled_model

        return str(store_bundled_model(_NAME).version)
    if model is not None and not model.startswith("models:/"):
        from components.deployment.model_store import store_folder
        from components.recognizer.bundle import BundleError

        try:
            return str(store_folder(_NAME, Path(model)).version)
        except BundleError as error:
            raise CommandError(str(error)) from None
    return _from_registry(model)


def _from_registry(model: str | None) -> str:
    """As `python -m flows store`, in an environment that has MLflow, which the service does not need."""
    python = sys.executable if find_spec("mlflow") else str(_TRAINING)
    if find_spec("mlflow") is None and not _TRAINING.exists():
        raise CommandError(
            "the registry needs MLflow: install the extra `train`, or name a bundle's folder with --model"
        )
    chosen = ["--model", model] if model else []
    stored = subprocess.run(
        [python, "-m", "flows", "store", *chosen], stdout=subprocess.PIPE, text=True, check=False
    )
    if stored.returncode:
        raise CommandError("no model to serve (see above); `dvc repro` trains and registers one")
    return stored.stdout.split()[-1].partition(":")[2]
