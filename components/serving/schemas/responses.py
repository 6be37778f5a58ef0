"""Response bodies, as the OpenAPI description documents them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from components.recognizer.explanation import TokenBox
from components.serving.access.api_keys import KeyLimits
from components.serving.access.rate_limits import Tier
from components.serving.schemas.problems import ProblemDocument


class AlternativeResponse(BaseModel):
    """Another reading of the picture."""

    formula: str = Field(description="LaTeX")
    confidence: float = Field(ge=0, le=1)
    mathml: str | None = Field(None, description="as for the best reading")


class PredictResponse(BaseModel):
    """The formula on a picture."""

    formula: str = Field(description="LaTeX", examples=[r"\int_{0}^{\infty}x^{2}dx"])
    confidence: float = Field(ge=0, le=1, description="calibrated probability that the formula is correct")
    processing_time: float = Field(description="seconds since the request arrived")
    timestamp: datetime
    alternatives: list[AlternativeResponse] | None = Field(
        None, description="the next best readings, with `n_best` above 1"
    )
    mathml: str | None = Field(
        None,
        description="with `format=mathml`, if the formula can be converted; with `explain=true` its elements "
        "have `data-tokens`, indices into `token_boxes`, where the correspondence is certain",
    )
    token_boxes: tuple[TokenBox, ...] | None = Field(
        None, description="with `explain=true`: all tokens of the formula, in order"
    )
    rotated: Literal[90, 180, 270] | None = Field(
        None,
        description="degrees clockwise that the picture was turned by, since the model was clearly surer of "
        "it then; boxes are on the picture as it was sent",
    )
    lines: int | None = Field(
        None,
        ge=2,
        description="lines of writing, where there seem to be several; one formula is read, so send each "
        "line alone",
    )


class BatchResponse(BaseModel):
    """One entry per picture, in order: its formula, or the problem with it."""

    results: list[PredictResponse | ProblemDocument]
    processing_time: float


class FeedbackResponse(BaseModel):
    """A stored correction."""

    request_id: str = Field(description="ID of the corrected request", examples=["9f86d081884c7d65"])
    formula: str = Field(
        description="the correct formula as stored: normalized LaTeX", examples=[r"\frac{1}{2}"]
    )
    mathml: str | None = Field(
        None, description="the same as MathML, with `format=mathml`, if it can be converted"
    )


class Status(BaseModel):
    """State of the service. Counts are of this replica since it started."""

    service: str = Field(description="version of the service")
    model: str
    model_version: str
    uptime: float = Field(description="seconds")
    requests: int = Field(description="requests answered")
    pictures: int = Field(description="pictures and inks read")
    cache_hits: int
    in_flight: int


class Health(BaseModel):
    """Result of a health check."""

    healthy: bool
    model: Literal["ok", "wrong", "away"] = Field(description="`ok`: a known picture is read correctly")
    redis: Literal["ok", "away", "not used"] = Field(
        description="without Redis each replica continues on its own"
    )
    queue: int = Field(description="prediction requests in flight")
    queue_limit: int


class Minute(BaseModel):
    """One minute of prediction and feedback requests. Times are in seconds."""

    start: datetime
    answered: int
    refused: int = Field(description="4xx responses")
    failed: int = Field(description="5xx responses")
    problems: dict[str, int] = Field(description="problem documents by kind")
    median: float | None = Field(description="median latency")
    p95: float | None
    confidence: float | None = Field(description="median confidence of uncached predictions")
    tokens: float | None = Field(description="mean number of tokens of uncached predictions")
    cache_lookups: int = Field(description="cache lookups")
    cache_hits: int = Field(description="cache hits")
    drift: dict[str, float] = Field(
        description="population stability index of confidence and length, last half hour against all before "
        "(above 0.2: investigate); empty with too few predictions"
    )


class History(BaseModel):
    """Metrics of this replica by minute; the last minute is incomplete."""

    minutes: list[Minute]


class ModelInfo(BaseModel):
    """The model being served."""

    name: str
    version: str
    bundle: str = Field(description="hash of graphs, vocabulary and settings")
    architecture: str
    parameters: int
    vocabulary: int = Field(description="tokens")
    max_tokens: int
    metrics: dict[str, float] = Field(description="on the test split, at registration")
    lineage: dict[str, str] = Field(description="commit, data hash and training run")


class KeyInfo(BaseModel):
    """An API key, without its secret."""

    id: str = Field(examples=["3f9c2a7b"])
    name: str
    state: Literal["valid", "revoked", "expired"]
    admin: bool
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    limits: KeyLimits = Field(description="its own limits; null: the service's default")


class KeyList(BaseModel):
    """All API keys."""

    keys: list[KeyInfo]


class CreatedKey(BaseModel):
    """A new API key."""

    secret: str = Field(description="the key to send as `X-API-Key`; shown nowhere else")
    key: KeyInfo


class UsageDay(BaseModel):
    """Usage of one key on one day, UTC. Times are in seconds."""

    day: date
    key: str | None = Field(description="ID of the key; null: all callers without one")
    name: str | None = Field(description="the key's owner")
    requests: int = Field(description="requests to read or to correct")
    formulas: int = Field(description="formulas read")
    refused: int = Field(description="4xx responses")
    failed: int = Field(description="5xx responses")
    corrected: int = Field(description="formulas that were corrected")
    median: float | None = Field(description="median latency of answered requests")
    p95: float | None
    confidence: float | None = Field(description="mean confidence of the formulas")
    share_corrected: float | None = Field(description="corrected formulas among all")


class UsageReport(BaseModel):
    """Usage by day and key, without content; oldest first."""

    scope: Literal["all replicas", "this replica"] = Field(
        description="`this replica`: without USAGE_FOLDER, since it started"
    )
    days: list[UsageDay]


class Usage(BaseModel):
    """The caller's rate limits."""

    caller: str
    limits: Literal["on", "off"]
    tiers: list[Tier]
    at_once: int
    under_way: int
