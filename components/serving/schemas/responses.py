"""What the API says, as documented forms."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from components.serving.access.rate_limits import Tier
from components.serving.inference.client import Alternative, Looked
from components.serving.schemas.problems import ProblemDocument


class Other(Alternative):
    """Another way to read the picture."""

    mathml: str | None = Field(None, description="as that of the best")


class Answer(BaseModel):
    """What stands on a picture."""

    formula: str = Field(description="LaTeX", examples=[r"\int_{0}^{\infty}x^{2}dx"])
    confidence: float = Field(ge=0, le=1, description="the model's probability that all of it is right")
    processing_time: float = Field(description="seconds from the request's arrival")
    timestamp: datetime
    alternatives: list[Other] | None = Field(None, description="the next best, where `n_best` asks for them")
    mathml: str | None = Field(
        None,
        description="where `format=mathml` asks for it and the formula allows it; with `explain=true`, "
        "`data-tokens` of its elements are places in `looked`, where it is sure which are whose",
    )
    looked: tuple[Looked, ...] | None = Field(
        None, description="where `explain=true` asks for it: all tokens of the formula, in order"
    )


class BatchAnswer(BaseModel):
    """One entry for each picture, in order: an answer, or the problem with this picture."""

    results: list[Answer | ProblemDocument]
    processing_time: float


class Corrected(BaseModel):
    """A correction that was kept."""

    request_id: str = Field(description="of the request that was corrected", examples=["9f86d081884c7d65"])
    formula: str = Field(
        description="what should have been read, as it was kept: LaTeX, normalised", examples=[r"\frac{1}{2}"]
    )
    mathml: str | None = Field(
        None, description="the same, where `format=mathml` asks for it and it allows it"
    )


class Status(BaseModel):
    """How the service does. Counts are those of this replica since it started."""

    service: str = Field(description="version of the service")
    model: str
    model_version: str
    uptime: float = Field(description="seconds")
    requests: int = Field(description="requests answered")
    pictures: int = Field(description="pictures and inks read")
    cache_hits: int
    in_flight: int


class Health(BaseModel):
    """A thorough check."""

    healthy: bool
    model: Literal["ok", "wrong", "away"] = Field(description="whether a known picture is read rightly")
    redis: Literal["ok", "away", "not used"] = Field(
        description="without Redis, the service goes on by itself"
    )
    queue: int = Field(description="requests for reading at this moment")
    queue_limit: int


class Minute(BaseModel):
    """What happened in one minute to requests for reading and corrections. Times are seconds."""

    start: datetime
    answered: int
    refused: int = Field(description="4xx: the caller's fault, or beyond what the caller may")
    failed: int = Field(description="5xx: the service's own fault, or too much to do")
    problems: dict[str, int] = Field(description="of all requests, by kind")
    median: float | None = Field(description="time from request to answer")
    p95: float | None
    confidence: float | None = Field(description="median confidence of what was read anew")
    tokens: float | None = Field(description="mean length of what was read anew")
    looked_up: int = Field(description="answers looked for in the cache")
    known: int = Field(description="of these, those that were there")
    drift: dict[str, float] = Field(
        description="how far confidence and length of the last half hour are from all before it (PSI; from "
        "0.2 on worth a look); empty where there is too little of either"
    )


class History(BaseModel):
    """What this replica has measured; the last minute is not over."""

    minutes: list[Minute]


class ModelInfo(BaseModel):
    """What reads."""

    name: str
    version: str
    bundle: str = Field(description="identity of graphs, vocabulary and settings")
    architecture: str
    parameters: int
    vocabulary: int = Field(description="tokens")
    max_tokens: int
    metrics: dict[str, float] = Field(description="of the test split at registration")
    lineage: dict[str, str] = Field(description="where the model comes from: commit, data, run")


class Usage(BaseModel):
    """How the caller's limits stand."""

    caller: str
    limits: Literal["on", "off"]
    tiers: list[Tier]
    at_once: int
    under_way: int
