"""The routes that tell: how the service does and what reads. They need no key and do not count."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from components.serving.observability import metrics
from components.serving.schemas.openapi import problems
from components.serving.schemas.responses import Health, History, ModelInfo, Status, Usage
from components.serving.state import Api, api_of

TheApi = Annotated[Api, Depends(api_of)]

router = APIRouter()


@router.get("/status", summary="How the service does")
async def status(api: TheApi) -> Status:
    info = api.model.info
    return Status(service=api.version, model=info.name, model_version=info.version, **api.counts.as_dict())


@router.get("/health", summary="A thorough check", responses={503: {"model": Health}})
async def health(api: TheApi, response: Response) -> Health:
    """Reads a known picture and asks Redis. 503 where the service can't do its work."""
    found = await api.health()
    response.status_code = 200 if found.healthy else 503
    return found


@router.get("/history", summary="What was measured, minute by minute")
async def history(api: TheApi) -> History:
    """The last three hours of this replica. Nothing that `/metrics` does not tell, and nothing of anybody."""
    return api.history.told()


@router.get("/model/info", summary="What reads")
async def model_info(api: TheApi) -> ModelInfo:
    return api.model.info


@router.get("/rate-limit/status", summary="How the caller's limits stand", responses=problems(401))
async def usage(request: Request, api: TheApi) -> Usage:
    """The limits of this key, or of this address where none is shown. Asking does not count."""
    caller = api.caller(request)
    return Usage(
        caller=caller.name,
        limits=api.settings.rate_limits,
        tiers=await api.limits.tiers(caller) if api.limits.on else [],
        at_once=caller.allowance.at_once,
        under_way=api.limits.under_way(caller),
    )


@router.get("/metrics", include_in_schema=False)
async def prometheus_metrics() -> Response:
    content, kind = await asyncio.to_thread(metrics.page)
    return Response(content, media_type=kind)
