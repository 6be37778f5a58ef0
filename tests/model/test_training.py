"""What the loss teaches."""

from __future__ import annotations

import math
from collections import Counter
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from components.latex.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from components.model.data import Batch
from components.model.recogniser import Output, Recogniser
from components.model.training import Training, log_prior
from components.params import Params

# Nine in ten letters are an x; where this blind model looks, nothing tells them apart.
LABELS = [["x"] * 9 + ["X"]] * 4
VOCABULARY = Vocabulary.build(LABELS)
X, SMALL_X = VOCABULARY.encode(["X", "x"])


class Blind(nn.Module):
    """The same logits for every place of every picture."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(len(VOCABULARY)))

    def forward(self, pictures: Tensor, tokens: Tensor) -> Output:
        nothing = torch.zeros(len(pictures), 1, len(VOCABULARY))
        return Output(self.logits.expand(*tokens.shape, -1), nothing, nothing)


def learnt(params: Params, adjustment: float) -> Tensor:
    taught = params.train.model_copy(
        update={"logit_adjustment": adjustment, "label_smoothing": 0.0, "mask": 0.0, "guidance": 0.0,
                "spotting": 0.0}
    )  # fmt: skip
    model = Blind()
    training = Training(
        cast("Recogniser", model), taught, log_prior(VOCABULARY, len(LABELS)), steps=300, seed=0
    )
    training.log = lambda *_, **__: None  # type: ignore[method-assign]
    ids = torch.tensor([VOCABULARY.encode(label) for label in LABELS])
    tokens = torch.cat([torch.full((len(ids), 1), BOS), ids], dim=1)
    targets = torch.cat([ids, torch.full((len(ids), 1), EOS)], dim=1)
    unknown = torch.full((*tokens.shape, 2), math.nan)
    batch = Batch(tuple(range(len(ids))), torch.zeros(len(ids), 1, 8, 8), tokens, targets, unknown, targets)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(300):
        optimiser.zero_grad()
        training.training_step(batch, 0).backward()
        optimiser.step()
    return model.logits.detach()


@pytest.mark.parametrize("adjustment", [0.0, 0.3, 1.0])
def test_the_adjusted_share_of_how_rare_a_token_is_is_not_learnt(params: Params, adjustment: float) -> None:
    logits = learnt(params, adjustment)
    assert float(logits[SMALL_X] - logits[X]) == pytest.approx((1 - adjustment) * math.log(9), abs=0.02)
    # Four formulas end once each: as often as there is an X.
    assert float(logits[EOS] - logits[X]) == pytest.approx(0, abs=0.02)


def test_what_is_never_next_is_not_made_likelier(params: Params) -> None:
    assert learnt(params, 1.0)[[PAD, UNK]].max() < learnt(params, 1.0)[X] - 3


def test_the_prior_is_how_often_a_token_stands_in_the_labels() -> None:
    prior = log_prior(VOCABULARY, len(LABELS)).exp()
    counts = Counter(token for label in LABELS for token in label)
    assert prior[[SMALL_X, X]].tolist() == pytest.approx([counts["x"] / 40, counts["X"] / 40])
    assert prior[[BOS, EOS]].tolist() == pytest.approx([0.1, 0.1])
