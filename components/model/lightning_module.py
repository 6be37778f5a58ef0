"""Training step, losses and optimizer, as a Lightning module."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from components.config import TrainParams
from components.latex.vocabulary import PAD, UNK
from components.model.dataset import NOWHERE, Batch
from components.model.network import EncoderDecoder, Output

_FOCUS = 1.0  # standard deviation, in cells, of the target of attention supervision
_PAPER = 0.1  # weight of an empty cell relative to an inked one: there are many more


class LitRecognizer(pl.LightningModule):
    """Trains an encoder-decoder."""

    def __init__(
        self, model: EncoderDecoder, params: TrainParams, steps: int, seed: int, elapsed: Callable[[], float]
    ) -> None:
        super().__init__()
        self.model, self.params, self.steps, self.seed = model, params, steps, seed
        self.elapsed = elapsed  # seconds of training so far

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # Dropout depends on the step's number alone: a resumed training is identical.
        torch.manual_seed(self.seed + 1_000_003 * (self.current_epoch + 1_009 * batch_idx) + self.global_rank)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        output = self.model(batch.pictures, drop_tokens(batch.tokens, self.params.token_dropout))
        reading = F.cross_entropy(
            output.logits.flatten(0, 1),
            batch.targets.flatten(),
            ignore_index=PAD,
            label_smoothing=self.params.label_smoothing,
        )
        loss = reading
        if self.params.attention_supervision:
            rows, columns = (side // self.model.stride for side in batch.pixels.shape[2:])
            looked = output.attention.flatten(0, 1)[batch.written]
            loss = loss + self.params.attention_supervision * attention_supervision_loss(
                looked, batch.centers, rows, columns
            )
        if self.params.symbol_loss and batch.has_symbol_targets:
            loss = loss + self.params.symbol_loss * _symbol_loss(output, batch)
        self.log("train_loss", reading, on_step=False, on_epoch=True, batch_size=len(batch.indices))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        output = self.model(batch.pictures, batch.tokens)
        size = len(batch.indices)
        loss = F.cross_entropy(output.logits.flatten(0, 1), batch.targets.flatten(), ignore_index=PAD)
        ways = len(batch.tokens) // size
        wrong = ((output.logits.argmax(dim=2) != batch.targets) & (batch.targets != PAD))[::ways]
        # Greedy decoding gives the label exactly if every next token, given the label's before it, is the
        # likeliest: this is ExpRate without decoding.
        right = (~wrong.any(dim=1)).float().mean()
        log: dict[str, Any] = {"on_step": False, "on_epoch": True, "batch_size": size, "sync_dist": True}
        self.log("valid_loss", loss, **log)
        self.log("valid_exprate", right, prog_bar=True, **log)

    def configure_optimizers(self) -> Any:
        decayed = [p for p in self.parameters() if p.ndim >= 2]
        others = [p for p in self.parameters() if p.ndim < 2]
        optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": self.params.weight_decay},
                {"params": others, "weight_decay": 0},
            ],
            lr=self.params.lr,
            betas=(0.9, 0.98),
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, _: int) -> Batch:
        return batch.to(device)

    def _rate(self, step: int) -> float:
        """Linear warm-up, then cosine decay to 1 %; by the clock if there is a time limit."""
        if self.params.minutes:
            step = int(self.steps * self.elapsed() / (60 * self.params.minutes))
        warm = max(1, int(self.params.warmup * self.steps))
        if step < warm:
            return (step + 1) / warm
        done = min(1.0, (step - warm) / max(1, self.steps - warm))
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))


def drop_tokens(tokens: Tensor, share: float) -> Tensor:
    """Replace a share of the tokens (R, T), except the first, by <unk>.

    A decoder that does not see all of its own output has to attend to the picture (word dropout: Bowman et
    al. 2016, arXiv 1511.06349).
    """
    if not share:
        return tokens
    hidden = torch.rand(tokens.shape, device=tokens.device) < share
    hidden[:, 0] = False
    return tokens.masked_fill(hidden, UNK)


def attention_supervision_loss(attention: Tensor, centers: Tensor, rows: int, columns: int) -> Tensor:
    """Cross-entropy of attention (n, rows * columns) against a Gaussian at each written token's symbol;
    centers (n, 2), x and y, are in cells."""
    if not len(centers):
        return attention.new_zeros(())
    across = torch.arange(columns, device=centers.device) - centers[:, :1]
    down = torch.arange(rows, device=centers.device) - centers[:, 1:]
    distance = down.square()[:, :, None] + across.square()[:, None]
    aim = (-distance.flatten(1) / (2 * _FOCUS**2)).softmax(dim=1)
    return -(aim * attention.float().clamp_min(1e-6).log()).sum(dim=1).mean()


def _symbol_loss(output: Output, batch: Batch) -> Tensor:
    """Cross-entropy of the symbol at each cell."""
    symbol_targets = batch.symbol_targets.flatten()
    weight = torch.ones(output.symbol_logits.shape[2], device=symbol_targets.device)
    weight[PAD] = _PAPER
    return F.cross_entropy(
        output.symbol_logits.flatten(0, 1).float(), symbol_targets, weight=weight, ignore_index=NOWHERE
    )
