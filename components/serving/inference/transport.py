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

TRIES = 4  # while connections are lost

logger = logging.getLogger(__name__)


async def ask(
    predict: Callable[[list[InferenceRequest]], Awaitable[Sequence[InferenceResult]]],
    requests: Sequence[InferenceRequest],
) -> Sequence[InferenceResult]:
    """The recognizer's answers. Raises OverloadedError and UnreachableError.

    Its server closes connections that were idle for five seconds, at times just when one is used again, and
    the pool may have several such. Then nothing came back, and reading has no effects: it is asked again.
    """
    try:
        for _ in range(TRIES - 1):
            try:
                return await predict(list(requests))
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                logger.info("asking the recognizer again: %r", error)
        return await predict(list(requests))
    except ServiceUnavailable as error:
        raise OverloadedError from error
    except (BentoMLException, aiohttp.ClientError, OSError) as error:
        logger.warning("the recognizer does not answer: %r", error)
        raise UnreachableError from error
