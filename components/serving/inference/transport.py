"""The way from the API to the recognizer's process."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

import aiohttp
from bentoml.exceptions import BentoMLException, ServiceUnavailable

from components.serving.inference.client import (
    InferenceRequest,
    InferenceResult,
    OverloadedError,
    UnreachableError,
)

logger = logging.getLogger(__name__)


async def ask(
    predict: Callable[[list[InferenceRequest]], Awaitable[Sequence[InferenceResult]]],
    requests: Sequence[InferenceRequest],
) -> Sequence[InferenceResult]:
    """The recognizer's answers. Raises OverloadedError and UnreachableError.

    Its server closes connections that were idle for five seconds, at times just when one is used again. Then
    nothing came back, and reading has no effects: it is asked once more.
    """
    try:
        try:
            return await predict(list(requests))
        except aiohttp.ServerDisconnectedError:
            return await predict(list(requests))
    except ServiceUnavailable as error:
        raise OverloadedError from error
    except (BentoMLException, aiohttp.ClientError, OSError) as error:
        logger.warning("the recognizer does not answer: %r", error)
        raise UnreachableError from error
