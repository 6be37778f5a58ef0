"""What the service answers, as its OpenAPI description documents it. Times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """One limit of the caller."""

    name: str
    limit: int
    window: int
    remaining: int
    resets_in: int


@dataclass(frozen=True, kw_only=True)
class Headers:
    """What the headers of a response say."""

    request_id: str
    rate_limits: tuple[RateLimit, ...] = ()  # of predictions and feedback, unless limits are off
    cached: bool | None = None  # whether the prediction came from the service's cache


@dataclass(frozen=True, kw_only=True)
class Response:
    """A response of the service."""

    headers: Headers


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """Another reading of the picture."""

    formula: str
    confidence: float
    mathml: str | None = None


@dataclass(frozen=True, kw_only=True)
class TokenAlternative:
    """What may stand at a place of the formula, given all before it; the probability is not calibrated."""

    token: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class TokenBox:
    """A token of the LaTeX, the box around the ink that it was read from, and the likeliest tokens there."""

    token: str
    start: int
    end: int
    box: tuple[float, float, float, float] | None = None  # left, top, right, bottom
    alternatives: tuple[TokenAlternative, ...] = ()  # the best first; none for a function name


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The formula on a picture. `confidence` is the calibrated probability that it is correct."""

    formula: str
    confidence: float
    processing_time: float
    timestamp: datetime
    alternatives: tuple[Alternative, ...] | None = None  # with `n_best` above 1
    mathml: str | None = None  # with `format="mathml"`, if the formula can be converted
    token_boxes: tuple[TokenBox, ...] | None = None  # with `explain=True`
    rotated: Literal[90, 180, 270] | None = None  # degrees that the picture was turned by, clockwise
    lines: int | None = None  # of writing, where there seem to be several; each should be sent alone


@dataclass(frozen=True, kw_only=True)
class Prediction(Reading, Response):
    """The answer to one picture or ink."""

    @property
    def request_id(self) -> str:
        """The ID by which `feedback` corrects this prediction."""
        return self.headers.request_id


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str

    @property
    def kind(self) -> str:
        """The kind of problem in a word, such as `nothing-written`."""
        return self.type.removeprefix("urn:problem:")


@dataclass(frozen=True, kw_only=True)
class Batch(Response):
    """One entry per picture, in order: its formula, or the problem with it."""

    results: tuple[Reading | Problem, ...]
    processing_time: float


@dataclass(frozen=True, kw_only=True)
class Correction(Response):
    """A stored correction; `request_id` is that of the corrected prediction."""

    request_id: str
    formula: str
    mathml: str | None = None


@dataclass(frozen=True, kw_only=True)
class Status(Response):
    """State of the service. Counts are of the replica that answered, since it started."""

    service: str
    model: str
    model_version: str
    uptime: float
    requests: int
    pictures: int
    cache_hits: int
    in_flight: int


@dataclass(frozen=True, kw_only=True)
class Health(Response):
    """Result of a health check."""

    healthy: bool
    model: Literal["ok", "wrong", "away"]
    redis: Literal["ok", "away", "not used"]
    queue: int
    queue_limit: int


@dataclass(frozen=True, kw_only=True)
class Minute:
    """One minute of prediction and feedback requests."""

    start: datetime
    answered: int
    refused: int
    failed: int
    problems: dict[str, int]
    median: float | None
    p95: float | None
    confidence: float | None
    tokens: float | None
    cache_lookups: int
    cache_hits: int
    drift: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class History(Response):
    """Metrics of one replica by minute; the last minute is incomplete."""

    minutes: tuple[Minute, ...]


@dataclass(frozen=True, kw_only=True)
class ModelInfo(Response):
    """The model being served."""

    name: str
    version: str
    bundle: str
    architecture: str
    parameters: int
    vocabulary: int
    max_tokens: int
    metrics: dict[str, float]
    lineage: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class RateLimitStatus(Response):
    """The caller's rate limits."""

    caller: str
    limits: Literal["on", "off"]
    tiers: tuple[RateLimit, ...]
    at_once: int
    under_way: int


@dataclass(frozen=True, kw_only=True)
class KeyLimits:
    """A key's own limits; None: the service's default."""

    minute: int | None = None
    hour: int | None = None
    day: int | None = None
    at_once: int | None = None


@dataclass(frozen=True, kw_only=True)
class Key:
    """An API key, without its secret."""

    id: str
    name: str
    state: Literal["valid", "revoked", "expired"]
    admin: bool
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    limits: KeyLimits


@dataclass(frozen=True, kw_only=True)
class KeyResult(Key, Response):
    """A key that was changed."""


@dataclass(frozen=True, kw_only=True)
class KeyList(Response):
    """All API keys."""

    keys: tuple[Key, ...]


@dataclass(frozen=True, kw_only=True)
class CreatedKey(Response):
    """A new API key; its secret is shown nowhere else."""

    secret: str
    key: Key


@dataclass(frozen=True, kw_only=True)
class UsageDay:
    """Usage of one key on one day, UTC; `key` is None for all callers without one."""

    day: date
    key: str | None
    name: str | None
    requests: int
    formulas: int
    refused: int
    failed: int
    corrected: int
    median: float | None
    p95: float | None
    confidence: float | None
    share_corrected: float | None


@dataclass(frozen=True, kw_only=True)
class UsageReport(Response):
    """Usage by day and key; oldest first."""

    scope: Literal["all replicas", "this replica"]
    days: tuple[UsageDay, ...]
