"""Read handwritten mathematics: the client of the handwritten-mathematics service.

>>> with Client("http://localhost:3000") as client:  # doctest: +SKIP
...     print(client.predict("formula.png").formula)
\\frac{1}{2}
"""

from handwritten_math_client.async_client import AsyncClient
from handwritten_math_client.calls import Constraints, File, Format, Names, PredictOptions, Strokes
from handwritten_math_client.client import Client
from handwritten_math_client.errors import (
    BadRequestError,
    ClientError,
    DeadlineExceededError,
    NotFoundError,
    ProblemError,
    RateLimitedError,
    ServerError,
    TransportError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedResponseError,
    UnprocessableError,
)
from handwritten_math_client.models import (
    Alternative,
    Batch,
    Correction,
    Headers,
    Health,
    History,
    Minute,
    ModelInfo,
    Prediction,
    Problem,
    RateLimit,
    RateLimitStatus,
    Reading,
    Status,
    TokenAlternative,
    TokenBox,
)
from handwritten_math_client.version import __version__

__all__ = [
    "Alternative",
    "AsyncClient",
    "BadRequestError",
    "Batch",
    "Client",
    "ClientError",
    "Constraints",
    "Correction",
    "DeadlineExceededError",
    "File",
    "Format",
    "Headers",
    "Health",
    "History",
    "Minute",
    "ModelInfo",
    "Names",
    "NotFoundError",
    "PredictOptions",
    "Prediction",
    "Problem",
    "ProblemError",
    "RateLimit",
    "RateLimitStatus",
    "RateLimitedError",
    "Reading",
    "ServerError",
    "Status",
    "Strokes",
    "TokenAlternative",
    "TokenBox",
    "TransportError",
    "UnauthorizedError",
    "UnavailableError",
    "UnexpectedResponseError",
    "UnprocessableError",
    "__version__",
]
