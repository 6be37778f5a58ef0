"""Corrections: what callers say is written where something else was read, as files to learn from.

FEEDBACK_FOLDER/DAY/NAME.json holds one `Correction`. DAY is the day of the reading (UTC), so that who
corrects a correction replaces it. NAME is the request's ID; where the caller chose that, 16 random digits and
a dash come before it, since others may choose the same, and since it may begin with a dot.

What bounds the disk: a reading, which counted against a caller's limits, has one file, however often it is
corrected, of at most `memory.MAX_BYTES` of ink (some 600 kB as text), and nobody writes without a key. With
AUTH=off anybody may, within an address's limits; with RATE_LIMITS=off too, nothing bounds it. What bounds the
memory: `memory`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from components.ink.correction import Correction
from components.latex.normalizer import normalize
from components.latex.tokenizer import tokenize
from components.serving.access.rate_limits import Caller
from components.serving.inference.client import Found
from components.serving.observability.request_context import Visit
from components.serving.schemas.problems import Problem
from components.serving.settings import Settings
from components.serving.storage.prediction_store import Given, build_memory, content_of
from components.serving.storage.redis_client import Shared

MAX_TOKENS = 256

_FAULT = 200  # characters of what is wrong with a formula
_HANDS = 4  # corrections that are worked on at once; a disk that hangs holds no more threads

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Feedback:
    """Remembers what was read, and takes what should have been."""

    def __init__(self, settings: Settings, shared: Shared | None) -> None:
        self._folder, self._open = settings.feedback_folder, settings.auth == "off"
        self._seconds, self._timeout = settings.feedback_seconds, settings.read_timeout
        self._memory = build_memory(settings, shared)
        self._hands = CapacityLimiter(_HANDS)

    def wanted(self, caller: Caller) -> bool:
        """Whether this caller may correct what is read now."""
        return self._folder is not None and (caller.keyed or self._open)

    async def remember(self, caller: Caller, visit: Visit, model: str, found: Found) -> None:
        """Remembers a reading that its caller may correct. Never raises."""
        sheet = found.sheet
        if sheet is None or not self.wanted(caller):
            return
        content = await anyio.to_thread.run_sync(content_of, sheet)
        given = Given(
            day=datetime.now(UTC).date(),
            file=f"{secrets.token_hex(8)}-{visit.request_id}" if visit.chosen else visit.request_id,
            kind=sheet.kind,
            model=model,
            read=found.read.formula,
            content=content,
        )
        await self._memory.keep(caller.id, visit.request_id, given)

    async def take(self, caller: Caller, request_id: str, formula: str) -> str:
        """Writes down what a request of this caller should have been read as; returns that, normalised.

        Raises Problem.
        """
        folder = self._folder
        if folder is None:
            raise Problem(404, "feedback-off", "This service takes no corrections.")
        # What is no formula can take 0.2 s to be found out.
        right = await self._by_hand(request_id, lambda: _normalized(formula))
        given = await self._memory.find(caller.id, request_id)
        if given is None:
            raise Problem(
                404,
                "unknown-request",
                f"You got no answer with this request ID in the last {self._seconds} s, "
                "or what you sent was too large to be remembered.",
            )
        await self._by_hand(
            request_id, lambda: _write(folder, given, _correction(caller, request_id, given, right))
        )
        return right

    async def _by_hand(self, request_id: str, work: Callable[[], T]) -> T:
        """Does it off the event loop. Raises Problem, also where the disk refuses or does not answer."""
        try:
            async with asyncio.timeout(self._timeout):
                return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._hands)
        except OSError as error:  # TimeoutError is one
            logger.error(
                "the correction of %s can't be kept: %s", request_id, str(error) or type(error).__name__
            )
            raise Problem(
                503,
                "not-kept",
                "The correction can't be kept at this moment; come again later.",
                {"Retry-After": "60"},
            ) from None


def _normalized(formula: str) -> str:
    """The formula in the one spelling that labels have. Raises Problem (422)."""
    try:
        right = normalize(formula)
        count = len(tokenize(right))
    except ValueError as error:
        raise Problem(422, "invalid-formula", f"formula: {str(error)[:_FAULT]}") from None
    if count > MAX_TOKENS:
        raise Problem(422, "too-long", f"formula: {count} tokens are more than {MAX_TOKENS}")
    return right


def _correction(caller: Caller, request_id: str, given: Given, right: str) -> Correction:
    return Correction(
        request_id=request_id,
        at=datetime.now(UTC),
        caller=caller.name,
        model=given.model,
        read=given.read,
        right=right,
        strokes=given.strokes,
        picture=given.picture,
    )


def _write(folder: Path, given: Given, correction: Correction) -> None:
    """Whole or not at all. Raises OSError."""
    path = folder / f"{given.day:%Y-%m-%d}" / f"{given.file}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of this writer alone: two corrections of one request may come at once.
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with beside.open("x", encoding="utf-8") as file:
            file.write(correction.model_dump_json(exclude_none=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
