"""The training run: data, Lightning's loop, checkpoints to go on from, and what MLflow is told."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from torch import Tensor
from torch.utils.data import DataLoader

from components.config import ModelParams, TrainParams
from components.files import write_csv
from components.ink.raster import RasterSettings
from components.latex.vocabulary import Vocabulary
from components.model.checkpoint import Checkpoint, load_model, load_pretrained, save_model
from components.model.dataset import Batch, BucketBatchSampler, InkDataset
from components.model.lightning_module import LitRecognizer
from components.model.network import EncoderDecoder
from components.synthesis.symbol_bank import SymbolBank

_PRECISION: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True)
class TrainingJob:
    """What a training run is made of; the same job gives the same model."""

    shards: Path
    synthetic: Path  # shards of formulas that are no one's; looked at where train.synthetic asks for them
    vocabulary: Vocabulary
    raster: RasterSettings
    model: ModelParams
    train: TrainParams
    seed: int
    data_hash: str
    symbols: Path | None = None  # the bank of which symbols are written anew; None: the training split's own

    @property
    def fingerprint(self) -> str:
        """Names the run: a checkpoint of another fingerprint is not gone on from."""
        parts = (
            self.vocabulary.version,
            self.raster.model_dump(),
            self.model.model_dump(),
            self.train.model_dump(mode="json", exclude={"workers"}),
            self.seed,
            self.data_hash,
            hashlib.sha256(self.symbols.read_bytes()).hexdigest() if self.symbols else None,
            hashlib.sha256(self.train.init_from.read_bytes()).hexdigest() if self.train.init_from else None,
        )
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Epoch:
    """One line of a training's history."""

    epoch: int
    train_loss: float
    valid_loss: float
    valid_exprate: float
    lr: float
    seconds: float
    inks_per_second: float
    waiting: float  # share of the time in which training waited for data


def fit(job: TrainingJob, folder: Path, on_epoch: Callable[[Epoch], None] = lambda _: None) -> list[Epoch]:
    """Trains, or goes on from the last whole epoch in `folder`; leaves `folder`/best.pt.

    `on_epoch` hears of every epoch that this call trains. Returns the whole history.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pl.seed_everything(job.seed, verbose=False)
    model = EncoderDecoder(job.model, len(job.vocabulary))
    if job.train.init_from:
        load_pretrained(
            model, job.vocabulary, load_model(job.train.init_from), job.train.init_parts == "encoder"
        )
    train, valid = (_inks(job, model, split) for split in ("train", "valid"))
    if not train.usable:
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
    sampler.rank, sampler.world = trainer.global_rank, trainer.world_size
    if job.train.minutes and trainer.world_size > 1:
        raise ValueError("train.minutes is for one device: the clocks of several would not agree on a rate")
    lay_out(model, trainer.strategy.root_device)
    steps = job.train.epochs * -(-len(sampler) // job.train.accumulate)
    # No bound method: averaging copies all that `LitRecognizer` has, and would copy the history.
    training = LitRecognizer(model, job.train, steps, job.seed, lambda: history.elapsed())
    last = folder / "last.ckpt"
    trainer.fit(
        training,
        _loader(sampler, job.train.workers, pinned=trainer.strategy.root_device.type == "cuda"),
        _loader(
            BucketBatchSampler(valid, 2 * job.train.batch, None, trainer.global_rank, trainer.world_size), 0
        ),
        ckpt_path=str(last) if last.exists() else None,
        weights_only=False,  # our own file, with the schedule's state
    )
    if not (folder / "best.pt").exists():
        raise RuntimeError("training ended without a model; the loss may not be finite: lower train.lr")
    return history.epochs


def lay_out(model: EncoderDecoder, device: torch.device) -> None:
    """Puts the stem's weights in the order that the device's convolutions want."""
    if device.type == "cuda":  # cuDNN's want channels last; a CPU is faster without
        model.encoder.stem.to(memory_format=torch.channels_last)


def best_model(folder: Path) -> Checkpoint:
    """The best epoch's averaged weights."""
    return load_model(folder / "best.pt")


