"""`python -m components serve`: serve the champion, or the bundled model, with API and page."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from pathlib import Path

from components.cli.base import CommandError, Commands, count

BENTOML = Path(".venv-serve/bin/bentoml")

_EXAMPLES = """examples:
  python -m components serve --open                 without API keys, on this machine
  python -m components serve --model models:/handwritten-math-ocr/3 --port 3001 --open
  API_KEYS_FILE=keys.json python -m components serve --host 0.0.0.0

All settings are environment variables; see docs/settings.md."""


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "serve",
        help="serve a model, with a page to write on",
        description="Serves the champion, or the bundled model if there is none: the page on / and the API, "
        "until Ctrl-C.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    command.add_argument("--port", type=count, default=3000, metavar="N", help="(default: %(default)s)")
    command.add_argument("--host", default="127.0.0.1", help="0.0.0.0: all (default: %(default)s)")
    command.add_argument(
        "--model", help="models:/NAME@ALIAS or /VERSION (default: champion, else the bundled model)"
    )
    command.add_argument("--open", action="store_true", help="no API keys: as AUTH=off")
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Become the service. Raises CommandError."""
    if not BENTOML.exists():
        raise CommandError(f"no {BENTOML}; run `./setup.sh serve` in the project's folder")
    chosen = ["--model", options.model] if options.model else []
    # A separate process: storing a model for BentoML needs MLflow, the service does not.
    stored = subprocess.run(
        [sys.executable, "-m", "flows", "store", *chosen], stdout=subprocess.PIPE, text=True, check=False
    )
    if stored.returncode:
        raise CommandError("no model to serve (see above); `dvc repro` trains and registers one")
    tag = stored.stdout.split()[-1]
    environment = os.environ | ({"AUTH": "off"} if options.open else {})
    print(
        f"http://{options.host}:{options.port} will show the page when the service is ready", file=sys.stderr
    )
    arguments = ["serve", "service:HandwrittenMath", "--arg", f"model={tag.partition(':')[2]}"]
    where = ["--host", options.host, "--port", str(options.port)]
    os.execve(BENTOML, [str(BENTOML), *arguments, *where], environment)
