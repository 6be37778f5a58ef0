"""From what a caller sends to what is read: prepared here, read in batches over there, remembered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import anyio.to_thread
import numpy as np
from anyio import CapacityLimiter
from pydantic import BaseModel, ConfigDict, Field

from components.ink.ink import InkError, Stroke, to_strokes
from components.ink.inkml import parse_inkml
from components.ink.raster import Box, Picture, Placement, RasterSettings, draw_placed
from components.recognizer.cpu import cores
from components.recognizer.preprocessing import (
    FORMATS,
    BlankPictureError,
    LargePictureError,
    PictureError,
    UnknownPictureError,
    prepare_picture,
    prepare_picture_placed,
)
from components.serving.observability import metrics
from components.serving.schemas.problems import Problem, busy
from components.serving.schemas.requests import Point
from components.serving.settings import Settings
from components.serving.storage.response_cache import Cache, answer_key

T = TypeVar("T")

Kind = Literal["picture", "strokes", "inkml"]


class Job(BaseModel):
    """A picture to be read, as it travels to the recogniser."""

    model_config = ConfigDict(frozen=True)

    grey: bytes  # height * width pixels, 255 is paper
    height: int
    width: int
    beam: int
    n_best: int
    explain: bool = False

    @property
    def picture(self) -> Picture:
        return np.frombuffer(self.grey, np.uint8).reshape(self.height, self.width)


class Alternative(BaseModel):
    """Another way to read the picture."""

    model_config = ConfigDict(frozen=True)

    formula: str
    confidence: float


class Looked(BaseModel):
    """A token of the formula, and the ink that it was read from."""

    model_config = ConfigDict(frozen=True)

    token: str
    start: int = Field(description="where the token begins in `formula`")
    end: int
    box: Box | None = Field(
        None,
        description="left, top, right and bottom of its ink, in the units of the ink that was sent or in "
        "pixels of the picture, upright; none where the token has no ink of its own, such as braces",
    )


class Read(BaseModel):
    """What was read. `error` is set where the recogniser failed, and the rest then empty."""

    model_config = ConfigDict(frozen=True)

    formula: str = ""
    tokens: int = 0
    confidence: float = 0.0
    alternatives: tuple[Alternative, ...] = ()
    looked: tuple[Looked, ...] | None = None  # where that was asked for
    error: str | None = None


Reader = Callable[[Sequence[Job]], Awaitable[Sequence[Read]]]


class OverloadedError(Exception):
    """The recogniser has more to do than it gets done in time."""


class UnreachableError(Exception):
    """The recogniser did not answer."""


@dataclass(frozen=True)
class Sheet:
    """What a caller gave, ready to be read."""

    kind: Kind
    picture: Picture  # as the recogniser sees it
    where: Placement  # of the picture in what was given
    strokes: tuple[Stroke, ...] | None = None  # where strokes were given


@dataclass(frozen=True)
class Found:
    """What was read, and whether it was known already."""

    read: Read
    known: bool
    seconds: float  # that it took
    sheet: Sheet | None  # None where it was known, and nobody asked for what was given


class Desk:
    """Takes pictures and ink, and gives what stands there."""

    def __init__(
        self, reader: Reader, model: str, raster: RasterSettings, settings: Settings, cache: Cache
    ) -> None:
        self._reader, self._model, self._raster = reader, model, raster
        self._settings, self._cache = settings, cache
        # Decoding a photograph takes as long as reading it: never on the event loop, and not more at once
        # than there are cores, so that a burst of large pictures does not fill the memory.
        self._hands = CapacityLimiter(max(2, cores()))

    async def picture(self, data: bytes, n_best: int = 1, keep: bool = False, explain: bool = False) -> Found:
        """Reads a picture file; with `keep`, the sheet comes along even of a known answer, and with `explain`
        where each token was read. Raises Problem."""
        return await self._found("picture", data, n_best, keep, explain, lambda: self._of_picture(data))

    async def inkml(self, data: bytes, n_best: int = 1, keep: bool = False, explain: bool = False) -> Found:
        """Reads an InkML document, as `picture` does. Raises Problem."""
        return await self._found("inkml", data, n_best, keep, explain, lambda: self._of_inkml(data))

    async def strokes(
        self, strokes: Sequence[Sequence[Point]], n_best: int = 1, keep: bool = False, explain: bool = False
    ) -> Found:
        """Reads pen strokes, as `picture` does. Raises Problem."""
        arrays, origin = _arrays(strokes, self._settings.max_points)
        content = packed(arrays) + np.array(origin).tobytes()
        return await self._found(
            "strokes", content, n_best, keep, explain, lambda: self._of_strokes("strokes", arrays, origin)
        )

    def _of_picture(self, data: bytes) -> Sheet:
        return Sheet("picture", *prepare_picture_placed(data, self._raster, self._settings.max_pixels))

    def _of_inkml(self, data: bytes) -> Sheet:
        ink = parse_inkml(data, "ink")
        _check_points(sum(map(len, ink.strokes)), self._settings.max_points)
        return self._of_strokes("inkml", ink.strokes, ink.origin)

    def _of_strokes(self, kind: Kind, strokes: tuple[Stroke, ...], origin: tuple[float, float]) -> Sheet:
        picture, where = draw_placed(strokes, self._raster)
        return Sheet(kind, picture, where.moved(origin), strokes)

    async def check(self, data: bytes) -> Read:
        """Reads a picture file anew, by one beam and whatever the cache knows. Raises Problem."""
        picture = await self._prepared(lambda: prepare_picture(data, self._raster))
        return await self._read(self._job(picture, beam=1, n_best=1))

    async def _found(
        self,
        kind: Kind,
        content: bytes,
        n_best: int,
        keep: bool,
        explain: bool,
        prepare: Callable[[], Sheet],
    ) -> Found:
        beam = max(self._settings.beam, n_best)
        key = answer_key(self._model, beam, n_best, explain, kind, content)
        start = time.perf_counter()
        if (stored := await self._cache.get(key)) is not None:
            metrics.phases.labels("cache").observe(time.perf_counter() - start)
            # Prepared anew: to keep all that was ever prepared would take more than it saves.
            known = await self._prepared(prepare) if keep else None
            return Found(Read.model_validate_json(stored), True, time.perf_counter() - start, known)
        sheet = await self._prepared(prepare)
        read = _placed(await self._read(self._job(sheet.picture, beam, n_best, explain)), sheet.where)
        await self._cache.put(key, read.model_dump_json().encode())
        metrics.confidence.observe(read.confidence)
        metrics.tokens.observe(read.tokens)
        return Found(read, False, time.perf_counter() - start, sheet)

    def _job(self, picture: Picture, beam: int, n_best: int, explain: bool = False) -> Job:
        height, width = picture.shape
        return Job(
            grey=picture.tobytes(), height=height, width=width, beam=beam, n_best=n_best, explain=explain
        )

    async def _prepared(self, prepare: Callable[[], T]) -> T:
        start = time.perf_counter()
        try:
            return await anyio.to_thread.run_sync(prepare, limiter=self._hands)
        except LargePictureError as error:
            raise Problem(413, "too-many-pixels", _sentence(error)) from None
        except UnknownPictureError:
            known = ", ".join(FORMATS)
            raise Problem(415, "unknown-format", f"This is no picture of a known format ({known}).") from None
        except BlankPictureError as error:
            raise Problem(422, "nothing-written", _sentence(error)) from None
        except PictureError:  # what it trips over is a matter of the decoder, not of the caller
            raise Problem(422, "broken-picture", "The picture is broken or cut short.") from None
        except ValueError as error:  # InkError, or nothing to draw
            raise Problem(422, "broken-ink", _sentence(error)) from None
        finally:
            metrics.phases.labels("prepare").observe(time.perf_counter() - start)

    async def _read(self, job: Job) -> Read:
        start = time.perf_counter()
        try:
            async with asyncio.timeout(self._settings.read_timeout):
                [read] = await self._reader([job])
        except OverloadedError:
            raise busy("More is asked than can be read in time; come again a little later.") from None
        except UnreachableError:
            raise busy(
                "The recogniser does not answer at this moment; come again a little later.", 5
            ) from None
        except TimeoutError:
            raise Problem(504, "timeout", "Reading took too long; send a smaller formula.") from None
        finally:
            metrics.phases.labels("read").observe(time.perf_counter() - start)
        if read.error is not None:
            raise RuntimeError(f"the recogniser failed: {read.error}")
        return read


def _placed(read: Read, where: Placement) -> Read:
    """With boxes where the caller's ink is, not where it was drawn."""
    if read.looked is None:
        return read
    boxes = (look.box and where.back(look.box) for look in read.looked)
    looked = (look.model_copy(update={"box": box}) for look, box in zip(read.looked, boxes, strict=True))
    return read.model_copy(update={"looked": tuple(looked)})


