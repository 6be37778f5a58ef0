"""The command line for people: `python -m components COMMAND --help` has examples of each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from components.cli import data, predict, report, serve
from components.cli.base import Command, CommandError

_COMMANDS: tuple[Command, ...] = (predict, serve, data, report)
_EXAMPLES = """examples:
  python -m components predict docs/sample.png        what stands on a picture
  python -m components serve --open                   the page to write on, on port 3000
  python -m components data show test                 what the data look like
  python -m components report open                    what went wrong"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m components",
        description="Handwritten mathematics to LaTeX.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for command in _COMMANDS:
        command.add(commands)
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
    except CommandError as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
