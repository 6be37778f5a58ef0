"""The asynchronous client, for asyncio and trio."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self, Unpack

import anyio
import httpx

from handwritten_math_client import calls
from handwritten_math_client.calls import Call, File, Format, KeyLimitOptions, PredictOptions, R, Strokes
from handwritten_math_client.exchange import Exchange
from handwritten_math_client.models import (
    Batch,
    Correction,
    CreatedKey,
    Health,
    History,
    KeyList,
    KeyResult,
    ModelInfo,
    Prediction,
    RateLimitStatus,
    Status,
    UsageReport,
)
from handwritten_math_client.settings import check_limits, http_options


class AsyncClient:
    """As `Client`, with coroutines. The deadline holds for the whole call, and cancelling it ends it."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        timeout: float = 40,
        retries: int = 3,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        check_limits(timeout, retries)
        self._http = httpx.AsyncClient(**http_options(base_url, api_key), transport=transport)
        self._timeout, self._retries = timeout, retries

    async def predict(self, picture: File, **options: Unpack[PredictOptions]) -> Prediction:
        """Read a picture: the content of its file, or the path."""
        return await self._send(calls.predict(picture, **options))

    async def predict_strokes(self, strokes: Strokes, **options: Unpack[PredictOptions]) -> Prediction:
        """Read pen strokes: lists of points (x, y), y downwards, in any unit."""
        return await self._send(calls.predict_strokes(strokes, **options))

    async def predict_inkml(self, document: File, **options: Unpack[PredictOptions]) -> Prediction:
        """Read an InkML document: its content, or the path."""
        return await self._send(calls.predict_inkml(document, **options))

    async def predict_batch(self, pictures: Iterable[File], **options: Unpack[PredictOptions]) -> Batch:
        """Read up to ten pictures; each counts against the limits. A bad one does not fail the others."""
        return await self._send(calls.predict_batch(pictures, **options))

    async def feedback(self, request_id: str, formula: str, format: Format | None = None) -> Correction:
        """Say what should have been read in the prediction with this request ID. Needs a key."""
        return await self._send(calls.feedback(request_id, formula, format))

    async def status(self) -> Status:
        """State of the service."""
        return await self._send(calls.status())

    async def health(self) -> Health:
        """A thorough check. An unhealthy service is a result, too."""
        return await self._send(calls.health())

    async def history(self) -> History:
        """Metrics by minute."""
        return await self._send(calls.history())

    async def model_info(self) -> ModelInfo:
        """The model being served."""
        return await self._send(calls.model_info())

    async def rate_limit_status(self) -> RateLimitStatus:
        """What is left of the caller's limits; does not count."""
        return await self._send(calls.rate_limit_status())

    async def usage(self, key: str | None = None, days: int | None = None) -> UsageReport:
        """Usage by key and day: the caller's own, and with an admin key everybody's or that of one key."""
        return await self._send(calls.usage(key, days))

    async def list_keys(self) -> KeyList:
        """All API keys. Needs an admin key."""
        return await self._send(calls.list_keys())

    async def add_key(
        self,
        name: str,
        expires_days: int | None = None,
        admin: bool = False,
        **limits: Unpack[KeyLimitOptions],
    ) -> CreatedKey:
        """Create an API key. Needs an admin key."""
        return await self._send(calls.add_key(name, expires_days, admin, **limits))

    async def limit_key(self, id: str, **limits: Unpack[KeyLimitOptions]) -> KeyResult:
        """Replace a key's own limits. Needs an admin key. Raises ValueError for what is no ID."""
        return await self._send(calls.limit_key(id, **limits))

    async def revoke_key(self, id: str) -> KeyResult:
        """Revoke an API key. Needs an admin key. Raises ValueError for what is no ID."""
        return await self._send(calls.revoke_key(id))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _send(self, call: Call[R]) -> R:
        exchange = Exchange(call, self._retries, self._timeout)
        while True:
            request = exchange.request(self._http)
            try:
                with anyio.fail_after(exchange.left):
                    response = await self._http.send(request)
                outcome = exchange.received(response)
            except (httpx.RequestError, TimeoutError) as error:
                outcome = exchange.failed(error)
            if not isinstance(outcome, float):
                return outcome
            await anyio.sleep(outcome)
