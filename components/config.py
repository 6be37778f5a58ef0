"""Configuration of the pipeline: params.yaml overlaid with its preset, validated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.augmentation.strokes import AugmentConfig
from components.ink.raster import RasterSettings
from components.records import Place


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ComputeParams(_Section):
    scheduler: str = Field(pattern=r"^(processes|tcp://\S+|tls://\S+)$")
    workers: int = Field(ge=0)
    storage: str | None = Field(None, pattern=r"^([a-z][a-z0-9+.-]*://.+|/.+)$")


class SyntheticParams(_Section):
    train: int = Field(ge=1)
    valid: int = Field(ge=1)
    test: int = Field(ge=1)
    writers: int = Field(ge=1)
    repeats: int = Field(ge=1)
    max_tokens: int = Field(ge=4)


class Splits(_Section):
    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]


class ArchiveParams(_Section):
    archive: Path | None
    url: str | None
    bytes: int | None
    sha256: str | None = Field(pattern=r"^[0-9a-f]{64}$")
    splits: Splits


class FolderParams(_Section):
    train: Path
    valid: Path
    test: Path


class PicturesParams(_Section):
    folder: Path
    valid: float = Field(gt=0, lt=0.5)
    test: float = Field(gt=0, lt=0.5)


class DataParams(_Section):
    source: Literal["synthetic", "mathwriting", "mathwriting-excerpt", "crohme", "folder", "pictures"]
    also: tuple[Literal["mathwriting", "mathwriting-excerpt", "crohme", "pictures"], ...]
    weights: dict[str, Annotated[float, Field(gt=0, le=100)]]
    limit: int = Field(ge=0)
    max_rejected: float = Field(ge=0, le=1)
    corrections: Path | None
    max_corrections: float = Field(ge=0, lt=1)
    synthetic: SyntheticParams
    crohme: ArchiveParams
    mathwriting: ArchiveParams
    mathwriting_excerpt: ArchiveParams = Field(alias="mathwriting-excerpt")
    folder: FolderParams
    pictures: PicturesParams

    def __hash__(self) -> int:  # `weights` has none of its own
        return hash(self.model_dump_json())

    @model_validator(mode="after")
    def _check_weights(self) -> DataParams:
        if unknown := self.weights.keys() - {*self.sources, "corrections"}:
            raise ValueError(
                f"weights: {', '.join(sorted(unknown))} is not used; known here: "
                f"{', '.join((*self.sources, 'corrections'))}"
            )
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """The source, and those beside it."""
        return (self.source, *self.also)

    def archive_of(self, name: str) -> ArchiveParams:
        """The archive that a source's name stands for."""
        found: ArchiveParams = getattr(self, name.replace("-", "_"))
        return found


class RasterParams(RasterSettings):
    shard_rows: int = Field(ge=1)

    @property
    def settings(self) -> RasterSettings:
        """The settings that go into the bundle: all but the size of shards."""
        return RasterSettings(**self.model_dump(exclude={"shard_rows"}))


class ValidateParams(_Section):
    max_tokens: int = Field(ge=1)
    min_symbols: int = Field(ge=1)
    max_unseen: float = Field(ge=0, le=1)


class VocabParams(_Section):
    min_count: int = Field(ge=1)


class SymbolsParams(_Section):
    mathwriting: Path | None
    omniglot: Path | None
    hasy: Path | None
    own: Path | None
    fonts: bool
    derived: bool
    weights: dict[str, Annotated[float, Field(ge=0)]]

    def __hash__(self) -> int:  # `weights` has none of its own
        return hash(self.model_dump_json())


class FormulasParams(_Section):
    lists: tuple[Path, ...]
    credit: str
    held_out: tuple[Path, ...]
    share: float = Field(ge=0, le=1)
    samplers: float = Field(ge=0, le=1)


class SynthesizeParams(_Section):
    count: int = Field(ge=0)
    max_tokens: int = Field(ge=3)
    symbols: SymbolsParams
    formulas: FormulasParams


class ModelParams(_Section):
    encoder: str
    embed_dim: int = Field(ge=8)
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int = Field(ge=2)
    stages: int = Field(ge=0)
    stem: Literal["conv", "residual", "patch"]
    stem_blocks: tuple[int, ...]
    patch: int = Field(ge=2)
    pretrained: bool
    drop_path: float = Field(ge=0, lt=1)
    decoder_layers: int = Field(ge=1)
    decoder_width: int = Field(ge=8)
    decoder_heads: int = Field(ge=1)
    coverage: bool
    bidirectional: bool
    dropout: float = Field(ge=0, lt=1)
    max_tokens: int = Field(ge=2)


