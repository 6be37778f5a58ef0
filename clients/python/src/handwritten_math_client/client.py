"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Self, Unpack

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


class Client:
    """A connection to the service, for threads to share.

    `timeout` are the seconds that a call may take with all its attempts. `retries` is how many further
    attempts it makes while the service is overloaded, refuses for the rate limits, or can't be reached; it
    waits as long as `Retry-After` says, and gives up at once where the deadline is earlier. All methods raise
    `ClientError`, and for a path also `OSError`.

    httpx limits each wait for the network to what is left of `timeout`; a response that trickles in can
    exceed it, which `AsyncClient` does not allow.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        timeout: float = 40,
        retries: int = 3,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        check_limits(timeout, retries)
        self._http = httpx.Client(**http_options(base_url, api_key), transport=transport)
        self._timeout, self._retries = timeout, retries

    def predict(self, picture: File, **options: Unpack[PredictOptions]) -> Prediction:
        """Read a picture: the content of its file, or the path."""
        return self._send(calls.predict(picture, **options))

    def predict_strokes(self, strokes: Strokes, **options: Unpack[PredictOptions]) -> Prediction:
        """Read pen strokes: lists of points (x, y), y downwards, in any unit."""
        return self._send(calls.predict_strokes(strokes, **options))

    def predict_inkml(self, document: File, **options: Unpack[PredictOptions]) -> Prediction:
        """Read an InkML document: its content, or the path."""
        return self._send(calls.predict_inkml(document, **options))

    def predict_batch(self, pictures: Iterable[File], **options: Unpack[PredictOptions]) -> Batch:
        """Read up to ten pictures; each counts against the limits. A bad one does not fail the others."""
        return self._send(calls.predict_batch(pictures, **options))

    def feedback(self, request_id: str, formula: str, format: Format | None = None) -> Correction:
        """Say what should have been read in the prediction with this request ID. Needs a key."""
        return self._send(calls.feedback(request_id, formula, format))

    def status(self) -> Status:
        """State of the service."""
        return self._send(calls.status())

    def health(self) -> Health:
        """A thorough check. An unhealthy service is a result, too."""
        return self._send(calls.health())

    def history(self) -> History:
        """Metrics by minute."""
        return self._send(calls.history())

    def model_info(self) -> ModelInfo:
        """The model being served."""
        return self._send(calls.model_info())

    def rate_limit_status(self) -> RateLimitStatus:
        """What is left of the caller's limits; does not count."""
        return self._send(calls.rate_limit_status())

    def usage(self, key: str | None = None, days: int | None = None) -> UsageReport:
        """Usage by key and day: the caller's own, and with an admin key everybody's or that of one key."""
        return self._send(calls.usage(key, days))

    def list_keys(self) -> KeyList:
        """All API keys. Needs an admin key."""
        return self._send(calls.list_keys())

    def add_key(
        self,
        name: str,
        expires_days: int | None = None,
        admin: bool = False,
        **limits: Unpack[KeyLimitOptions],
    ) -> CreatedKey:
        """Create an API key. Needs an admin key."""
        return self._send(calls.add_key(name, expires_days, admin, **limits))

    def limit_key(self, id: str, **limits: Unpack[KeyLimitOptions]) -> KeyResult:
        """Replace a key's own limits. Needs an admin key. Raises ValueError for what is no ID."""
        return self._send(calls.limit_key(id, **limits))

    def revoke_key(self, id: str) -> KeyResult:
        """Revoke an API key. Needs an admin key. Raises ValueError for what is no ID."""
        return self._send(calls.revoke_key(id))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, call: Call[R]) -> R:
        exchange = Exchange(call, self._retries, self._timeout)
        while True:
            request = exchange.request(self._http)
            try:
                outcome = exchange.received(self._http.send(request))
            except httpx.RequestError as error:
                outcome = exchange.failed(error)
            if not isinstance(outcome, float):
                return outcome
            time.sleep(outcome)
