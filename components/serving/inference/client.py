"""The API's side of inference: prepare the input, look in the cache, send it to the batch side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Literal, TypeVar

import anyio.to_thread
import numpy as np
from anyio import CapacityLimiter
from pydantic import BaseModel, ConfigDict, TypeAdapter

from components.ink.ink import InkError, Stroke, to_strokes
from components.ink.inkml import parse_inkml
from components.ink.raster import Picture, draw_placed
from components.latex.vocabulary import Vocabulary
from components.recognizer.bundle import BundleSettings
from components.recognizer.cpu import cores
from components.recognizer.decoding import UNRESTRICTED, DecodingConstraints, Restriction
from components.recognizer.orientation import Prepared, Rotation, Views
from components.recognizer.preprocessing import (
    BlankPictureError,
    LargePictureError,
    PictureError,
    UnknownPictureError,
    prepare_picture,
)
from components.recognizer.recognizer import Prediction, placed
from components.serving.observability import metrics
from components.serving.schemas.problems import Problem, busy
from components.serving.schemas.strokes import Points
from components.serving.settings import Settings
from components.serving.storage.response_cache import ResponseCache, cache_key

T = TypeVar("T")

Kind = Literal["picture", "strokes", "inkml"]

_PREDICTION = TypeAdapter(Prediction)  # to and from the cache's JSON


class InferenceRequest(BaseModel):
    """A prepared picture on its way to the batch side."""

    model_config = ConfigDict(frozen=True)

    grey: bytes  # height * width pixels, 255 is paper
    height: int
    width: int
    beam: int
    n_best: int
    explain: bool = False
    restriction: Restriction = UNRESTRICTED
    turnable: bool = False  # it may not be upright
    sideways: bytes = b""  # of a picture that may lie on its side: pixels of `Views.sideways`,
    sideways_height: int = 0  # and how high it is

    @property
    def picture(self) -> Picture:
        return np.frombuffer(self.grey, np.uint8).reshape(self.height, self.width)

    @property
    def views(self) -> Views:
        if not self.sideways:
            return Views(self.picture, self.turnable)
        sideways = np.frombuffer(self.sideways, np.uint8).reshape(self.sideways_height, -1)
        return Views(self.picture, self.turnable, sideways)


class InferenceResult(BaseModel):
    """The batch side's answer to one request: a prediction, or the name of the exception."""

    model_config = ConfigDict(frozen=True)

    prediction: Prediction | None
    error: str | None = None


Predict = Callable[[Sequence[InferenceRequest]], Awaitable[Sequence[InferenceResult]]]


class OverloadedError(Exception):
    """The batch side has more requests than it can answer in time."""


class UnreachableError(Exception):
    """The batch side did not answer."""


@dataclass(frozen=True)
class PreparedInput:
    """What a caller sent, preprocessed."""

    kind: Kind
    source: Prepared
    strokes: tuple[Stroke, ...] | None = None  # where strokes were sent
    rotated: Rotation = 0  # as the prediction says

    @property
    def picture(self) -> Picture:
        """The model's input, upright."""
        return self.source.view(self.rotated)


@dataclass(frozen=True)
class CachedPrediction:
    """A prediction, and whether it came from the cache."""

    prediction: Prediction  # boxes in the caller's coordinates
    cached: bool
    seconds: float
    prepared: PreparedInput | None  # None for a cached prediction, unless the input was asked for


@dataclass(frozen=True)
class Options:
    """How an input is to be read."""

    n_best: int = 1
    explain: bool = False
    restriction: Restriction = UNRESTRICTED
    keep_input: bool = False  # return the prepared input of a cached prediction as well