def packed(strokes: Sequence[Stroke]) -> bytes:
    """Strokes as bytes: of each the number of its points (4 bytes, little endian), and its points."""
    return b"".join(len(stroke).to_bytes(4, "little") + stroke.tobytes() for stroke in strokes)


def _arrays(strokes: Sequence[Sequence[Point]], most: int) -> tuple[tuple[Stroke, ...], tuple[float, float]]:
    """The strokes that have points, and their origin. Raises Problem."""
    total = sum(map(len, strokes))
    _check_points(total, most)
    for number, stroke in enumerate(strokes):
        for place, point in enumerate(stroke):
            if not 2 <= len(point) <= 3:
                raise Problem(
                    422,
                    "invalid-body",
                    f"strokes.{number}.{place}: expected [x, y] or [x, y, t], found {len(point)} numbers",
                )
    if not total:
        raise Problem(422, "nothing-written", "No stroke has a point.")
    points = np.array([point[:2] for stroke in strokes for point in stroke], np.float64)
    try:
        made, origin = to_strokes(points)
    except InkError:
        raise Problem(422, "invalid-body", "A coordinate is too large to be drawn.") from None
    ends = np.cumsum([len(stroke) for stroke in strokes if stroke])[:-1]
    return tuple(np.split(made, ends)), origin


def _check_points(total: int, most: int) -> None:
    if total > most:
        raise Problem(413, "too-many-points", f"{total:,} points are more than {most:,}; send fewer.")


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
