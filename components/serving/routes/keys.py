"""Routes by which an admin key lists, adds, limits and revokes keys, as `python -m components keys` does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, TypeVar

import anyio.to_thread
from fastapi import APIRouter, Depends, Path, Request

from components.serving.access.api_keys import (
    Key,
    KeyLimits,
    KeysError,
    ReadOnlyKeysError,
    UnknownKeyError,
    state_of_key,
)
from components.serving.access.rate_limits import Caller
from components.serving.observability.request_context import context_of
from components.serving.routes.dependencies import State, require_admin
from components.serving.routes.predict import with_timeout
from components.serving.schemas.openapi import KEY_LIMITS, NEW_KEY, problems
from components.serving.schemas.problems import Problem
from components.serving.schemas.requests import NewKeyRequest, json_of
from components.serving.schemas.responses import CreatedKey, KeyInfo, KeyList

_BODY = 4 << 10  # bytes

router = APIRouter()

audit = logging.getLogger("audit")

Admin = Annotated[Caller, Depends(require_admin)]
KeyId = Annotated[str, Path(pattern=r"^[0-9a-f]{8}$", description="ID of the key", examples=["3f9c2a7b"])]

T = TypeVar("T")


@router.get("/keys", summary="List API keys", responses=problems(401, 403, 404))
async def list_keys(request: Request, state: State, admin: Admin) -> KeyList:
    """All keys, revoked and expired ones as well, without their secrets. Needs an admin key."""
    entries = await _edited(request, "list", lambda: state.keys.entries(now=True))
    return KeyList(keys=[_info(key) for key in entries])


@router.post(
    "/keys",
    summary="Add an API key",
    status_code=201,
    responses=problems(400, 401, 403, 404, 408, 409, 413, 422, 503),
    openapi_extra=NEW_KEY,
)
async def add_key(request: Request, state: State, admin: Admin) -> CreatedKey:
    """Create a key. Its secret is in this response and nowhere else. Needs an admin key."""
    body: NewKeyRequest = await with_timeout(state, json_of(request, NewKeyRequest, _BODY))
    expires = timedelta(days=body.expires_days) if body.expires_days else None
    secret, entry = await _edited(
        request, "add", lambda: state.keys.add(body.name, expires, body.limits, body.admin)
    )
    _log(request, admin, "added", entry)
    return CreatedKey(secret=secret, key=_info(entry))


@router.patch(
    "/keys/{key_id}",
    summary="Set a key's limits",
    responses=problems(400, 401, 403, 404, 408, 409, 413, 422, 503),
    openapi_extra=KEY_LIMITS,
)
async def limit_key(request: Request, state: State, admin: Admin, key_id: KeyId) -> KeyInfo:
    """Replace the key's own limits; those left out are the service's default. Needs an admin key."""
    limits: KeyLimits = await with_timeout(state, json_of(request, KeyLimits, _BODY))
    entry = await _edited(request, "limit", lambda: state.keys.limit(key_id, limits))
    _log(request, admin, "limited", entry)
    return _info(entry)


@router.delete(
    "/keys/{key_id}", summary="Revoke an API key", responses=problems(401, 403, 404, 409, 422, 503)
)
async def revoke_key(request: Request, state: State, admin: Admin, key_id: KeyId) -> KeyInfo:
    """Revoke a key; its entry stays. Other replicas apply it within seconds. Needs an admin key."""
    entry = await _edited(request, "revoke", lambda: state.keys.revoke(key_id))
    _log(request, admin, "revoked", entry)
    return _info(entry)


async def _edited(request: Request, what: str, work: Callable[[], T]) -> T:
    """Run `work` in a thread. Raises Problem."""
    try:
        return await anyio.to_thread.run_sync(work)
    except UnknownKeyError:
        raise Problem(404, "unknown-key-id", "There is no key with this ID; `GET /keys` lists all.") from None
    except ReadOnlyKeysError as error:
        raise Problem(409, "keys-read-only", str(error)) from None
    except (KeysError, OSError) as error:  # the message names files
        audit.error("keys: %s failed (%s): %s", what, context_of(request.scope).request_id, error)
        raise Problem(
            503, "not-kept", "The keys can't be read or stored at the moment; the log says why.",
            {"Retry-After": "30"},
        ) from None  # fmt: skip


def _log(request: Request, admin: Caller, what: str, entry: Key) -> None:
    audit.info(
        "key %s",
        what,
        extra={"request_id": context_of(request.scope).request_id, "by": admin.name, "key": entry.id},
    )


def _info(key: Key) -> KeyInfo:
    return KeyInfo(
        id=key.id,
        name=key.name,
        state=state_of_key(key),
        admin=key.admin,
        created=key.created,
        expires=key.expires,
        revoked=key.revoked,
        limits=key.limits,
    )
