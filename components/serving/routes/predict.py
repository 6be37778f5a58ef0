"""Prediction routes: they need a key and count against the caller's rate limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response

from components.latex.latex_to_mathml import mathml
from components.recognizer.naming import with_function_names
from components.recognizer.preprocessing import looks_like_inkml
from components.recognizer.recognizer import Prediction
from components.serving.access.rate_limits import Caller
from components.serving.inference.client import CachedPrediction, Options
from components.serving.observability import metrics
from components.serving.observability.request_context import context_of
from components.serving.routes.dependencies import State, admit
from components.serving.schemas.constraints import Constraints, constraints_in, restriction_of
from components.serving.schemas.openapi import JSON_BATCH, PICTURE, STROKES, problems
from components.serving.schemas.problems import Problem, ProblemDocument
from components.serving.schemas.requests import (
    BatchRequest,
    PredictOptions,
    as_utf8,
    body,
    from_base64,
    image_in,
    json_of,
    media_type,
    picture_of,
    within,
)
from components.serving.schemas.responses import AlternativeResponse, BatchResponse, PredictResponse
from components.serving.schemas.strokes import parse_strokes
from components.serving.state import AppState

INKML = "application/inkml+xml"
XML_TYPES = (INKML, "application/xml", "text/xml")

T = TypeVar("T")

router = APIRouter()


AdmittedCaller = Annotated[Caller, Depends(admit)]
Asked = Annotated[PredictOptions, Query()]


@router.post(
    "/predict",
    summary="Read a picture",
    response_model=PredictResponse,
    response_model_exclude_none=True,
    responses=problems(400, 401, 408, 413, 415, 422, 429, 503),
    openapi_extra=PICTURE,
)
async def predict(
    request: Request,
    response: Response,
    state: State,
    caller: AdmittedCaller,
    asked: Asked,
) -> PredictResponse:
    """Read one picture: the field `file` of a multipart form, a body of type `image/*`, or base64 in JSON.

    InkML and strokes are read as well, as /predict/strokes does.
    """
    keep_input = state.feedback.accepts(caller)
    if is_document(media_type(request)):
        found = await _read_document(request, state, asked, keep_input, 2 * state.settings.max_bytes)
    else:
        data, asked = await with_timeout(state, picture_of(request, state.settings.max_bytes, asked))
        found = await _read_file(data, state, asked, keep_input)
    return await _finish(request, response, state, caller, found, asked)


def is_document(kind: str) -> bool:
    """Whether a media type is of InkML or JSON."""
    return kind in (*XML_TYPES, "application/json") or kind.endswith("+json")


def _options(
    state: AppState, asked: PredictOptions, keep_input: bool = False, constraints: Constraints | None = None
) -> Options:
    """How the input is to be read; `constraints` of the body win over those of the query. Raises Problem."""
    restriction = restriction_of(constraints or asked.constraints, state.client.vocabulary)
    return Options(asked.n_best, asked.explain, restriction, keep_input)


async def _read_document(
    request: Request, state: AppState, asked: PredictOptions, keep_input: bool, limit: int
) -> CachedPrediction:
    """Read InkML, or JSON with strokes or with a picture in `image`. Raises Problem."""
    is_xml = media_type(request) in XML_TYPES
    data = await with_timeout(state, body(request, state.settings.max_ink_bytes if is_xml else limit))
    if is_xml or looks_like_inkml(data):
        return await _read_inkml(data, state, asked, keep_input)
    return await _read_json(data, state, asked, keep_input)


async def _read_file(
    data: bytes, state: AppState, asked: PredictOptions, keep_input: bool
) -> CachedPrediction:
    """Read a file of unknown type: a picture, InkML, or strokes as JSON. Raises Problem."""
    if looks_like_inkml(data):
        return await _read_inkml(data, state, asked, keep_input)
    if as_utf8(data[:64]).lstrip()[:1] in (b"{", b"["):
        return await _read_json(data, state, asked, keep_input)
    return await state.client.picture(data, _options(state, asked, keep_input))


async def _read_inkml(
    data: bytes, state: AppState, asked: PredictOptions, keep_input: bool
) -> CachedPrediction:
    options = _options(state, asked, keep_input)
    return await state.client.inkml(within(data, state.settings.max_ink_bytes), options)


async def _read_json(
    data: bytes, state: AppState, asked: PredictOptions, keep_input: bool
) -> CachedPrediction:
    data = as_utf8(data)
    options = _options(state, asked, keep_input, constraints_in(data))
    if (image := image_in(data)) is not None:
        return await state.client.picture(from_base64(image, state.settings.max_bytes), options)
    return await state.client.strokes(parse_strokes(data), options)


@router.post(
    "/predict/strokes",
    summary="Read pen strokes",
    response_model=PredictResponse,
    response_model_exclude_none=True,
    responses=problems(400, 401, 408, 413, 415, 422, 429, 503),
    openapi_extra=STROKES,
)
async def predict_strokes(
    request: Request,
    response: Response,
    state: State,
    caller: AdmittedCaller,
    asked: Asked,
) -> PredictResponse:
    """Read pen strokes, as JSON or as InkML."""
    kind = media_type(request)
    if kind and not is_document(kind):
        raise Problem(
            415,
            "unsupported-media-type",
            f"Send strokes as application/json, or InkML as {INKML}; pictures go to /predict.",
            {"Accept-Post": f"application/json, {INKML}"},
        )
    keep_input = state.feedback.accepts(caller)
    found = await _read_document(request, state, asked, keep_input, state.settings.max_ink_bytes)
    return await _finish(request, response, state, caller, found, asked)


@router.post(
    "/predict/batch",
    summary="Read several pictures",
    response_model=BatchResponse,
    response_model_exclude_none=True,
    responses=problems(400, 401, 408, 413, 422, 429, 503),
    openapi_extra=JSON_BATCH,
)
async def predict_batch(
    request: Request,
    response: Response,
    state: State,
    caller: AdmittedCaller,
    asked: Asked,
) -> BatchResponse:
    """Read up to ten pictures; each counts against the limits. One bad picture does not fail the others."""
    batch: BatchRequest = await with_timeout(
        state, json_of(request, BatchRequest, state.settings.max_batch_bytes)
    )
    if len(batch.images) > 1:
        await state.limits.use(caller, len(batch.images) - 1)
        response.headers.update(await state.limits.headers(caller))

    options = _options(state, asked)

    async def one(text: str) -> PredictResponse | ProblemDocument:
        try:
            found = await state.client.picture(from_base64(text, state.settings.max_bytes), options)
        except Problem as problem:
            metrics.refusals.labels(problem.kind).inc()
            return problem.document(context_of(request.scope).request_id)
        _record(request, state, found)
        return _response(request, found.prediction, asked)

    results = await asyncio.gather(*map(one, batch.images))
    return BatchResponse(results=results, processing_time=_elapsed(request))


async def _finish(
    request: Request,
    response: Response,
    state: AppState,
    caller: Caller,
    found: CachedPrediction,
    asked: PredictOptions,
) -> PredictResponse:
    """Record the prediction for logs, metrics and corrections, and build the response."""
    context = context_of(request.scope)
    context.cached, context.confidence = found.cached, round(found.prediction.confidence, 4)
    response.headers["X-Cache"] = "hit" if found.cached else "miss"
    _record(request, state, found)
    await state.feedback.remember(caller, context, state.model.info.version, found)
    return _response(request, found.prediction, asked)


def _record(request: Request, state: AppState, found: CachedPrediction) -> None:
    context = context_of(request.scope)
    context.formulas += 1
    context.total_confidence += found.prediction.confidence
    state.counts.add_picture(found.cached)
    state.prediction_log.record(context.request_id, state.model.info.version, found)


def _response(request: Request, prediction: Prediction, asked: PredictOptions) -> PredictResponse:
    if asked.names == "functions":
        prediction = with_function_names(prediction)
    convert = typeset if asked.format == "mathml" else _no_mathml
    tokens = [box.token for box in prediction.token_boxes or ()]
    return PredictResponse(
        formula=prediction.latex,
        confidence=round(prediction.confidence, 6),
        processing_time=_elapsed(request),
        timestamp=datetime.now(UTC),
        alternatives=[
            AlternativeResponse(formula=a.latex, confidence=a.confidence, mathml=convert(a.latex))
            for a in prediction.alternatives
        ]
        or None,
        mathml=convert(prediction.latex, tokens),
        token_boxes=prediction.token_boxes,
        rotated=prediction.rotated or None,
        lines=prediction.lines if prediction.lines > 1 else None,
    )


def typeset(formula: str, tokens: Sequence[str] = ()) -> str | None:
    """The formula as MathML; None, which is counted, if it can't be converted."""
    made = mathml(formula, tokens)
    if made is None:
        metrics.refusals.labels("no-mathml").inc()
    return made


def _no_mathml(formula: str, tokens: Sequence[str] = ()) -> None:
    return None


def _elapsed(request: Request) -> float:
    return round(context_of(request.scope).elapsed, 6)


async def with_timeout(state: AppState, reading: Awaitable[T]) -> T:
    """Await a request body. Raises Problem (408) if it does not arrive in time."""
    try:
        async with asyncio.timeout(state.settings.read_timeout):
            return await reading
    except TimeoutError:
        raise Problem(408, "slow-body", "The request body did not arrive in time.") from None
