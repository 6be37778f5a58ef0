"""Corrections: the formula that a caller says is written where another was read, as files to learn from.

FEEDBACK_FOLDER/DAY/NAME.json, in a folder or an object store, holds one `Correction`. DAY is the day of the
prediction (UTC), so that a later correction replaces an earlier one. NAME is the request's ID, preceded by 16
random digits and a dash if the caller chose it, since other callers may choose the same one, and since it may
begin with a dot.

Disk use is bounded: a prediction, which counts against the caller's limits, has one file of at most
`prediction_store.MAX_BYTES` of ink (some 600 kB as text), and nobody writes without a key. With AUTH=off
anybody may, within an address's limits; with RATE_LIMITS=off as well, nothing bounds it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from components.ink.correction import Correction
from components.latex.normalizer import normalize
from components.latex.tokenizer import tokenize
from components.records import RecordStore
from components.serving.access.rate_limits import Caller
from components.serving.inference.client import CachedPrediction
from components.serving.observability.request_context import RequestContext
from components.serving.schemas.problems import Problem
from components.serving.settings import Settings
from components.serving.storage.prediction_store import (
    PredictionRecord,
    build_prediction_store,
    input_content,
)
from components.serving.storage.redis_client import RedisClient

MAX_TOKENS = 256

_FAULT = 200  # characters of what is wrong with a formula
_THREADS = 4  # corrections written at once; a hanging disk blocks no more threads

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Feedback:
    """Records predictions, and stores corrections of them."""

    def __init__(self, settings: Settings, shared: RedisClient | None) -> None:
        """Raises ValueError for a FEEDBACK_FOLDER that nothing installed opens."""
        where = settings.feedback_folder
        self._records = None if where is None else RecordStore(where)
        self._open = settings.auth == "off"
        self._seconds, self._timeout = settings.feedback_seconds, settings.read_timeout
        self._store = build_prediction_store(settings, shared)
        self._limiter = CapacityLimiter(_THREADS)

    def accepts(self, caller: Caller) -> bool:
        """Whether this caller may correct predictions."""
        return self._records is not None and (caller.keyed or self._open)

    async def remember(
        self, caller: Caller, context: RequestContext, model: str, found: CachedPrediction
    ) -> None:
        """Record a prediction that its caller may correct. Never raises."""
        prepared = found.prepared
        if prepared is None or not self.accepts(caller):
            return
        content = await anyio.to_thread.run_sync(input_content, prepared)
        record = PredictionRecord(
            day=datetime.now(UTC).date(),
            file=f"{secrets.token_hex(8)}-{context.request_id}" if context.chosen else context.request_id,
            kind=prepared.kind,
            model=model,
            formula=found.prediction.latex,
            content=content,
        )
        await self._store.put(caller.id, context.request_id, record)

    async def correct(self, caller: Caller, request_id: str, formula: str) -> tuple[str, bool]:
        """Store the correct formula of a request of this caller.

        Returns it, normalized, and whether it is the first correction of that request. Raises Problem.
        """
        records = self._records
        if records is None:
            raise Problem(404, "feedback-off", "This service does not accept corrections.")
        # Rejecting what is no formula can take 0.2 s.
        right = await self._in_thread(request_id, lambda: _normalized(formula))
        record = await self._store.get(caller.id, request_id)
        if record is None:
            raise Problem(
                404,
                "unknown-request",
                f"You received no prediction with this request ID in the last {self._seconds} s, "
                "or its input was too large to keep.",
            )
        first = await self._in_thread(
            request_id, lambda: _write(records, record, _correction(caller, request_id, record, right))
        )
        return right, first

    async def _in_thread(self, request_id: str, work: Callable[[], T]) -> T:
        """Run `work` in a thread. Raises Problem, also if the disk fails or hangs."""
        try:
            async with asyncio.timeout(self._timeout):
                return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)
        except OSError as error:  # TimeoutError is one
            logger.error(
                "the correction of %s can't be stored: %s", request_id, str(error) or type(error).__name__
            )
            raise Problem(
                503,
                "not-kept",
                "The correction can't be stored at the moment; retry later.",
                {"Retry-After": "60"},
            ) from None


def _normalized(formula: str) -> str:
    """The formula as a normalized label. Raises Problem (422)."""
    try:
        right = normalize(formula)
        count = len(tokenize(right))
    except ValueError as error:
        raise Problem(422, "invalid-formula", f"formula: {str(error)[:_FAULT]}") from None
    if count > MAX_TOKENS:
        raise Problem(422, "too-long", f"formula: {count} tokens are more than {MAX_TOKENS}")
    return right


def _correction(caller: Caller, request_id: str, record: PredictionRecord, right: str) -> Correction:
    return Correction(
        request_id=request_id,
        at=datetime.now(UTC),
        caller=caller.name,
        model=record.model,
        read=record.formula,
        right=right,
        strokes=record.strokes,
        picture=record.picture,
    )


def _write(records: RecordStore, record: PredictionRecord, correction: Correction) -> bool:
    """Write a correction whole or not at all; whether it replaces none. Raises OSError."""
    name = f"{record.file}.json"
    first = not records.exists(record.day, name)
    content = correction.model_dump_json(exclude_none=True) + "\n"
    records.write(record.day, name, content.encode())
    return first
