"""`python -m components keys`: create, list, limit and revoke API keys."""

from __future__ import annotations

import os
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from datetime import timedelta
from pathlib import Path

from components.cli.base import CommandError, Commands
from components.serving.access.api_keys import (
    RELOAD_SECONDS,
    Key,
    KeyLimits,
    add_key,
    describe,
    list_keys,
    revoke,
    set_limits,
)
from components.serving.settings import load_settings

_EXAMPLES = """examples:
  python -m components keys add "Ada's tablet" --expires 90 --minute 60
  python -m components keys add "Grace" --admin
  python -m components keys list
  python -m components keys limit 3f9c2a7b --day 5000
  python -m components keys revoke 3f9c2a7b"""


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "keys",
        help="create, list, limit and revoke API keys",
        description="Creates, lists, limits and revokes API keys. The file holds hashes, not keys.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--file",
        type=Path,
        default=Path(os.environ.get("API_KEYS_FILE") or "keys.json"),
        help="keys file (default: API_KEYS_FILE, else keys.json)",
    )
    verbs = command.add_subparsers(required=True, dest="verb", metavar="VERB")
    new = verbs.add_parser("add", help="create a key, and show it this once")
    new.add_argument("name", help="the key's owner")
    new.add_argument("--expires", type=int, metavar="DAYS", help="days of validity (default: no expiry)")
    new.add_argument("--admin", action="store_true", help="it may manage keys, and see everybody's usage")
    limited = verbs.add_parser("limit", help="replace a key's own limits; those left out are the defaults")
    limited.add_argument("id")
    for verb in (new, limited):
        for tier in KeyLimits.model_fields:
            option = f"--{tier.replace('_', '-')}"
            verb.add_argument(option, type=int, metavar="N", help=f"its own limit: {tier}")
    verbs.add_parser("list", help="list all keys, without their secrets")
    verbs.add_parser("revoke", help="revoke a key").add_argument("id")
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Do what the verb says. Raises CommandError."""
    try:
        {"add": _add, "list": _list, "limit": _limit, "revoke": _revoke}[options.verb](options)
    except ValueError as error:  # KeysError, or a limit below 1
        raise CommandError(str(error)) from None
    return 0


def _add(options: Namespace) -> None:
    expires = timedelta(days=options.expires) if options.expires else None
    pepper = load_settings().api_key_pepper.get_secret_value()
    key = add_key(options.file, options.name, pepper, expires, _limits(options), options.admin)
    print(f"{options.file}: written. The key, which is not shown again:", file=sys.stderr)
    print(key)


def _list(options: Namespace) -> None:
    for key in list_keys(options.file):
        print(describe(key))


def _limit(options: Namespace) -> None:
    key = set_limits(options.file, options.id, _limits(options))
    print(f"{_named(key)} has new limits; a running service applies them within {RELOAD_SECONDS:.0f} s")


def _revoke(options: Namespace) -> None:
    key = revoke(options.file, options.id)
    print(f"{_named(key)} is revoked; a running service applies it within {RELOAD_SECONDS:.0f} s")


def _limits(options: Namespace) -> KeyLimits:
    return KeyLimits(**{tier: getattr(options, tier) for tier in KeyLimits.model_fields})


def _named(key: Key) -> str:
    return f"{key.id} ({key.name})"
