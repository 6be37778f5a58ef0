"""What the API makes of a recognizer that does not answer."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp
import pytest
from bentoml.exceptions import InternalServerError, ServiceUnavailable

from components.serving.inference.client import (
    InferenceRequest,
    InferenceResult,
    OverloadedError,
    UnreachableError,
)
from components.serving.inference.transport import TRIES, ask

REQUESTS = [InferenceRequest(grey=b"\xff", height=1, width=1, beam=1, n_best=1)]
RESULTS = [InferenceResult(prediction=None, error="none")]


async def answers(*errors: Exception) -> tuple[Sequence[InferenceResult], int]:
    """What comes of a recognizer that fails so, one error a call; and how often it was asked."""
    left, asked = list(errors), 0

    async def predict(requests: list[InferenceRequest]) -> Sequence[InferenceResult]:
        nonlocal asked
        asked += 1
        assert requests == REQUESTS
        if left:
            raise left.pop(0)
        return RESULTS

    return await ask(predict, REQUESTS), asked


async def test_a_connection_that_just_closed_is_opened_again() -> None:
    assert await answers() == (RESULTS, 1)
    assert await answers(aiohttp.ServerDisconnectedError()) == (RESULTS, 2)
    lost = [aiohttp.ServerDisconnectedError(), aiohttp.ClientOSError(104, "reset")]
    assert await answers(*lost, aiohttp.ServerDisconnectedError()) == (RESULTS, TRIES)


@pytest.mark.parametrize(
    "errors",
    [
        (aiohttp.ServerDisconnectedError(),) * TRIES,
        (ConnectionRefusedError(),),
        (InternalServerError("broken"),),
    ],
)
async def test_who_does_not_answer_is_unreachable(errors: tuple[Exception, ...]) -> None:
    with pytest.raises(UnreachableError):
        await answers(*errors)


@pytest.mark.parametrize(
    "errors",
    [(ServiceUnavailable("full"),), (aiohttp.ServerDisconnectedError(), ServiceUnavailable("full"))],
)
async def test_who_has_too_much_to_do_is_overloaded(errors: tuple[Exception, ...]) -> None:
    with pytest.raises(OverloadedError):
        await answers(*errors)
