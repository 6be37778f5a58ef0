"""The training run: data, Lightning's trainer, callbacks, and checkpoints to resume from."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.utils.data import DataLoader

from components.config import ModelParams, TrainParams
from components.files import write_csv
from components.ink.raster import RasterSettings
from components.latex.vocabulary import Vocabulary
from components.model.checkpoint import Checkpoint, load_model, load_pretrained, save_model
from components.model.dataset import Batch, BucketBatchSampler, InkDataset
from components.model.distributed import ALONE, World
from components.model.lightning_module import LitRecognizer
from components.model.network import EncoderDecoder
from components.synthesis.symbol_bank import SymbolBank

_PRECISION: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True)
class TrainingJob:
    """The inputs of a training run; equal jobs give equal models."""

    shards: Path
    synthetic: Path  # shards of synthetic formulas; used if train.synthetic asks for them
    vocabulary: Vocabulary
    raster: RasterSettings
    model: ModelParams
    train: TrainParams
    seed: int
    data_hash: str
    sources: tuple[str, ...] = ("",)  # of the shards, the main one first
    weights: Mapping[str, float] = field(default_factory=dict)  # of sources: how often an epoch has them
    symbols: Path | None = None  # symbol bank for swapped symbols; None: the training split's own symbols
    world: World = ALONE  # the processes that share each batch

    @property
    def fingerprint(self) -> str:
        """Identifies the run: only its own checkpoints are resumed."""
        parts = (
            self.vocabulary.version,
            self.raster.model_dump(),
            self.model.model_dump(),
            self.train.model_dump(mode="json", exclude={"workers", "devices", "nodes"}),
            self.seed,
            self.data_hash,
            hashlib.sha256(self.symbols.read_bytes()).hexdigest() if self.symbols else None,
            hashlib.sha256(self.train.init_from.read_bytes()).hexdigest() if self.train.init_from else None,
            *([self.world.size] if self.world.size > 1 else []),
            *([self.sources, dict(self.weights)] if self.weights else []),
        )
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Epoch:
    """One row of the training history."""

    epoch: int
    train_loss: float
    valid_loss: float
    valid_exprate: float
    lr: float
    seconds: float
    inks_per_second: float
    waiting: float  # fraction of the time spent waiting for data


def fit(job: TrainingJob, folder: Path, on_epoch: Callable[[Epoch], None] = lambda _: None) -> list[Epoch]:
    """Train, or resume from the last complete epoch in `folder`; writes `folder`/best.pt.

    `on_epoch` hears of every epoch that this call trains. Returns the whole history.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pl.seed_everything(job.seed, verbose=False)
    model = EncoderDecoder(job.model, len(job.vocabulary))
    if job.train.init_from:
        load_pretrained(
            model, job.vocabulary, load_model(job.train.init_from), job.train.init_parts == "encoder"
        )
    copies = folder / "shards"
    train, valid = (_inks(job, model, split, copies) for split in ("train", "valid"))
    if not len(train.usable):
        raise ValueError(f"no label of train is shorter than model.max_tokens ({job.model.max_tokens})")
    history = HistoryCallback(folder / "history.csv", job.train.batch, on_epoch, 60 * job.train.minutes)
    first, last_ = job.train.synthetic
    sampler = BucketBatchSampler(
        train,
        job.train.batch,
        job.train.augment.scale,
        synthetic=lambda epoch: first + (last_ - first) * epoch / max(job.train.epochs - 1, 1),
        passes=job.train.passes,
    )
    trainer = _trainer(job, folder, [ResumeSampler(sampler)], history)
    if trainer.world_size != job.world.size:
        raise RuntimeError(f"{trainer.world_size} processes train, {job.world.size} were expected")
    sampler.rank, sampler.world = trainer.global_rank, trainer.world_size
    if job.train.minutes and trainer.world_size > 1:
        raise ValueError("train.minutes needs a single device: several would not agree on the learning rate")
    lay_out(model, trainer.strategy.root_device)
    steps = job.train.epochs * -(-len(sampler) // job.train.accumulate)
    # No bound method: weight averaging deep-copies the module, and would copy the history.
    training = LitRecognizer(model, job.train, steps, job.seed, lambda: history.elapsed())
    last = folder / "last.ckpt"
    trainer.fit(
        training,
        _loader(sampler, job.train.workers, pinned=trainer.strategy.root_device.type == "cuda"),
        _loader(
            BucketBatchSampler(valid, 2 * job.train.batch, None, trainer.global_rank, trainer.world_size), 0
        ),
        ckpt_path=str(last) if last.exists() else None,
        weights_only=False,  # our own file, with the scheduler's state
    )
    if trainer.is_global_zero:
        if not (folder / "best.pt").exists():
            raise RuntimeError("training ended without a model; the loss may not be finite: lower train.lr")
        shutil.rmtree(copies, ignore_errors=True)  # what another process has mapped stays until it ends
    return history.epochs


def lay_out(model: EncoderDecoder, device: torch.device) -> None:
    """Set the memory format of the stem's weights for the device."""
    if device.type == "cuda":  # cuDNN prefers channels-last; a CPU is slower with it
        model.encoder.stem.to(memory_format=torch.channels_last)


def best_model(folder: Path) -> Checkpoint:
    """The averaged weights of the best epoch."""
    return load_model(folder / "best.pt")


class HistoryCallback(Callback):
    """Records one row per epoch in a file and for a listener; a resumed run keeps earlier rows.

    Where there is a `limit` of seconds, it ends the training when another epoch would not fit.
    """

    def __init__(self, path: Path, batch: int, on_epoch: Callable[[Epoch], None], limit: float = 0.0) -> None:
        self.path, self.batch, self.on_epoch, self.limit = path, batch, on_epoch, limit
        self.epochs: list[Epoch] = []
        self._began: float | None = None  # end of the previous epoch: time passes between epochs too
        self._started = self._waited = self._asked = self._trained = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": [vars(epoch) for epoch in self.epochs]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]

    def elapsed(self) -> float:
        """Seconds of all epochs so far, including those of earlier runs."""
        now = 0.0 if self._began is None else time.perf_counter() - self._began
        return sum(epoch.seconds for epoch in self.epochs) + now

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._end_in_time(trainer)  # the time may already be over

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if batch_idx == 0:  # Lightning calls no hook at the start of a resumed epoch
            self._started, self._waited = now, 0.0
            self._began = now if self._began is None else self._began
        else:
            self._waited += now - self._asked

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._asked = time.perf_counter()
        if batch_idx + 1 == trainer.num_training_batches:
            self._trained = self._asked - self._started

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        inks = int(trainer.num_training_batches) * self.batch
        now = time.perf_counter()
        assert self._began is not None
        self.epochs.append(
            Epoch(
                epoch=trainer.current_epoch,
                train_loss=metrics["train_loss"],
                valid_loss=metrics["valid_loss"],
                valid_exprate=metrics["valid_exprate"],
                lr=trainer.optimizers[0].param_groups[0]["lr"],
                seconds=now - self._began,
                inks_per_second=inks / self._trained,
                waiting=self._waited / self._trained,
            )
        )
        self._began = now
        self._end_in_time(trainer)
        if trainer.is_global_zero:
            self._write()
            self.on_epoch(self.epochs[-1])

    def _end_in_time(self, trainer: pl.Trainer) -> None:
        if self.limit and self.epochs and self.elapsed() + self.epochs[-1].seconds > self.limit:
            trainer.should_stop = True

    def _write(self) -> None:
        rows = [list(vars(epoch).values()) for epoch in self.epochs]
        write_csv(list(vars(self.epochs[0])), rows, self.path)


class BestModelCallback(Callback):
    """Writes best.pt after each epoch whose (averaged) weights are better on valid than all before.

    Stands before the averaging callback, which takes the averaged weights away at the same moment.
    """

    def __init__(self, job: TrainingJob, path: Path) -> None:
        self.job, self.path = job, path
        self.best = (-1.0, float("-inf"))

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = tuple(state["best"])

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        metrics = trainer.callback_metrics
        now = (float(metrics["valid_exprate"]), -float(metrics["valid_loss"]))
        if not now > self.best:
            return
        self.best = now
        assert isinstance(module, LitRecognizer)
        if trainer.is_global_zero:
            save_model(Checkpoint(module.model, self.job.vocabulary, self.job.raster), self.path)


class EMACallback(WeightAveraging):
    """Exponential moving average of the weights over about the last 1 / (1 - decay) steps, but never over
    more than a ninth of the steps so far: a shorter training would keep its initial weights.

    The averages are created on the training device: in main memory, each step would copy weights there."""

    def __init__(self, decay: float) -> None:
        def average(averages: list[Tensor], weights: list[Tensor], steps: Tensor) -> None:
            kept = ((1 + steps) / (10 + steps)).clamp(max=decay)  # on the device, without synchronization
            if not averages[0].is_floating_point():  # counters
                torch._foreach_copy_(averages, weights)
                return
            torch._foreach_mul_(averages, kept)
            torch._foreach_add_(averages, torch._foreach_mul(weights, 1 - kept))

        super().__init__(multi_avg_fn=average)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)


