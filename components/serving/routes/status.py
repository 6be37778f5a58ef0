"""Status routes: state, health, history, model, limits, metrics. They need no key and do not count."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from components.serving.observability import metrics
from components.serving.schemas.openapi import problems
from components.serving.schemas.responses import Health, History, ModelInfo, Status, Usage
from components.serving.state import AppState, state_of

State = Annotated[AppState, Depends(state_of)]

router = APIRouter()


@router.get("/status", summary="State of the service")
async def status(state: State) -> Status:
    info = state.model.info
    return Status(
        service=state.version, model=info.name, model_version=info.version, **state.counts.as_dict()
    )


@router.get("/health", summary="A thorough check", responses={503: {"model": Health}})
async def health(state: State, response: Response) -> Health:
    """Read a known picture and ping Redis. 503 if the service is unhealthy."""
    found = await state.health()
    response.status_code = 200 if found.healthy else 503
    return found


@router.get("/history", summary="Metrics by minute")
async def history(state: State) -> History:
    """The last three hours of this replica: what `/metrics` shows, nothing about callers."""
    return state.history.report()


@router.get("/model/info", summary="The model being served")
async def model_info(state: State) -> ModelInfo:
    return state.model.info


@router.get("/rate-limit/status", summary="The caller's rate limits", responses=problems(401))
async def usage(request: Request, state: State) -> Usage:
    """The limits of this key, or of this address without a key. Does not count."""
    caller = state.caller(request)
    return Usage(
        caller=caller.name,
        limits=state.settings.rate_limits,
        tiers=await state.limits.tiers(caller) if state.limits.on else [],
        at_once=caller.allowance.at_once,
        under_way=state.limits.under_way(caller),
    )


@router.get("/metrics", include_in_schema=False)
async def prometheus_metrics() -> Response:
    content, kind = await asyncio.to_thread(metrics.page)
    return Response(content, media_type=kind)