class HistoryCallback(Callback):
    """One line per epoch, in a file and for whoever listens; a run that goes on keeps the lines before it.

    Where there is a `limit` of seconds, it ends the training when another epoch would not fit.
    """

    def __init__(self, path: Path, batch: int, on_epoch: Callable[[Epoch], None], limit: float = 0.0) -> None:
        self.path, self.batch, self.on_epoch, self.limit = path, batch, on_epoch, limit
        self.epochs: list[Epoch] = []
        self._began: float | None = None  # when the one before ended: between two, time passes as well
        self._started = self._waited = self._asked = self._trained = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": [vars(epoch) for epoch in self.epochs]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]

    def elapsed(self) -> float:
        """Seconds of all epochs, those of runs before and the present one so far."""
        now = 0.0 if self._began is None else time.perf_counter() - self._began
        return sum(epoch.seconds for epoch in self.epochs) + now

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._end_in_time(trainer)  # it may have ended before

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if batch_idx == 0:  # Lightning calls no hook at the start of the epoch that a run goes on with
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
        inks = int(trainer.num_training_batches) * self.batch * trainer.world_size
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
    """Writes best.pt after each epoch whose (averaged) weights read valid better than all before.

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
    """Keeps an exponential average of the weights, of about the last 1 / (1 - decay) steps, but never of more
    than a ninth of those so far: a training shorter than that would end with the weights that it began with.

    The averages lie beside the weights: made before these move to a GPU, they would stay behind, and each
    step would fetch the weights from it."""

    def __init__(self, decay: float) -> None:
        def averaged(average: Tensor, weight: Tensor, steps: Tensor) -> Tensor:
            kept = ((1 + steps) / (10 + steps)).clamp(max=decay)  # on the device: nobody waits for it
            return kept * average + (1 - kept) * weight

        super().__init__(avg_fn=averaged)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)


class ResumeSampler(Callback):
    """Tells the sampler with which epoch a run goes on: Lightning does so for later epochs, but not in time
    for the first one."""

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
    callbacks.append(history)  # after the averaging, which is no waiting for data
    if params.patience:
        callbacks.append(EarlyStopping("valid_exprate", mode="max", patience=params.patience))
    # At the end of an epoch, validation included: whoever goes on starts with the next one.
    callbacks.append(
        ModelCheckpoint(folder, "last", enable_version_counter=False, save_on_train_epoch_end=True)
    )
    return pl.Trainer(
        max_epochs=params.epochs,
        accumulate_grad_batches=params.accumulate,
        gradient_clip_val=params.clip,
        precision=_PRECISION[params.precision],
        devices=params.devices,
        callbacks=callbacks,
        logger=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),  # else a line an epoch is enough
        default_root_dir=folder,
    )


def _inks(job: TrainingJob, model: EncoderDecoder, split: str) -> InkDataset:
    return InkDataset(
        job.shards / split,
        job.vocabulary,
        job.raster,
        stride=model.stride,
        multiple=model.multiple,
        max_tokens=job.model.max_tokens,
        seed=job.seed,
        variation=job.train.augment if split == "train" else None,
        more=[job.synthetic] if split == "train" and any(job.train.synthetic) else [],
        bidirectional=job.model.bidirectional,
        bank=SymbolBank.load(job.symbols) if split == "train" and job.symbols else None,
    )


def _loader(sampler: BucketBatchSampler, workers: int, pinned: bool = False) -> DataLoader[Batch]:
    return DataLoader(
        sampler.inks,
        batch_size=None,  # the data set makes whole batches
        sampler=sampler,
        num_workers=workers,
        # Forked while this process is small: of one that has trained they would keep gigabytes alive.
        persistent_workers=workers > 0,
        pin_memory=pinned,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if workers else None,
    )
