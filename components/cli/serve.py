"""`python -m components serve`: the champion, or the shipped model, behind API and page."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from pathlib import Path

from components.cli.base import CommandError, Commands, count

BENTOML = Path(".venv-serve/bin/bentoml")

_EXAMPLES = """examples:
  python -m components serve --open                 everybody may read, on this machine
  python -m components serve --model models:/handwritten-math-ocr/3 --port 3001 --open
  API_KEYS_FILE=keys.json python -m components serve --host 0.0.0.0

All settings are environment variables; README.md has them."""


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "serve",
        help="serve a model, with a page to write on",
        description="Serves the champion, or until there is one the model that comes with the repository: "
        "the page on /, the API beside it, until Ctrl-C.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    command.add_argument("--port", type=count, default=3000, metavar="N", help="(default: %(default)s)")
    command.add_argument("--host", default="127.0.0.1", help="0.0.0.0: all (default: %(default)s)")
    command.add_argument(
        "--model", help="models:/NAME@ALIAS or /VERSION (default: champion, else the shipped one)"
    )
    command.add_argument("--open", action="store_true", help="without keys: as AUTH=off in the environment")
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Becomes the service. Raises CommandError where it can't."""
    if not BENTOML.exists():
        raise CommandError(f"there is no {BENTOML}; `./setup.sh serve` makes it, in the project's folder")
    chosen = ["--model", options.model] if options.model else []
    # A program of its own: what packs a model for BentoML needs all of MLflow, and the service none of it.
    stored = subprocess.run(
        [sys.executable, "-m", "flows", "store", *chosen], stdout=subprocess.PIPE, text=True, check=False
    )
    if stored.returncode:
        raise CommandError("there is no model to serve, as said above; `dvc repro` trains and registers one")
    tag = stored.stdout.split()[-1]
    environment = os.environ | ({"AUTH": "off"} if options.open else {})
    print(f"http://{options.host}:{options.port} is the page, once it is ready", file=sys.stderr)
    arguments = ["serve", "service:HandwrittenMath", "--arg", f"model={tag.partition(':')[2]}"]
    where = ["--host", options.host, "--port", str(options.port)]
    os.execve(BENTOML, [str(BENTOML), *arguments, *where], environment)