class InferenceClient:
    """Reads pictures and ink through the batch side."""

    def __init__(
        self,
        predict: Predict,
        model: str,
        bundle: BundleSettings,
        vocabulary: Vocabulary,
        settings: Settings,
        cache: ResponseCache,
    ) -> None:
        """`model` is the bundle's version, which names cached predictions."""
        self._predict, self._model, self._raster = predict, model, bundle.raster
        self.vocabulary = vocabulary
        self._fault = lru_cache(256)(partial(_fault_of, vocabulary, bundle.decoding.max_tokens))
        self._beam = settings.beam or bundle.decoding.beam
        self._settings, self._cache = settings, cache
        # Decoding a photograph takes as long as reading it: never on the event loop, and never more at once
        # than there are cores, so that a burst of large pictures does not fill the memory.
        self._limiter = CapacityLimiter(max(2, cores()))

    async def picture(self, data: bytes, options: Options = Options()) -> CachedPrediction:
        """Read a picture file. Raises Problem."""
        return await self._read("picture", data, options, lambda: self._prepare_picture(data))

    async def inkml(self, data: bytes, options: Options = Options()) -> CachedPrediction:
        """Read an InkML document. Raises Problem."""
        return await self._read("inkml", data, options, lambda: self._prepare_inkml(data))

    async def strokes(
        self,
        strokes: Sequence[Points],
        options: Options = Options(),
    ) -> CachedPrediction:
        """Read pen strokes, arrays (n, 2). Raises Problem."""
        arrays, origin = _arrays(strokes, self._settings.max_points)
        content = pack_strokes(arrays) + np.array(origin).tobytes()
        return await self._read(
            "strokes", content, options, lambda: self._prepare_strokes("strokes", arrays, origin)
        )

    async def check(self, data: bytes) -> Prediction:
        """Read a picture file greedily, past the cache: for health checks. Raises Problem."""
        source = await self._prepare(lambda: prepare_picture(data, self._raster))
        return await self._send(_request(source, beam=1, options=Options()))

    async def _read(
        self, kind: Kind, content: bytes, options: Options, prepare: Callable[[], PreparedInput]
    ) -> CachedPrediction:
        if options.restriction != UNRESTRICTED:
            await self._check(options.restriction)
        key = cache_key(
            self._model, self._beam, options.n_best, options.explain, options.restriction, kind, content
        )
        start = time.perf_counter()
        if (stored := await self._cache.get(key)) is not None:
            metrics.phases.labels("cache").observe(time.perf_counter() - start)
            # Prepared again: keeping every prepared input would take more memory than it saves time.
            again = await self._prepare(prepare) if options.keep_input else None
            prediction = _PREDICTION.validate_json(stored)
            kept = again and replace(again, rotated=prediction.rotated)
            return CachedPrediction(prediction, True, time.perf_counter() - start, kept)
        prepared = await self._prepare(prepare)
        found = await self._send(_request(prepared.source, self._beam, options))
        prediction = placed(found, prepared.source)
        prepared = replace(prepared, rotated=prediction.rotated)
        await self._cache.put(key, _PREDICTION.dump_json(prediction))
        metrics.confidence.observe(prediction.confidence)
        metrics.tokens.observe(len(prediction.tokens))
        return CachedPrediction(prediction, False, time.perf_counter() - start, prepared)

    async def _check(self, restriction: Restriction) -> None:
        """Raise Problem (422) where no formula meets the restriction."""
        fault = await anyio.to_thread.run_sync(self._fault, restriction, limiter=self._limiter)
        if fault is not None:
            raise Problem(422, "invalid-constraints", f"constraints: no formula meets them ({fault})")

    def _prepare_picture(self, data: bytes) -> PreparedInput:
        return PreparedInput("picture", prepare_picture(data, self._raster, self._settings.max_pixels))

    def _prepare_inkml(self, data: bytes) -> PreparedInput:
        ink = parse_inkml(data, "ink")
        _check_points(sum(map(len, ink.strokes)), self._settings.max_points)
        return self._prepare_strokes("inkml", ink.strokes, ink.origin)

    def _prepare_strokes(
        self, kind: Kind, strokes: tuple[Stroke, ...], origin: tuple[float, float]
    ) -> PreparedInput:
        picture, where = draw_placed(strokes, self._raster)
        return PreparedInput(kind, Prepared(picture, where=where.moved(origin)), strokes)

    async def _prepare(self, prepare: Callable[[], T]) -> T:
        start = time.perf_counter()
        try:
            return await anyio.to_thread.run_sync(prepare, limiter=self._limiter)
        except LargePictureError as error:
            raise Problem(413, "too-many-pixels", _sentence(error)) from None
        except UnknownPictureError as error:
            raise Problem(415, "unknown-format", _sentence(error)) from None
        except BlankPictureError as error:
            raise Problem(422, "nothing-written", _sentence(error)) from None
        except PictureError:  # the details concern the decoder, not the caller
            raise Problem(422, "broken-picture", "The picture is corrupt or truncated.") from None
        except ValueError as error:  # InkError, or nothing to draw
            raise Problem(422, "broken-ink", _sentence(error)) from None
        finally:
            metrics.phases.labels("prepare").observe(time.perf_counter() - start)

    async def _send(self, request: InferenceRequest) -> Prediction:
        start = time.perf_counter()
        try:
            async with asyncio.timeout(self._settings.read_timeout):
                [result] = await self._predict([request])
        except OverloadedError:
            raise busy("The service is overloaded; retry later.") from None
        except UnreachableError:
            raise busy("The recognizer does not answer at the moment; retry later.", 5) from None
        except TimeoutError:
            raise Problem(504, "timeout", "Reading took too long; send a smaller formula.") from None
        finally:
            metrics.phases.labels("read").observe(time.perf_counter() - start)
        if result.prediction is None:
            raise RuntimeError(f"the recognizer failed: {result.error}")
        return result.prediction


def _fault_of(vocabulary: Vocabulary, max_tokens: int, restriction: Restriction) -> str | None:
    """Why no formula meets the restriction; None where one does."""
    try:
        DecodingConstraints(vocabulary, max_tokens, restriction=restriction)
    except ValueError as error:
        return str(error)
    return None


def _request(source: Views, beam: int, options: Options) -> InferenceRequest:
    height, width = source.picture.shape
    return InferenceRequest(
        grey=source.picture.tobytes(),
        height=height,
        width=width,
        beam=beam,
        n_best=options.n_best,
        explain=options.explain,
        restriction=options.restriction,
        turnable=source.turnable,
        sideways=b"" if source.sideways is None else source.sideways.tobytes(),
        sideways_height=0 if source.sideways is None else len(source.sideways),
    )


def pack_strokes(strokes: Sequence[Stroke]) -> bytes:
    """Strokes as bytes: for each the number of points (4 bytes, little endian), then its points."""
    return b"".join(len(stroke).to_bytes(4, "little") + stroke.tobytes() for stroke in strokes)


def _arrays(strokes: Sequence[Points], max_points: int) -> tuple[tuple[Stroke, ...], tuple[float, float]]:
    """The strokes as float32 arrays (n, 2), and their origin. Raises Problem."""
    _check_points(sum(map(len, strokes)), max_points)
    if not strokes:
        raise Problem(422, "nothing-written", "No stroke has a point.")
    try:
        made, origin = to_strokes(np.concatenate(strokes))
    except InkError:
        raise Problem(422, "invalid-body", "A coordinate is too large to be drawn.") from None
    return tuple(np.split(made, np.cumsum([len(stroke) for stroke in strokes])[:-1])), origin


def _check_points(total: int, max_points: int) -> None:
    if total > max_points:
        raise Problem(413, "too-many-points", f"{total:,} points exceed the limit of {max_points:,}.")


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
