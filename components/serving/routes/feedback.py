"""The feedback route: callers correct predictions."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request

from components.latex.function_names import name_functions
from components.latex.tokenizer import tokenize
from components.serving.access.rate_limits import Caller
from components.serving.observability import metrics
from components.serving.observability.request_context import context_of
from components.serving.routes.dependencies import State, require_key
from components.serving.routes.predict import typeset, with_timeout
from components.serving.schemas.openapi import FEEDBACK, problems
from components.serving.schemas.problems import Problem
from components.serving.schemas.requests import FeedbackRequest, json_of
from components.serving.schemas.responses import FeedbackResponse

_BODY = 32 << 10  # bytes: 4,096 characters in any encoding, and the rest

router = APIRouter()

Format = Annotated[Literal["latex", "mathml"], Query(description="`mathml` adds the formula as MathML")]


@router.post(
    "/feedback",
    summary="Correct a prediction",
    status_code=201,
    response_model_exclude_none=True,
    responses=problems(400, 401, 404, 408, 413, 422, 429, 503),
    openapi_extra=FEEDBACK,
)
async def feedback(
    request: Request,
    state: State,
    caller: Annotated[Caller, Depends(require_key)],
    format: Format = "latex",
) -> FeedbackResponse:
    """Submit the correct formula, citing the response's `X-Request-ID`. The last correction counts."""
    try:
        body: FeedbackRequest = await with_timeout(state, json_of(request, FeedbackRequest, _BODY))
        context = context_of(request.scope)
        context.corrects = body.request_id
        formula, first = await state.feedback.correct(caller, body.request_id, body.formula)
        context.corrections += first
    except Problem as problem:
        metrics.feedback.labels(problem.kind).inc()
        raise
    metrics.feedback.labels("kept").inc()
    made = typeset(name_functions(tokenize(formula)).latex) if format == "mathml" else None
    return FeedbackResponse(request_id=body.request_id, formula=formula, mathml=made)
