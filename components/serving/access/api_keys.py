"""API keys: created, listed and revoked in a file; the service knows only their hashes.

A key is `hm_ID_SECRET`. The ID finds the entry; the secret has 256 random bits, so that a fast hash
(HMAC-SHA-256, RFC 2104, keyed with the pepper) is as safe as a slow one. `python -m components keys` edits
the file.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from components.files import atomic_write
from components.serving.settings import Settings

_PREFIX = "hm_"
RELOAD_SECONDS = 5.0  # between two checks of the file
_DUMMY_HASH = "0" * 64  # compared if no entry is found: a wrong ID takes as long as a wrong secret

logger = logging.getLogger(__name__)


class KeyLimits(BaseModel):
    """A key's own limits; None: the default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minute: int | None = Field(None, ge=1)
    hour: int | None = Field(None, ge=1)
    day: int | None = Field(None, ge=1)
    at_once: int | None = Field(None, ge=1)


class Key(BaseModel):
    """An entry of the keys file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{8}$")
    name: str = Field(min_length=1, max_length=100)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None
    limits: KeyLimits = KeyLimits()
    admin: bool = False  # may manage keys, and see everybody's usage


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[Key, ...] = ()


class KeysError(ValueError):
    """The keys are unusable; the message says where and why."""


class UnknownKeyError(KeysError):
    """There is no key with this ID."""


class ReadOnlyKeysError(KeysError):
    """The keys are not in a file that the service may write."""


class Keys:
    """The keys that the service accepts."""

    def __init__(self, settings: Settings) -> None:
        """Raises KeysError for configured keys that can't be read."""
        self._pepper = settings.api_key_pepper.get_secret_value()
        self._path = settings.api_keys_file
        self._checked_at = time.monotonic()
        self._text, where = "", "API_KEYS"
        if self._path is not None:
            self._text, where = _text(self._path), str(self._path)
        elif settings.api_keys is not None:
            self._text = settings.api_keys.get_secret_value()
        self._entries = _by_id(_parsed(self._text, where)) if self._text else {}
        self._ranked: dict[str, Key] | None = None  # the entries that `_ranks` is about
        self._ranks: dict[str, int] = {}

    def __len__(self) -> int:
        """The number of valid keys."""
        return sum(_fault(key) is None for key in self._entries.values())

    def find(self, presented: str) -> Key | None:
        """The entry of a valid key; None if it is unknown, revoked or expired."""
        self._reload()
        id, _, secret = presented.removeprefix(_PREFIX).partition("_")
        key = self._entries.get(id) if presented.startswith(_PREFIX) else None
        expected = key.hash if key is not None else _DUMMY_HASH
        if not hmac.compare_digest(hashed(secret, self._pepper), expected) or key is None:
            return None
        return key if _fault(key) is None else None

    def entries(self, now: bool = False) -> tuple[Key, ...]:
        """All entries, oldest first; with `now` as the file has them at this moment. Raises KeysError."""
        if now and self._path is not None:
            return _read(self._path).keys
        self._reload()
        return _oldest_first(self._entries)

    def rank(self, id: str) -> int:
        """How many keys are older than this one; of an unknown one, the number of all."""
        if self._ranked is not self._entries:
            order = enumerate(_oldest_first(self._entries))
            self._ranked, self._ranks = self._entries, {key.id: rank for rank, key in order}
        return self._ranks.get(id, len(self._ranks))

    def add(self, name: str, expires: timedelta | None, limits: KeyLimits, admin: bool) -> tuple[str, Key]:
        """Create a key, which counts at once. Returns it and its entry. Raises KeysError and OSError."""
        secret = add_key(self._editable(), name, self._pepper, expires, limits, admin)
        self._reload(now=True)
        return secret, self._entries[secret.removeprefix(_PREFIX).partition("_")[0]]

    def limit(self, id: str, limits: KeyLimits) -> Key:
        """Replace a key's limits, at once. Raises KeysError and OSError."""
        entry = set_limits(self._editable(), id, limits)
        self._reload(now=True)
        return entry

    def revoke(self, id: str) -> Key:
        """Revoke a key, at once. Raises KeysError and OSError."""
        entry = revoke(self._editable(), id)
        self._reload(now=True)
        return entry

    def _editable(self) -> Path:
        """The keys file. Raises ReadOnlyKeysError."""
        if self._path is None:
            raise ReadOnlyKeysError("The keys come from the environment: they can't be changed here.")
        if not (os.access(self._path, os.W_OK) and os.access(self._path.parent, os.W_OK)):
            raise ReadOnlyKeysError("The keys are mounted read-only: change them where they come from.")
        return self._path

    def _reload(self, now: bool = False) -> None:
        """Reload the file if it has changed; keep the current keys if it can't be read.

        Compares the text, not the modification time, which mounted secrets do not update.
        """
        moment = time.monotonic()
        if self._path is None or (moment - self._checked_at < RELOAD_SECONDS and not now):
            return
        self._checked_at = moment
        try:
            text = _text(self._path)
            if text != self._text:
                self._entries = _by_id(_parsed(text, str(self._path)))
                self._text = text
                logger.info("API keys reloaded: %d valid", len(self))
        except KeysError as error:
            logger.error("the API keys are unchanged: %s", error)


