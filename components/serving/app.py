"""The ASGI application: routes, middleware, and errors as problem documents."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from components.serving.access.proxies import trust_proxies
from components.serving.observability import metrics
from components.serving.observability.request_context import RequestContextMiddleware, context_of
from components.serving.routes import feedback, keys, pages, predict, status, usage
from components.serving.routing import LenientRouting
from components.serving.schemas.openapi import describe_security
from components.serving.schemas.problems import MEDIA_TYPE, Problem, internal
from components.serving.state import AppState


def build_app(state: AppState) -> ASGIApp:
    """Assemble routes, error handlers and middleware."""
    app = FastAPI(
        title="Handwritten mathematics to LaTeX",
        version=state.version,
        description="Reads one handwritten formula, from a picture or from pen strokes.",
        openapi_url="/docs.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = state
    app.include_router(predict.router)
    app.include_router(feedback.router)
    app.include_router(status.router)
    app.include_router(usage.router)
    app.include_router(keys.router)
    app.include_router(pages.router)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _by_status)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _internal)
    if state.settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=state.settings.origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=[
                *("Authorization", "X-API-Key", "Content-Type", "Content-Encoding", "X-Request-ID"),
                *("traceparent", "tracestate", "baggage"),  # W3C Trace Context and Baggage
            ],
            expose_headers=["X-Request-ID", "X-Cache", "RateLimit", "RateLimit-Policy", "Retry-After"],
        )
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        description = generate()
        describe_security(description, required=state.settings.auth == "required")
        return description

    app.openapi = openapi  # type: ignore[method-assign]
    observed = RequestContextMiddleware(
        LenientRouting(app), state.counts, state.history.sample, state.usage.count
    )
    return trust_proxies(observed, state.settings.proxies)


async def _problem(request: Request, error: Any) -> Response:
    context = context_of(request.scope)
    context.outcome = error.kind
    metrics.refusals.labels(error.kind).inc()
    document = error.document(context.request_id).model_dump()
    return JSONResponse(document, error.status, error.headers, media_type=MEDIA_TYPE)


async def _internal(request: Request, error: Any) -> Response:
    return await _problem(request, internal())


async def _by_status(request: Request, error: Any) -> Response:
    kind, detail = _BY_STATUS.get(error.status_code, ("refused", "The request was refused."))
    return await _problem(request, Problem(error.status_code, kind, detail, error.headers))


async def _invalid(request: Request, error: Any) -> Response:
    faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
    return await _problem(request, Problem(422, "invalid-parameter", faults))


_BY_STATUS = {
    404: ("not-found", "No such path; `/docs.json` lists all."),
    405: ("method-not-allowed", "This path does not support the method; `/docs.json` lists those it does."),
}