class TrainParams(_Section):
    epochs: int = Field(ge=1)
    passes: int = Field(ge=1)
    minutes: float = Field(ge=0)
    batch: int = Field(ge=1)
    accumulate: int = Field(ge=1)
    lr: float = Field(gt=0)
    warmup: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    label_smoothing: float = Field(ge=0, lt=1)
    clip: float = Field(gt=0)
    ema: float = Field(ge=0, lt=1)
    patience: int = Field(ge=0)
    precision: Literal["32", "bf16", "fp16"]
    devices: Literal["auto"] | Annotated[int, Field(ge=1)]
    nodes: int = Field(ge=1)
    workers: int = Field(ge=0)
    attention_supervision: float = Field(ge=0)
    symbol_loss: float = Field(ge=0)
    token_dropout: float = Field(ge=0, lt=1)
    init_from: Path | None
    init_parts: Literal["all", "encoder"]
    synthetic: tuple[float, float]
    augment: AugmentConfig


class DecodingParams(_Section):
    beam: int = Field(ge=1)
    scales: tuple[Annotated[float, Field(ge=0.5, le=2)], ...]
    min_side: int = Field(ge=0, le=256)


class EvaluateParams(_Section):
    calibrate_for: Literal["valid", "train"]
    calibrate_symbols: int = Field(ge=0)
    limit: int = Field(ge=0)
    worst: int = Field(ge=0)


class ExportParams(_Section):
    opset: int = Field(ge=18)
    check: int = Field(ge=0)


class RegisterParams(_Section):
    name: str = Field(min_length=1)
    alias: str = Field(min_length=1)


class MonitorParams(_Section):
    folder: Place
    kinds: tuple[Literal["strokes", "inkml", "picture"], ...] = Field(min_length=1)
    window_hours: float = Field(gt=0)
    min_readings: int = Field(ge=1)
    psi: float = Field(gt=0)
    p_value: float = Field(gt=0, lt=1)


class PipelineParams(_Section):
    retries: dict[str, int]
    retry_delay: float = Field(gt=0)
    time_limit: float = Field(gt=0)
    time_limits: dict[str, float]
    push: bool
    record: Literal["none", "artifact", "commit", "push"]

    def limit(self, stage: str) -> float:
        """Time limit of a stage, seconds."""
        return 60 * self.time_limits.get(stage, self.time_limit)


class RetrainingParams(_Section):
    cron: str = Field(min_length=9)
    timezone: str
    feedback: Place
    watch: float = Field(ge=1)
    watch_drift: float = Field(ge=1)


class PromotionParams(_Section):
    min_exprate: float = Field(ge=0, le=1)
    max_cer: float = Field(ge=0)
    confidence: float = Field(gt=0.5, lt=1)
    resamples: int = Field(ge=100)
    margin: float = Field(ge=0, lt=1)
    advantage: float = Field(gt=0, lt=1)
    max_latency: float = Field(gt=0)
    max_size: float = Field(gt=0)
    max_structure_drop: float = Field(ge=0, le=1)
    min_structure: int = Field(ge=1)
    approval: bool
    approval_hours: float = Field(gt=0)


class DeploymentParams(_Section):
    store: str | None = Field(min_length=1)


class RetentionParams(_Section):
    bentos: int = Field(ge=0)
    versions: int = Field(ge=0)
    feedback_days: float = Field(ge=0)
    monitoring_days: float = Field(ge=0)
    log_megabytes: float = Field(ge=0)
    run_days: float = Field(ge=0)
    cache_days: float = Field(ge=0)


class Params(_Section):
    """All sections of params.yaml."""

    preset: str
    seed: int = Field(ge=0)
    compute: ComputeParams
    data: DataParams
    raster: RasterParams
    validate_: ValidateParams = Field(alias="validate")
    vocab: VocabParams
    synthesize: SynthesizeParams
    model: ModelParams
    train: TrainParams
    decoding: DecodingParams
    evaluate: EvaluateParams
    export: ExportParams
    register_: RegisterParams = Field(alias="register")
    monitor: MonitorParams
    pipeline: PipelineParams
    retraining: RetrainingParams
    promotion: PromotionParams
    deployment: DeploymentParams
    retention: RetentionParams


class ParamsError(ValueError):
    """params.yaml or its preset is invalid; the message names the file and the field."""


def load_params(path: Path = Path("params.yaml"), preset: str | None = None) -> Params:
    """Read params.yaml and its preset, or the given one. Raises ParamsError."""
    base = _read(path)
    if preset is not None:
        base["preset"] = preset
    overlay_path = path.parent / "presets" / f"{base.get('preset')}.yaml"
    if not overlay_path.exists():
        known = ", ".join(sorted(p.stem for p in overlay_path.parent.glob("*.yaml")))
        raise ParamsError(f"{path}: preset: unknown preset {base.get('preset')!r}; known: {known}")
    try:
        return Params.model_validate(merged(base, _read(overlay_path)))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ParamsError(f"{path} (with {overlay_path}): {faults}") from None


def merged(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Overlay `overlay` on `base`, section by section; lists are replaced."""
    result = dict(base)
    for key, value in overlay.items():
        inner = base.get(key)
        result[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(f"{path}: {error.strerror}; run from the repository's top folder") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path}: not YAML: {error}") from None
    if not isinstance(content, dict):
        raise ParamsError(f"{path}: expected sections (`name: value`), found {type(content).__name__}")
    return content
