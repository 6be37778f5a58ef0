"""The command line: `handwritten-math`, or in a checkout `python -m components`."""

# PYTHON_ARGCOMPLETE_OK
from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from components import VERSION
from components.cli.base import Command, CommandError

# Each is a module of components.cli, imported only if it is called: a container has `keys` alone.
_COMMANDS = {
    "predict": "read pictures and InkML files",
    "serve": "serve a model, with a page to write on",
    "keys": "create, list and revoke API keys",
    "doctor": "check this machine, and say what to do",
    "data": "look at the data",
    "report": "look at reports",
}
_EXAMPLES = """examples:
  python -m components predict docs/sample.png        read a picture
  python -m components serve --open                   the page to write on, on port 3000
  python -m components keys add "Ada's tablet"        create an API key
  python -m components doctor                         what is missing on this machine
  python -m components data show test                 samples of the test split
  python -m components report open                    the mistakes on the test split

Completion in bash or zsh: eval "$(register-python-argcomplete handwritten-math)"
"""
_MODULE, _SCRIPT = "python -m components", "handwritten-math"
_TRAINING = {"pyarrow", "pandas", "matplotlib", "torch", "mlflow", "dvc"}  # of the extra `train`


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    program = _SCRIPT if Path(sys.argv[0]).stem == _SCRIPT else _MODULE
    try:
        parser = _parser(given, program)
        _complete(parser)
        options = parser.parse_args(given)
        status: int = options.run(options)
    except CommandError as error:
        print(f"{given[0]}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _TRAINING:
            raise
        needed = f"{given[0]} needs {package}: install the extra `train`, or run `make env` in a checkout"
        print(f"{program}: {needed}", file=sys.stderr)
        return 1
    return status


def _parser(given: Sequence[str], program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Handwritten mathematics to LaTeX.",
        epilog=_EXAMPLES.replace(_MODULE, program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{_SCRIPT} {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, summary in _COMMANDS.items():
        if given[:1] == [name] or (not given and _completing()):
            command: Command = import_module(f"components.cli.{name}")
            command.add(commands)
            added = commands.choices[name]
            added.epilog = added.epilog and added.epilog.replace(_MODULE, program)
        else:
            commands.add_parser(name, help=summary)
    return parser


def _completing() -> bool:
    """Whether a shell asks for completions: then all commands are wanted, with their options."""
    return "_ARGCOMPLETE" in os.environ


def _complete(parser: argparse.ArgumentParser) -> None:
    if _completing():
        import argcomplete

        argcomplete.autocomplete(parser)


if __name__ == "__main__":
    sys.exit(main())
