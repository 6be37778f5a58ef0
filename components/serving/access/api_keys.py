"""API keys: made, listed and revoked by a command; the service knows only their hashes.

    python -m components.serving.access.api_keys add "Ada's tablet" --expires 90 --minute 60
    python -m components.serving.access.api_keys list
    python -m components.serving.access.api_keys revoke 3f9c2a7b

A key is `hm_ID_SECRET`. The ID finds the entry; the secret has 256 random bits, so that a fast hash
(HMAC-SHA-256, RFC 2104, with the pepper as its key) is as safe as a slow one.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import logging
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from fcntl import LOCK_EX, flock
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from components.serving.settings import Settings, load_settings

_PREFIX = "hm_"
_LOOK = 5.0  # seconds between two looks at the file
_NOBODY = "0" * 64  # compared with where no entry is found: a wrong ID takes as long as a wrong secret

logger = logging.getLogger(__name__)


class KeyLimits(BaseModel):
    """What one key may, where it differs from the rest; None: as the rest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minute: int | None = Field(None, ge=1)
    hour: int | None = Field(None, ge=1)
    day: int | None = Field(None, ge=1)
    at_once: int | None = Field(None, ge=1)


class Key(BaseModel):
    """An entry of the file of keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{8}$")
    name: str = Field(min_length=1, max_length=100)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None
    limits: KeyLimits = KeyLimits()


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[Key, ...] = ()


class KeysError(ValueError):
    """The keys can't be used as they are; the message says where and why."""


class Keys:
    """The keys that the service knows."""

    def __init__(self, settings: Settings) -> None:
        """Raises KeysError where keys are configured that can't be read."""
        self._pepper = settings.api_key_pepper.get_secret_value()
        self._path = settings.api_keys_file
        self._looked = time.monotonic()
        self._text, where = "", "API_KEYS"
        if self._path is not None:
            self._text, where = _text(self._path), str(self._path)
        elif settings.api_keys is not None:
            self._text = settings.api_keys.get_secret_value()
        self._entries = _by_id(_parsed(self._text, where)) if self._text else {}

    def __len__(self) -> int:
        """How many can be used now."""
        return sum(_fault(key) is None for key in self._entries.values())

    def find(self, presented: str) -> Key | None:
        """The entry of a key that is known and neither revoked nor expired."""
        self._look()
        id, _, secret = presented.removeprefix(_PREFIX).partition("_")
        key = self._entries.get(id) if presented.startswith(_PREFIX) else None
        expected = key.hash if key is not None else _NOBODY
        if not hmac.compare_digest(hashed(secret, self._pepper), expected) or key is None:
            return None
        return key if _fault(key) is None else None

    def _look(self) -> None:
        """Reads the file again; keeps what was known where it can't be read.

        The text is compared, and not the time of its last change, which mounted secrets do not tell.
        """
        now = time.monotonic()
        if self._path is None or now - self._looked < _LOOK:
            return
        self._looked = now
        try:
            text = _text(self._path)
            if text != self._text:
                self._entries = _by_id(_parsed(text, str(self._path)))
                self._text = text
                logger.info("API keys read again: %d can be used", len(self))
        except KeysError as error:
            logger.error("the API keys stay as they were: %s", error)


