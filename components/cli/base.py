"""The interface of a command."""

from __future__ import annotations

import argparse
from typing import Protocol, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # result of `add_subparsers`


class CommandError(Exception):
    """The command failed; the message says why, and what to do."""


class Command(Protocol):
    """A module of this package."""

    def add(self, commands: Commands) -> None:
        """Add a parser whose default `run` takes the parsed arguments and returns the exit status."""


def count(text: str) -> int:
    """Parse a positive integer."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return number
