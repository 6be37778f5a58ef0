"""Settings of the service: environment variables, validated, read once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from components.recognizer.device import Device
from components.records import Place


class SettingsError(ValueError):
    """An environment variable has an invalid value; the message names it."""


PlaceT = TypeVar("PlaceT", bound=Path | str)

BENTO = Path(__file__).parents[3] / "bento.yaml"  # exists where this code runs in a Bento


def _outside(path: PlaceT) -> PlaceT:
    """Refuse a relative path in a Bento: BentoML makes the Bento's folder the working directory.

    What was written there would be found by nobody, and be lost with the Bento.
    """
    if BENTO.exists() and isinstance(path, Path) and not path.is_absolute():
        raise ValueError(
            f"`{path}` is relative, and a Bento has a working directory of its own: "
            f"write an absolute path, such as $PWD/{path}"
        )
    return path


OutsidePath: TypeAlias = Annotated[Path, AfterValidator(_outside)]
OutsidePlace: TypeAlias = Annotated[Place, AfterValidator(_outside)]


class Settings(BaseSettings):
    """Each field is an environment variable of the same name in capitals; an empty one counts as unset."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    # Access
    auth: Literal["required", "optional", "off"] = Field(
        "required",
        description="`required`: an API key for every prediction; `optional`: a key raises the limits; `off`",
    )
    api_keys_file: OutsidePath | None = Field(
        None,
        description="keys file, as `python -m components keys` writes it; read again when it changes",
    )
    api_keys: SecretStr | None = Field(
        None, description="inline contents of the keys file; used when `API_KEYS_FILE` is unset"
    )
    api_key_pepper: SecretStr = Field(SecretStr(""), description="secret pepper of the keys' hashes")
    trusted_proxies: str = Field(
        "", description="comma-separated addresses or networks whose `X-Forwarded-For` is trusted"
    )
    cors_origins: str = Field("", description="comma-separated origins for CORS; `*`: all")

    # Limits
    rate_limits: Literal["on", "off"] = Field("on", description="`off`: no rate limits")
    rate_limit_minute: int = Field(10, ge=1, description="pictures per minute, per caller without a key")
    rate_limit_hour: int = Field(100, ge=1, description="pictures per hour")
    rate_limit_day: int = Field(500, ge=1, description="pictures per day")
    rate_limit_at_once: int = Field(5, ge=1, description="concurrent requests per caller")
    rate_limit_key_factor: int = Field(2, ge=1, description="factor for keys without limits of their own")
    max_queue: int = Field(128, ge=1, description="concurrent requests of all callers; beyond it 503")
    max_bytes: int = Field(10 << 20, ge=1 << 10, description="maximum picture size, bytes")
    max_batch_bytes: int = Field(32 << 20, ge=1 << 10, description="maximum batch size, bytes")
    max_pixels: int = Field(25_000_000, ge=1 << 10, description="maximum picture size, pixels")
    max_ink_bytes: int = Field(2 << 20, ge=1 << 10, description="maximum ink size, bytes")
    max_points: int = Field(100_000, ge=1, description="maximum points of an ink")

    # State shared between replicas
    redis_url: SecretStr | None = Field(
        None,
        description="`redis://…`: shares rate limits, cache and feedback records across replicas; "
        "default: per-process memory",
    )
    redis_timeout: float = Field(0.25, gt=0, description="seconds until Redis counts as unavailable")
    cache_answers: int = Field(2048, ge=0, description="predictions cached in memory; 0: no cache at all")
    cache_seconds: int = Field(86_400, ge=1, description="lifetime of a cached prediction, seconds")

    # Prediction
    beam: int | None = Field(None, ge=1, le=10, description="beams of the search; default: the model's own")
    device: Device = Field(
        "auto", description="`auto`, `cpu`, `cuda`: encodes on a GPU where onnxruntime-gpu finds one"
    )
    threads: int = Field(0, ge=0, description="threads of ONNX Runtime; 0: one per core of the CPU quota")
    batch_size: int = Field(16, ge=1, le=64, description="maximum pictures per batch; 1: no batching")
    read_timeout: float = Field(30, gt=0, description="seconds until a request times out")

    # Records
    monitor_folder: OutsidePlace | None = Field(
        None,
        description="prediction log: a folder of this replica, or an address that all share "
        "(`s3://BUCKET/monitoring`, `file:///…`); unset: none",
    )
    monitor_share: float = Field(0.1, ge=0, le=1, description="share of predictions recorded")
    monitor_pictures: Literal["off", "on"] = Field(
        "off", description="`on`: records the preprocessed picture as well"
    )
    feedback_folder: OutsidePlace | None = Field(
        None,
        description="folder or address for corrections (`POST /feedback`); unset: not accepted",
    )
    feedback_seconds: int = Field(3600, ge=1, description="how long a prediction can be corrected, seconds")

    usage_folder: OutsidePlace | None = Field(
        None,
        description="folder or address for usage by key and day, without content, which all replicas share; "
        "unset: each counts in memory",
    )
    usage_days: int = Field(90, ge=1, le=3660, description="how long usage is kept, days")
    usage_key_labels: int = Field(
        0,
        ge=0,
        le=1000,
        description="keys with labels of their own in `/metrics`, the oldest first; others count as `other`",
    )

    # Observability
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="log level")
    otel_exporter_otlp_endpoint: str | None = Field(
        None, description="OpenTelemetry collector (HTTP); unset: no tracing"
    )
    trace_share: float = Field(0.1, ge=0, le=1, description="share of requests traced")

    @property
    def tracing(self) -> dict[str, Any]:
        """BentoML's `tracing` section."""
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
        """BentoML's `monitoring` section: files or nothing. An address is written to without BentoML."""
        if not isinstance(self.monitor_folder, Path):
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


# Settings that are paths.
PATHS = ("API_KEYS_FILE", "MONITOR_FOLDER", "FEEDBACK_FOLDER", "USAGE_FOLDER")


def absolute_paths(environment: Mapping[str, str]) -> dict[str, str]:
    """The path settings of an environment, absolute from here: for a process that starts elsewhere.

    Addresses stay as they are.
    """
    given = {name: environment[name] for name in PATHS if environment.get(name)}
    return {name: text if "://" in text else str(Path(text).absolute()) for name, text in given.items()}


def load_settings() -> Settings:
    """Read the environment. Raises SettingsError."""
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(f"{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"environment: {faults}") from None


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