def hashed(secret: str, pepper: str) -> str:
    """The stored hash of a key's secret."""
    return hmac.new(pepper.encode(), secret.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def add_key(
    path: Path,
    name: str,
    pepper: str,
    expires: timedelta | None = None,
    limits: KeyLimits | None = None,
    admin: bool = False,
) -> str:
    """Create a key and its entry. Returns the key, which is shown nowhere else. Raises KeysError."""
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
            admin=admin,
        )
    except ValidationError as error:
        raise KeysError(
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        ) from None
    with _editing(path) as entries:
        entries.append(entry)
    return f"{_PREFIX}{id}_{secret}"


def revoke(path: Path, id: str) -> Key:
    """Mark an entry as revoked. Raises UnknownKeyError."""
    return _updated(path, id, revoked=datetime.now(UTC).replace(microsecond=0))


def set_limits(path: Path, id: str, limits: KeyLimits) -> Key:
    """Replace an entry's limits. Raises UnknownKeyError."""
    return _updated(path, id, limits=limits)


def _updated(path: Path, id: str, **fields: object) -> Key:
    with _editing(path) as entries:
        for index, key in enumerate(entries):
            if key.id == id:
                entries[index] = key.model_copy(update=fields)
                return entries[index]
        raise UnknownKeyError(f"{path}: no key {id}; `python -m components keys list` shows the keys")


def list_keys(path: Path) -> tuple[Key, ...]:
    """All entries. Raises KeysError."""
    return _read(path).keys


@contextmanager
def _editing(path: Path) -> Iterator[list[Key]]:
    """The entries, to be edited; written atomically, by one process at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        entries = list(_read(path).keys) if path.exists() else []
        yield entries
        with atomic_write(path) as temporary:
            temporary.touch(mode=0o600)
            # Without defaults: an older replica refuses a file with a field that it does not know.
            content = _File(keys=tuple(entries)).model_dump_json(
                indent=2, exclude_none=True, exclude_defaults=True
            )
            temporary.write_text(content + "\n")


def _by_id(file: _File) -> dict[str, Key]:
    return {key.id: key for key in file.keys}


def _oldest_first(entries: Mapping[str, Key]) -> tuple[Key, ...]:
    return tuple(sorted(entries.values(), key=lambda key: (key.created, key.id)))


def _read(path: Path) -> _File:
    return _parsed(_text(path), str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise KeysError(f"{path}: {error.strerror}; `python -m components keys add` creates it") from None
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
    """Why a key is invalid; None if it is valid."""
    if key.revoked is not None:
        return f"revoked {key.revoked:%Y-%m-%d}"
    if key.expires is not None and key.expires <= datetime.now(UTC):
        return f"expired {key.expires:%Y-%m-%d}"
    return None


def state_of_key(key: Key) -> Literal["valid", "revoked", "expired"]:
    """Whether the key counts, and if not, why."""
    if key.revoked is not None:
        return "revoked"
    return "valid" if _fault(key) is None else "expired"


def describe(key: Key) -> str:
    """One line about a key: ID, creation, validity, name, its own limits, and whether it is an admin's."""
    limits = ", ".join(f"{tier} {n}" for tier, n in key.limits.model_dump(exclude_none=True).items())
    state = _fault(key) or (f"until {key.expires:%Y-%m-%d}" if key.expires else "no expiry")
    more = f"{f'  ({limits})' if limits else ''}{'  admin' if key.admin else ''}"
    return f"{key.id}  {key.created:%Y-%m-%d}  {state:20}  {key.name}{more}"
