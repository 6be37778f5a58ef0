"""The application: its parts put together, and what goes wrong told as problems."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from components.serving.observability import metrics
from components.serving.observability.request_context import Observed, visit_of
from components.serving.routes import feedback, pages, predict, status
from components.serving.schemas.problems import MEDIA_TYPE, Problem, internal
from components.serving.state import Api


def build_app(api: Api) -> ASGIApp:
    """All routes, observed."""
    app = FastAPI(
        title="Handwritten mathematics to LaTeX",
        version=api.version,
        description="Reads one handwritten formula, from a picture or from pen strokes.",
        openapi_url="/docs.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.api = api
    app.include_router(predict.router)
    app.include_router(feedback.router)
    app.include_router(status.router)
    app.include_router(pages.router)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _by_status)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _internal)
    if api.settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=api.settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type", "X-Request-ID"],
            expose_headers=["X-Request-ID", "X-Cache", "RateLimit", "RateLimit-Policy", "Retry-After"],
        )
    return Observed(app, api.counts, api.history.look)


async def _problem(request: Request, error: Any) -> Response:
    visit = visit_of(request.scope)
    visit.outcome = error.kind
    metrics.refusals.labels(error.kind).inc()
    document = error.document(visit.request_id).model_dump()
    return JSONResponse(document, error.status, error.headers, media_type=MEDIA_TYPE)


async def _internal(request: Request, error: Any) -> Response:
    return await _problem(request, internal())


async def _by_status(request: Request, error: Any) -> Response:
    kind, detail = _BY_STATUS.get(error.status_code, ("refused", "This request is not possible."))
    return await _problem(request, Problem(error.status_code, kind, detail, error.headers))


async def _invalid(request: Request, error: Any) -> Response:
    faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
    return await _problem(request, Problem(422, "invalid-parameter", faults))


_BY_STATUS = {
    404: ("not-found", "There is nothing at this address; `/docs.json` lists what there is."),
    405: ("method-not-allowed", "This address does not take this method; `/docs.json` says which it takes."),
}
