"""The command line: `python -m components COMMAND --help` shows examples of each command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from components.cli.base import Command, CommandError

# Each is a module of components.cli, imported only if it is called: a container has `keys` alone.
_COMMANDS = {
    "predict": "read pictures and InkML files",
    "serve": "serve a model, with a page to write on",
    "keys": "create, list and revoke API keys",
    "data": "look at the data",
    "report": "look at reports",
}
_EXAMPLES = """examples:
  python -m components predict docs/sample.png        read a picture
  python -m components serve --open                   the page to write on, on port 3000
  python -m components keys add "Ada's tablet"        create an API key
  python -m components data show test                 samples of the test split
  python -m components report open                    the mistakes on the test split"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="python -m components",
        description="Handwritten mathematics to LaTeX.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, summary in _COMMANDS.items():
        if given[:1] == [name]:
            command: Command = import_module(f"components.cli.{name}")
            command.add(commands)
        else:
            commands.add_parser(name, help=summary)
    options = parser.parse_args(given)
    try:
        status: int = options.run(options)
    except CommandError as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