def hashed(secret: str, pepper: str) -> str:
    """What is stored of a key's secret."""
    return hmac.new(pepper.encode(), secret.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def add(
    path: Path, name: str, pepper: str, expires: timedelta | None = None, limits: KeyLimits | None = None
) -> str:
    """Makes a key and its entry. Returns the key, which nothing else ever shows. Raises KeysError."""
    id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        entry = Key(
            id=id,
            name=name,
            hash=hashed(secret, pepper),
            created=now,
            expires=now + expires if expires else None,
            limits=limits or KeyLimits(),
        )
    except ValidationError as error:
        raise KeysError(
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        ) from None
    with _changing(path) as entries:
        entries.append(entry)
    return f"{_PREFIX}{id}_{secret}"


def revoke(path: Path, id: str) -> Key:
    """Marks an entry as revoked. Raises KeysError where there is none."""
    with _changing(path) as entries:
        for index, key in enumerate(entries):
            if key.id == id:
                entries[index] = key.model_copy(update={"revoked": datetime.now(UTC).replace(microsecond=0)})
                return entries[index]
        raise KeysError(f"{path}: there is no key {id}; `list` shows those there are")


def known(path: Path) -> tuple[Key, ...]:
    """All entries. Raises KeysError."""
    return _read(path).keys


@contextmanager
def _changing(path: Path) -> Iterator[list[Key]]:
    """The entries, to be changed; written whole or not at all, by one process at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        entries = list(_read(path).keys) if path.exists() else []
        yield entries
        beside = path.with_name(f".{path.name}.part")
        beside.touch(mode=0o600)
        beside.write_text(_File(keys=tuple(entries)).model_dump_json(indent=2, exclude_none=True) + "\n")
        beside.replace(path)


def _by_id(file: _File) -> dict[str, Key]:
    return {key.id: key for key in file.keys}


def _read(path: Path) -> _File:
    return _parsed(_text(path), str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise KeysError(
            f"{path}: {error.strerror}; `python -m components.serving.access.api_keys add` makes it"
        ) from None
    except UnicodeDecodeError:
        raise KeysError(f"{path}: not text") from None


def _parsed(text: str, where: str) -> _File:
    try:
        return _File.model_validate_json(text)
    except ValidationError as error:
        # Not the values: the file holds hashes.
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise KeysError(f"{where}: {faults}") from None


def _fault(key: Key) -> str | None:
    """Why a key can't be used."""
    if key.revoked is not None:
        return f"revoked {key.revoked:%Y-%m-%d}"
    if key.expires is not None and key.expires <= datetime.now(UTC):
        return f"expired {key.expires:%Y-%m-%d}"
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m components.serving.access.api_keys", description="Makes, lists and revokes API keys."
    )
    parser.add_argument(
        "--file", type=Path, default=Path(os.environ.get("API_KEYS_FILE") or "keys.json"),
        help="file of keys (default: API_KEYS_FILE, else keys.json)",
    )  # fmt: skip
    commands = parser.add_subparsers(required=True, dest="command")
    new = commands.add_parser("add", help="make a key, and show it this once")
    new.add_argument("name", help="whose it is")
    new.add_argument(
        "--expires", type=int, metavar="DAYS", help="days that it is good for (default: for ever)"
    )
    for tier in KeyLimits.model_fields:
        new.add_argument(f"--{tier.replace('_', '-')}", type=int, metavar="N", help=f"its own limit: {tier}")
    commands.add_parser("list", help="show all keys, without their secrets")
    commands.add_parser("revoke", help="make a key unusable").add_argument("id")
    options = parser.parse_args(arguments)
    try:
        if options.command == "add":
            limits = KeyLimits(**{tier: getattr(options, tier) for tier in KeyLimits.model_fields})
            expires = timedelta(days=options.expires) if options.expires else None
            pepper = load_settings().api_key_pepper.get_secret_value()
            made = add(options.file, options.name, pepper, expires, limits)
            print(f"{options.file}: written. The key, which is not shown again:", file=sys.stderr)
            print(made)
        elif options.command == "revoke":
            gone = revoke(options.file, options.id)
            print(f"{gone.id} ({gone.name}) is revoked; a running service knows within {_LOOK:.0f} s")
        else:
            for key in known(options.file):
                own = ", ".join(f"{tier} {n}" for tier, n in key.limits.model_dump(exclude_none=True).items())
                state = _fault(key) or (f"until {key.expires:%Y-%m-%d}" if key.expires else "for ever")
                print(
                    f"{key.id}  {key.created:%Y-%m-%d}  {state:20}  {key.name}{f'  ({own})' if own else ''}"
                )
    except ValueError as error:  # KeysError, or a limit that is no number of requests
        print(f"keys: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
