"""One call from its first attempt to its last: what is tried again, when, and when to give up.

It sends nothing and waits for nothing itself, so that the sync and the async client share it.
"""

from __future__ import annotations

import random
import time
from typing import Generic

import httpx

from handwritten_math_client import responses
from handwritten_math_client.calls import Call, R
from handwritten_math_client.errors import (
    DeadlineExceededError,
    ProblemError,
    TransportError,
    UnexpectedResponseError,
)

_CONNECT_TIMEOUT = 10.0  # seconds; a host that does not answer must not use up the whole deadline
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.5, 8.0  # seconds

# The request has not reached the service.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
# It may have, and the response is lost.
_LOST = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
_TEMPORARY = frozenset({429, 500, 502, 503, 504})


class Exchange(Generic[R]):
    """The attempts of one call. The deadline counts from here."""

    def __init__(self, call: Call[R], retries: int, timeout: float) -> None:
        self._call, self._retries, self._timeout = call, retries, timeout
        self._deadline = time.monotonic() + timeout
        self._attempts = 0

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The next attempt's request, which may take as long as is left. Raises DeadlineExceededError."""
        left = self.left
        if left <= 0:
            raise self._exceeded()
        call = self._call
        timeout = httpx.Timeout(left, connect=min(left, _CONNECT_TIMEOUT))
        self._attempts += 1
        return http.build_request(
            call.method, call.path, params=dict(call.params), timeout=timeout, **call.content
        )

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._deadline - time.monotonic()

    def received(self, response: httpx.Response) -> R | float:
        """The result, or the seconds to wait before the next attempt. Raises ClientError."""
        if responses.is_result(self._call, response):
            return responses.result(self._call, response)
        problem = responses.problem(response)
        if not self._is_temporary(problem):
            raise problem
        wait = self._backoff() if problem.retry_after is None else problem.retry_after
        if self._attempts > self._retries or wait >= self.left:
            raise problem
        return wait

    def failed(self, error: httpx.RequestError | TimeoutError) -> float:
        """The seconds to wait before the next attempt, after one without a response. Raises ClientError."""
        if isinstance(error, TimeoutError) or self.left <= 0:
            raise self._exceeded() from error
        if isinstance(error, httpx.DecodingError):
            raise UnexpectedResponseError(f"{self._what}: {error}") from error
        again = isinstance(error, _UNSENT) or (self._call.repeatable and isinstance(error, _LOST))
        wait = self._backoff()
        if isinstance(error, httpx.TimeoutException) and wait >= self.left:
            raise self._exceeded() from error
        if not again or self._attempts > self._retries or wait >= self.left:
            raise TransportError(f"{self._what}: {error or type(error).__name__}") from error
        return wait

    def _is_temporary(self, problem: ProblemError) -> bool:
        """Whether another attempt may succeed, and can do no harm."""
        refused = problem.status in (429, 503) and problem.retry_after is not None  # nothing was processed
        return refused or (self._call.repeatable and problem.status in _TEMPORARY)

    def _backoff(self) -> float:
        """Exponential, capped, and random, so that callers who failed together do not return together."""
        longest = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** (self._attempts - 1))
        return random.uniform(longest / 2, longest)

    def _exceeded(self) -> DeadlineExceededError:
        return DeadlineExceededError(
            f"{self._what}: no result within {self._timeout:g} s ({self._attempts} attempts)"
        )

    @property
    def _what(self) -> str:
        return f"{self._call.method} {self._call.path}"
