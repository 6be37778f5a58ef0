"""What a call raises. All are `ClientError`."""

from __future__ import annotations

from handwritten_math_client.models import Headers, Problem


class ClientError(Exception):
    """A call failed."""


class TransportError(ClientError):
    """The service could not be reached, or the connection broke."""


class DeadlineExceededError(ClientError, TimeoutError):
    """The call's `timeout` is over."""


class UnexpectedResponseError(ClientError):
    """The response is not what the service's description promises: another service, or another version."""


class ProblemError(ClientError):
    """The service answered with a problem. `kind` and `status` are for programs, the text is for people."""

    def __init__(self, problem: Problem, headers: Headers, retry_after: float | None = None) -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}")
        self.problem, self.headers = problem, headers
        self.retry_after = retry_after  # seconds to wait before another attempt

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def kind(self) -> str:
        """The kind of problem in a word, such as `nothing-written`."""
        return self.problem.kind

    @property
    def request_id(self) -> str:
        """The ID to quote in support requests."""
        return self.headers.request_id


class BadRequestError(ProblemError):
    """4xx: the request is wrong, and will be the next time (413: too large, 415: unsupported media type)."""


class UnauthorizedError(BadRequestError):
    """401: the API key is missing or invalid."""


class NotFoundError(BadRequestError):
    """404: there is no such prediction to correct, or no such path."""


class UnprocessableError(BadRequestError):
    """422: the picture, ink, formula or an option can't be processed; the text has the reason."""


class RateLimitedError(ProblemError):
    """429: the limits are used up; `retry_after` says for how long."""


class ServerError(ProblemError):
    """5xx: the service failed."""


class UnavailableError(ServerError):
    """503: the service is overloaded or unavailable."""


_BY_STATUS: dict[int, type[ProblemError]] = {
    401: UnauthorizedError,
    404: NotFoundError,
    422: UnprocessableError,
    429: RateLimitedError,
    503: UnavailableError,
}


def problem_error(problem: Problem, headers: Headers, retry_after: float | None) -> ProblemError:
    """The exception for a problem."""
    usual: type[ProblemError] = ServerError if problem.status >= 500 else BadRequestError
    return _BY_STATUS.get(problem.status, usual)(problem, headers, retry_after)
