"""The route that corrects: who got a wrong answer says what is written there."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from components.serving.access.rate_limits import Caller
from components.serving.inference.mathml import mathml
from components.serving.observability import metrics
from components.serving.observability.request_context import visit_of
from components.serving.routes.dependencies import TheApi, admitted_by_key
from components.serving.routes.predict import Format, in_time
from components.serving.schemas.openapi import FEEDBACK, problems
from components.serving.schemas.problems import Problem
from components.serving.schemas.requests import FeedbackBody, json_of
from components.serving.schemas.responses import Corrected

_BODY = 32 << 10  # bytes: 4,096 characters however they are written, and the rest

router = APIRouter()


@router.post(
    "/feedback",
    summary="Correct an answer",
    status_code=201,
    response_model_exclude_none=True,
    responses=problems(400, 401, 404, 408, 413, 422, 429, 503),
    openapi_extra=FEEDBACK,
)
async def feedback(
    request: Request,
    api: TheApi,
    caller: Annotated[Caller, Depends(admitted_by_key)],
    format: Format = "latex",
) -> Corrected:
    """Says what should have been read. Who got the answer may, for a while; the last word counts."""
    try:
        body: FeedbackBody = await in_time(api, json_of(request, FeedbackBody, _BODY))
        visit_of(request.scope).corrects = body.request_id
        formula = await api.feedback.take(caller, body.request_id, body.formula)
    except Problem as problem:
        metrics.feedback.labels(problem.kind).inc()
        raise
    metrics.feedback.labels("kept").inc()
    typeset = mathml(formula) if format == "mathml" else None
    return Corrected(request_id=body.request_id, formula=formula, mathml=typeset)
