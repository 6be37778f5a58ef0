"""The routes that read: they need a key, count against the caller's limits, and end in an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response

from components.serving.access.rate_limits import Caller
from components.serving.inference.client import Found
from components.serving.inference.mathml import mathml
from components.serving.observability import metrics
from components.serving.observability.request_context import visit_of
from components.serving.routes.dependencies import TheApi, admitted
from components.serving.schemas.openapi import JSON_BATCH, PICTURE, STROKES, problems
from components.serving.schemas.problems import Problem, ProblemDocument
from components.serving.schemas.requests import (
    BatchBody,
    StrokesBody,
    body,
    from_base64,
    json_of,
    media_type,
    picture_of,
)
from components.serving.schemas.responses import Answer, BatchAnswer, Other
from components.serving.state import Api

INKML = "application/inkml+xml"

T = TypeVar("T")

router = APIRouter()


Admitted = Annotated[Caller, Depends(admitted)]
Best = Annotated[int, Query(ge=1, le=5, description="how many readings, the best first")]
Format = Annotated[Literal["latex", "mathml"], Query(description="`mathml` adds the formula as MathML")]
Explain = Annotated[bool, Query(description="adds `looked`: which ink each token was read from")]


@router.post(
    "/predict",
    summary="Read a picture",
    response_model=Answer,
    response_model_exclude_none=True,
    responses=problems(400, 401, 408, 413, 415, 422, 429, 503),
    openapi_extra=PICTURE,
)
async def predict(
    request: Request,
    response: Response,
    api: TheApi,
    caller: Admitted,
    n_best: Best = 1,
    format: Format = "latex",
    explain: Explain = False,
) -> Answer:
    """Reads one picture: the field `file` of a multipart form, or the body with an `image/*` type."""
    data = await in_time(api, picture_of(request, api.settings.max_bytes))
    found = await api.desk.picture(data, n_best, api.feedback.wanted(caller), explain)
    return await _told(request, response, api, caller, found, format)


@router.post(
    "/predict/strokes",
    summary="Read pen strokes",
    response_model=Answer,
    response_model_exclude_none=True,
    responses=problems(400, 401, 408, 413, 415, 422, 429, 503),
    openapi_extra=STROKES,
)
async def predict_strokes(
    request: Request,
    response: Response,
    api: TheApi,
    caller: Admitted,
    n_best: Best = 1,
    format: Format = "latex",
    explain: Explain = False,
) -> Answer:
    """Reads pen strokes, as JSON or as InkML."""
    kind, limit = media_type(request), api.settings.max_ink_bytes
    keep = api.feedback.wanted(caller)
    if kind in (INKML, "application/xml", "text/xml"):
        found = await api.desk.inkml(await in_time(api, body(request, limit)), n_best, keep, explain)
    elif kind in ("application/json", ""):
        ink: StrokesBody = await in_time(api, json_of(request, StrokesBody, limit))
        found = await api.desk.strokes(ink.strokes, n_best, keep, explain)
    else:
        raise Problem(
            415,
            "unsupported-media-type",
            f"Send strokes as application/json, or InkML as {INKML}.",
            {"Accept-Post": f"application/json, {INKML}"},
        )
    return await _told(request, response, api, caller, found, format)


@router.post(
    "/predict/batch",
    summary="Read several pictures",
    response_model=BatchAnswer,
    response_model_exclude_none=True,
    responses=problems(400, 401, 408, 413, 422, 429, 503),
    openapi_extra=JSON_BATCH,
)
async def predict_batch(
    request: Request,
    response: Response,
    api: TheApi,
    caller: Admitted,
    n_best: Best = 1,
    format: Format = "latex",
    explain: Explain = False,
) -> BatchAnswer:
    """Reads up to ten pictures; each counts. A picture that can't be read does not spoil the others."""
    batch: BatchBody = await in_time(api, json_of(request, BatchBody, api.settings.max_batch_bytes))
    if len(batch.images) > 1:
        await api.limits.use(caller, len(batch.images) - 1)
        response.headers.update(await api.limits.headers(caller))

    async def one(text: str) -> Answer | ProblemDocument:
        try:
            data = from_base64(text, api.settings.max_bytes)
            found = await api.desk.picture(data, n_best, explain=explain)
        except Problem as problem:
            metrics.refusals.labels(problem.kind).inc()
            return problem.document(visit_of(request.scope).request_id)
        _count(request, api, found)
        return _answer(request, found, format)

    results = await asyncio.gather(*map(one, batch.images))
    return BatchAnswer(results=results, processing_time=_seconds(request))


async def _told(
    request: Request, response: Response, api: Api, caller: Caller, found: Found, format: str
) -> Answer:
    visit = visit_of(request.scope)
    visit.cached, visit.confidence = found.known, round(found.read.confidence, 4)
    response.headers["X-Cache"] = "hit" if found.known else "miss"
    _count(request, api, found)
    await api.feedback.remember(caller, visit, api.model.info.version, found)
    return _answer(request, found, format)


def _count(request: Request, api: Api, found: Found) -> None:
    api.counts.read(found.known)
    api.monitor.record(visit_of(request.scope).request_id, api.model.info.version, found)


def _answer(request: Request, found: Found, format: str) -> Answer:
    read = found.read
    typeset = mathml if format == "mathml" else _nothing
    tokens = [look.token for look in read.looked or ()]
    return Answer(
        formula=read.formula,
        confidence=round(read.confidence, 6),
        processing_time=_seconds(request),
        timestamp=datetime.now(UTC),
        alternatives=[Other(**dict(o), mathml=typeset(o.formula)) for o in read.alternatives] or None,
        mathml=typeset(read.formula, tokens),
        looked=read.looked,
    )


def _nothing(formula: str, tokens: Sequence[str] = ()) -> None:
    return None


def _seconds(request: Request) -> float:
    return round(visit_of(request.scope).spent, 6)


async def in_time(api: Api, reading: Awaitable[T]) -> T:
    """What a body holds, if it comes in time. Raises Problem (408)."""
    try:
        async with asyncio.timeout(api.settings.read_timeout):
            return await reading
    except TimeoutError:
        raise Problem(408, "slow-body", "The body did not come in time.") from None