class ResumeSampler(Callback):
    """Sets the sampler's epoch when a run resumes: Lightning does so only for later epochs."""

    def __init__(self, sampler: BucketBatchSampler) -> None:
        self.sampler = sampler

    def on_load_checkpoint(
        self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.sampler.set_epoch(checkpoint["epoch"] + 1)


def _trainer(
    job: TrainingJob, folder: Path, callbacks: list[Callback], history: HistoryCallback
) -> pl.Trainer:
    params = job.train
    callbacks.append(BestModelCallback(job, folder / "best.pt"))
    if params.ema:
        callbacks.append(EMACallback(params.ema))
    callbacks.append(history)  # after averaging, which must not count as waiting for data
    if params.patience:
        callbacks.append(EarlyStopping("valid_exprate", mode="max", patience=params.patience))
    # At the end of an epoch, after validation: a resumed run starts with the next one.
    callbacks.append(
        ModelCheckpoint(folder, "last", enable_version_counter=False, save_on_train_epoch_end=True)
    )
    return pl.Trainer(
        max_epochs=params.epochs,
        accumulate_grad_batches=params.accumulate,
        gradient_clip_val=params.clip,
        precision=_PRECISION[params.precision],
        devices=job.world.devices,
        num_nodes=job.world.nodes,
        # A batch without symbol targets leaves the symbol head without gradients.
        strategy=DDPStrategy(find_unused_parameters=True) if job.world.size > 1 else "auto",
        sync_batchnorm=job.world.size > 1 and torch.cuda.is_available(),  # PyTorch has it for GPUs alone
        callbacks=callbacks,
        logger=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),  # otherwise one line per epoch is enough
        default_root_dir=folder,
    )


def _inks(job: TrainingJob, model: EncoderDecoder, split: str, copies: Path) -> InkDataset:
    return InkDataset(
        job.shards / split,
        job.vocabulary,
        job.raster,
        stride=model.stride,
        multiple=model.multiple,
        max_tokens=job.model.max_tokens,
        seed=job.seed,
        copies=copies,
        variation=job.train.augment if split == "train" else None,
        more=[job.synthetic] if split == "train" and any(job.train.synthetic) else [],
        bidirectional=job.model.bidirectional,
        sources=job.sources,
        weights=job.weights if split == "train" else {},
        bank=SymbolBank.load(job.symbols) if split == "train" and job.symbols else None,
    )


def _loader(sampler: BucketBatchSampler, workers: int, pinned: bool = False) -> DataLoader[Batch]:
    return DataLoader(
        sampler.inks,
        batch_size=None,  # the data set returns whole batches
        sampler=sampler,
        num_workers=workers,
        # Forked while this process is small: after training, forks would keep gigabytes alive.
        persistent_workers=workers > 0,
        pin_memory=pinned,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if workers else None,
    )
