"""What requests were about, for as long as their answers may be corrected.

In Redis, where replicas share one, else in this replica's memory. Nothing larger than 256 kB is remembered,
and nothing for longer than FEEDBACK_SECONDS. What bounds the memory: 64 MB a replica, of which what was used
least recently is forgotten first; in Redis, `maxmemory` and what callers may ask in that time.
"""

from __future__ import annotations

import base64
from datetime import date
from typing import Protocol

import cv2
import numpy as np
from cachetools import TTLCache
from pydantic import BaseModel, ConfigDict

from components.serving.inference.client import Kind, Sheet, packed
from components.serving.observability import metrics
from components.serving.schemas.problems import busy
from components.serving.settings import Settings
from components.serving.storage.redis_client import AwayError, Shared

MAX_BYTES = 256 << 10  # of one memory

_ALL_BYTES = 64 << 20
_BESIDE = 1 << 10  # what Python needs for an entry besides its bytes
_FORMAT = 1  # of what is kept; another one is not looked for


class Given(BaseModel):
    """What a request was about."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    day: date  # when it was read, UTC
    file: str  # the name of a correction of it, without suffix
    kind: Kind
    model: str  # version that read
    read: str
    content: bytes  # a PNG file, or `packed` strokes

    @property
    def strokes(self) -> list[list[tuple[float, float]]] | None:
        """The strokes, if it were strokes; numbers as short as a float32 can be told."""
        if self.kind == "picture":
            return None
        strokes, at = [], 0
        while at < len(self.content):
            count = int.from_bytes(self.content[at : at + 4], "little")
            points = np.frombuffer(self.content, np.float32, 2 * count, at + 4).reshape(-1, 2)
            strokes.append([(float(str(x)), float(str(y))) for x, y in points])
            at += 4 + points.nbytes
        return strokes

    @property
    def picture(self) -> bytes | None:
        """The picture in base64, if it was one."""
        return base64.b64encode(self.content) if self.kind == "picture" else None


def content_of(sheet: Sheet) -> bytes:
    """What `Given.content` says of a sheet."""
    if sheet.strokes is not None:
        return packed(sheet.strokes)
    return cv2.imencode(".png", sheet.picture)[1].tobytes()


class Memory(Protocol):
    """Remembers for a while what callers' requests were about."""

    async def keep(self, caller: str, request_id: str, given: Given) -> None:
        """Remembers it, unless it is too large. Never raises."""

    async def find(self, caller: str, request_id: str) -> Given | None:
        """What this caller's request was about. Raises Problem (503) where that can't be found out now."""


class OwnMemory:
    """Of this replica alone."""

    def __init__(self, seconds: int) -> None:
        self._all: TTLCache[str, bytes] = TTLCache(_ALL_BYTES, seconds, getsizeof=_size)

    async def keep(self, caller: str, request_id: str, given: Given) -> None:
        if (text := _written(given)) is not None:
            self._all[_key(caller, request_id)] = text
            metrics.remembered.labels("yes").inc()

    async def find(self, caller: str, request_id: str) -> Given | None:
        text = self._all.get(_key(caller, request_id))
        return None if text is None else Given.model_validate_json(text)


class SharedMemory:
    """Of all replicas, in Redis. What is read while it is away is not remembered."""

    def __init__(self, shared: Shared, seconds: int) -> None:
        self._shared, self._seconds = shared, seconds

    async def keep(self, caller: str, request_id: str, given: Given) -> None:
        if (text := _written(given)) is None:
            return
        redis, key = self._shared.redis, _key(caller, request_id)
        try:
            await self._shared.ask(lambda: redis.set(key, text, ex=self._seconds))
        except AwayError:  # said in the log and in ocr_redis_away
            metrics.remembered.labels("away").inc()
        else:
            metrics.remembered.labels("yes").inc()

    async def find(self, caller: str, request_id: str) -> Given | None:
        redis, key = self._shared.redis, _key(caller, request_id)
        try:
            text = await self._shared.ask(lambda: redis.get(key))
        except AwayError:
            raise busy("Answers can't be looked up at this moment; come again a little later.", 5) from None
        return None if text is None else Given.model_validate_json(text)


def build_memory(settings: Settings, shared: Shared | None) -> Memory:
    """The memory that the settings ask for."""
    seconds = settings.feedback_seconds
    return OwnMemory(seconds) if shared is None else SharedMemory(shared, seconds)


def _written(given: Given) -> bytes | None:
    """What is kept, or None where that is too much."""
    text = given.model_dump_json().encode()
    if len(text) <= MAX_BYTES:
        return text
    metrics.remembered.labels("too-large").inc()
    return None


def _size(text: bytes) -> int:
    return len(text) + _BESIDE


def _key(caller: str, request_id: str) -> str:
    """The caller is part of it, so that nobody finds what others sent; the ID has no colon."""
    return f"ocr:given:{_FORMAT}:{caller}:{request_id}"
