"""What a command is to the command line."""

from __future__ import annotations

import argparse
from typing import Protocol, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # what `add_subparsers` returns


class CommandError(Exception):
    """The command can't do it; the message says why, and what to do."""


class Command(Protocol):
    """A module of this package."""

    def add(self, commands: Commands) -> None:
        """Adds its parser, whose default `run` takes the parsed arguments and returns the exit status."""


def count(text: str) -> int:
    """An argument that is a whole number from 1."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return number
