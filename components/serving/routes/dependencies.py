"""Admission of requests: API key, queue capacity and rate limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, Request, Response

from components.serving.access.rate_limits import Caller
from components.serving.observability import metrics
from components.serving.observability.request_context import context_of
from components.serving.schemas.problems import Problem, busy
from components.serving.state import AppState, state_of

State = Annotated[AppState, Depends(state_of)]


async def admit(request: Request, response: Response, state: State) -> AsyncIterator[Caller]:
    """Admit a prediction request. Raises Problem."""
    async with _admit(request, response, state, with_key=state.settings.auth == "required") as caller:
        yield caller


async def require_admin(request: Request, state: State) -> Caller:
    """The holder of an admin key. Does not count. Raises Problem."""
    if state.settings.auth == "off":
        raise Problem(404, "keys-off", "This service asks for no keys (AUTH=off).")
    caller = identified(request, state)
    if not caller.keyed:
        raise _key_needed()
    if not caller.admin:
        raise Problem(403, "admin-needed", "This needs an admin key.")
    return caller


def identified(request: Request, state: AppState) -> Caller:
    """The caller, known to logs and usage from now on. Raises Problem (401)."""
    caller = state.caller(request)
    context = context_of(request.scope)
    context.caller, context.key_id = caller.name, caller.key_id
    return caller


async def require_key(request: Request, response: Response, state: State) -> AsyncIterator[Caller]:
    """Admit a request that needs a key unless AUTH=off. Raises Problem."""
    async with _admit(request, response, state, with_key=state.settings.auth != "off") as caller:
        yield caller


@asynccontextmanager
async def _admit(
    request: Request, response: Response, state: AppState, with_key: bool
) -> AsyncIterator[Caller]:
    caller = identified(request, state)
    if with_key and not caller.keyed:
        raise _key_needed()
    if state.counts.in_flight >= state.settings.max_queue:
        raise busy("The queue is full; retry later.")
    state.counts.in_flight += 1
    metrics.in_flight.inc()
    try:
        async with state.limits.slot(caller):
            await state.limits.use(caller)
            response.headers.update(await state.limits.headers(caller))
            yield caller
    finally:
        state.counts.in_flight -= 1
        metrics.in_flight.dec()


def _key_needed() -> Problem:
    return Problem(
        401,
        "key-needed",
        "An API key is required, as `X-API-Key` or `Authorization: Bearer`.",
        {"WWW-Authenticate": "Bearer"},
    )
