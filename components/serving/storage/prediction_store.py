"""Predictions and their inputs, kept for as long as they may be corrected.

In Redis if replicas share one, else in this replica's memory. No record exceeds 256 kB or outlives
FEEDBACK_SECONDS. Memory is bounded by 64 MB a replica, evicting the least recently used; in Redis by
`maxmemory` and by what callers' limits allow in that time.
"""

from __future__ import annotations

import base64
from datetime import date
from typing import Protocol

import cv2
import numpy as np
from cachetools import TTLCache
from pydantic import BaseModel, ConfigDict

from components.serving.inference.client import Kind, PreparedInput, pack_strokes
from components.serving.observability import metrics
from components.serving.schemas.problems import busy
from components.serving.settings import Settings
from components.serving.storage.redis_client import RedisClient, RedisUnavailable

MAX_BYTES = 256 << 10  # of one record

_CAPACITY = 64 << 20
_OVERHEAD = 1 << 10  # bytes that Python needs for an entry besides its content
_FORMAT = 1  # of records; others are not looked for


class PredictionRecord(BaseModel):
    """What was read in a request, and from what."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    day: date  # when it was read, UTC
    file: str  # the name of a correction of it, without suffix
    kind: Kind
    model: str  # version that read
    formula: str
    content: bytes  # a PNG file, or strokes as `pack_strokes` makes them

    @property
    def strokes(self) -> list[list[tuple[float, float]]] | None:
        """The strokes of an ink, with as few digits as identify each float32; None for a picture."""
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
        """The picture in base64; None for an ink."""
        return base64.b64encode(self.content) if self.kind == "picture" else None


def input_content(prepared: PreparedInput) -> bytes:
    """The prepared input as `PredictionRecord.content`."""
    if prepared.strokes is not None:
        return pack_strokes(prepared.strokes)
    return cv2.imencode(".png", prepared.picture)[1].tobytes()


class PredictionStore(Protocol):
    """Keeps records for a while."""

    async def put(self, caller: str, request_id: str, record: PredictionRecord) -> None:
        """Store a record, unless it is too large. Never raises."""

    async def get(self, caller: str, request_id: str) -> PredictionRecord | None:
        """The record of this caller's request, or None. Raises Problem (503) while Redis is unavailable."""


class InMemoryStore:
    """In the memory of this replica."""

    def __init__(self, seconds: int) -> None:
        self._records: TTLCache[str, bytes] = TTLCache(_CAPACITY, seconds, getsizeof=_size)

    async def put(self, caller: str, request_id: str, record: PredictionRecord) -> None:
        if (text := _serialized(record)) is not None:
            self._records[_key(caller, request_id)] = text
            metrics.remembered.labels("yes").inc()

    async def get(self, caller: str, request_id: str) -> PredictionRecord | None:
        text = self._records.get(_key(caller, request_id))
        return None if text is None else PredictionRecord.model_validate_json(text)


class RedisStore:
    """In Redis, shared by all replicas. Predictions made while it is unavailable are not recorded."""

    def __init__(self, shared: RedisClient, seconds: int) -> None:
        self._redis, self._seconds = shared, seconds

    async def put(self, caller: str, request_id: str, record: PredictionRecord) -> None:
        if (text := _serialized(record)) is None:
            return
        redis, key = self._redis.redis, _key(caller, request_id)
        try:
            await self._redis.ask(lambda: redis.set(key, text, ex=self._seconds))
        except RedisUnavailable:  # said in the log and in ocr_redis_away
            metrics.remembered.labels("away").inc()
        else:
            metrics.remembered.labels("yes").inc()

    async def get(self, caller: str, request_id: str) -> PredictionRecord | None:
        redis, key = self._redis.redis, _key(caller, request_id)
        try:
            text = await self._redis.ask(lambda: redis.get(key))
        except RedisUnavailable:
            raise busy("Earlier predictions can't be looked up at the moment; retry later.", 5) from None
        return None if text is None else PredictionRecord.model_validate_json(text)


def build_prediction_store(settings: Settings, shared: RedisClient | None) -> PredictionStore:
    """The store that the settings ask for."""
    seconds = settings.feedback_seconds
    return InMemoryStore(seconds) if shared is None else RedisStore(shared, seconds)


def _serialized(record: PredictionRecord) -> bytes | None:
    """The record as JSON, or None if it is too large."""
    text = record.model_dump_json().encode()
    if len(text) <= MAX_BYTES:
        return text
    metrics.remembered.labels("too-large").inc()
    return None


def _size(text: bytes) -> int:
    return len(text) + _OVERHEAD


def _key(caller: str, request_id: str) -> str:
    """The key holds the caller, so that nobody finds others' inputs; the ID has no colon."""
    return f"ocr:prediction:{_FORMAT}:{caller}:{request_id}"
