"""The service's settings: environment variables, validated, read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(ValueError):
    """An environment variable has a value that can't be used; the message names it."""


class Settings(BaseSettings):
    """Each field is an environment variable of the same name, in capitals; an empty one counts as not set."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    # Who may call
    auth: Literal["required", "optional", "off"] = Field(
        "required",
        description="`required`: a key for all reading; `optional`: a key doubles the limits; `off`",
    )
    api_keys_file: Path | None = Field(
        None,
        description="keys file, as `python -m components keys` writes it; read again when it changes",
    )
    api_keys: SecretStr | None = Field(None, description="what such a file holds, where there is no file")
    api_key_pepper: SecretStr = Field(
        SecretStr(""), description="secret that keys are hashed with, besides themselves"
    )
    trusted_proxies: str = Field(
        "", description="addresses or networks, with commas, whose `X-Forwarded-For` is believed"
    )
    cors_origins: str = Field("", description="origins, with commas, whose pages may call; `*`: all")

    # How much
    rate_limits: Literal["on", "off"] = Field("on", description="`off`: no limits at all")
    rate_limit_minute: int = Field(10, ge=1, description="pictures a minute and caller without a key")
    rate_limit_hour: int = Field(100, ge=1, description="pictures an hour")
    rate_limit_day: int = Field(500, ge=1, description="pictures a day")
    rate_limit_at_once: int = Field(5, ge=1, description="requests at the same time")
    rate_limit_key_factor: int = Field(
        2, ge=1, description="times as much with a key that has no limits of its own"
    )
    max_queue: int = Field(128, ge=1, description="requests at once from all callers; more are answered 503")
    max_bytes: int = Field(10 << 20, ge=1 << 10, description="the largest picture, bytes")
    max_batch_bytes: int = Field(32 << 20, ge=1 << 10, description="the largest batch, bytes")
    max_pixels: int = Field(25_000_000, ge=1 << 10, description="the largest picture, pixels")
    max_ink_bytes: int = Field(2 << 20, ge=1 << 10, description="the largest ink, bytes")
    max_points: int = Field(100_000, ge=1, description="the longest ink, points")

    # Where what is shared between replicas lies
    redis_url: SecretStr | None = Field(
        None,
        description="`redis://…`: limits, answers and what they were about, of all replicas; else in memory",
    )
    redis_timeout: float = Field(0.25, gt=0, description="seconds until Redis counts as away")
    cache_answers: int = Field(2048, ge=0, description="answers kept in memory; 0: none, nowhere")
    cache_seconds: int = Field(86_400, ge=1, description="how long an answer is kept, seconds")

    # Prediction
    beam: int | None = Field(None, ge=1, le=10, description="beams of the search; default: the model's own")
    threads: int = Field(
        0, ge=0, description="threads of ONNX Runtime; 0: one a core that the CPU quota pays for"
    )
    batch_size: int = Field(16, ge=1, le=64, description="pictures read together at most; 1: one at a time")
    read_timeout: float = Field(30, gt=0, description="seconds until a request is given up")

    # What is kept of readings
    monitor_folder: Path | None = Field(
        None, description="folder for figures of readings, of this replica alone; none: nothing is recorded"
    )
    monitor_share: float = Field(0.1, ge=0, le=1, description="share of readings that are recorded")
    monitor_pictures: Literal["off", "on"] = Field(
        "off", description="`on`: the prepared picture is recorded with them"
    )
    feedback_folder: Path | None = Field(
        None, description="folder for corrections (`POST /feedback`); none: they are not taken"
    )
    feedback_seconds: int = Field(3600, ge=1, description="how long an answer can be corrected, seconds")

    # What is told
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="of the log")
    otel_exporter_otlp_endpoint: str | None = Field(
        None, description="OpenTelemetry collector (HTTP) that traces go to; none: no tracing"
    )
    trace_share: float = Field(0.1, ge=0, le=1, description="share of requests that are traced")

    @property
    def tracing(self) -> dict[str, Any]:
        """What BentoML's `tracing` section says."""
        if self.otel_exporter_otlp_endpoint is None:
            return {}
        endpoint = f"{self.otel_exporter_otlp_endpoint.rstrip('/')}/v1/traces"
        return {
            "exporter_type": "otlp",
            "sample_rate": self.trace_share,
            "otlp": {"protocol": "http", "endpoint": endpoint},
        }

    @property
    def monitoring(self) -> dict[str, Any]:
        """What BentoML's `monitoring` section says: to files or not at all."""
        if self.monitor_folder is None:
            return {"enabled": False}
        return {
            "enabled": True,
            "type": "default",
            "options": {
                "log_path": str(self.monitor_folder),
                "log_config_file": str(Path(__file__).with_name("observability") / "prediction_log.yaml"),
            },
        }

    @property
    def origins(self) -> list[str]:
        return _listed(self.cors_origins)

    @property
    def proxies(self) -> list[str]:
        return _listed(self.trusted_proxies)


def load_settings() -> Settings:
    """Reads the environment. Raises SettingsError."""
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(f"{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"environment: {faults}") from None


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
