"""Who is let in: callers with the key that is needed, a place in the queue, and limits not used up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, Request, Response

from components.serving.access.rate_limits import Caller
from components.serving.observability import metrics
from components.serving.observability.request_context import visit_of
from components.serving.schemas.problems import Problem, busy
from components.serving.state import Api, api_of

TheApi = Annotated[Api, Depends(api_of)]


async def admitted(request: Request, response: Response, api: TheApi) -> AsyncIterator[Caller]:
    """Lets a caller in for reading. Raises Problem."""
    async with _let_in(request, response, api, with_key=api.settings.auth == "required") as caller:
        yield caller


async def admitted_by_key(request: Request, response: Response, api: TheApi) -> AsyncIterator[Caller]:
    """Lets a caller in whose name must be known, unless nobody's is. Raises Problem."""
    async with _let_in(request, response, api, with_key=api.settings.auth != "off") as caller:
        yield caller


@asynccontextmanager
async def _let_in(request: Request, response: Response, api: Api, with_key: bool) -> AsyncIterator[Caller]:
    caller = api.caller(request)
    visit_of(request.scope).caller = caller.name
    if with_key and not caller.keyed:
        raise Problem(
            401,
            "key-needed",
            "An API key is needed: as `X-API-Key`, or as `Authorization: Bearer`.",
            {"WWW-Authenticate": "Bearer"},
        )
    if api.counts.in_flight >= api.settings.max_queue:
        raise busy("All places in the queue are taken; come again a little later.")
    api.counts.in_flight += 1
    metrics.in_flight.inc()
    try:
        async with api.limits.slot(caller):
            await api.limits.use(caller)
            response.headers.update(await api.limits.headers(caller))
            yield caller
    finally:
        api.counts.in_flight -= 1
        metrics.in_flight.dec()
