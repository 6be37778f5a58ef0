from pathlib import Path

import numpy as np
import pytest
import torch

from components.ink.ink import Symbol
from components.latex.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from components.model.dataset import NOWHERE, Batch, Inks, Plan, PlanSampler, aligned
from components.model.trainer import Job
from components.recognizer.tensors import to_input

SIDE = {"stride": 8, "multiple": 16, "max_tokens": 24, "seed": 7}


@pytest.fixture
def still(job: Job, shards: Path) -> Inks:
    return Inks(shards / "train", job.vocabulary, job.raster, **SIDE)


@pytest.fixture
def moving(job: Job, shards: Path) -> Inks:
    return Inks(shards / "train", job.vocabulary, job.raster, variation=job.train.augment, **SIDE)


def test_without_variation_training_sees_what_service_sees(still: Inks) -> None:
    for index in range(8):
        batch = still[Plan((index,), 0, 1.0)]
        assert np.array_equal(batch.pictures[0].numpy(), to_input(still.picture(index), 16))


def test_tokens_go_in_and_targets_come_out_one_step_later(still: Inks) -> None:
    batch = still[Plan((0, 1, 2), 0, 1.0)]
    for row, index in enumerate(batch.indices):
        ids = still.vocabulary.encode(still.tokens[index])
        assert batch.tokens[row, : len(ids) + 1].tolist() == [BOS, *ids]
        assert batch.targets[row, : len(ids) + 1].tolist() == [*ids, EOS]
        assert (batch.targets[row, len(ids) + 1 :] == PAD).all()


def centres_of(batch: Batch) -> torch.Tensor:
    """Of each target the middle of its ink, in cells; not numbers where it has none."""
    dense = torch.full((*batch.targets.shape, 2), torch.nan)
    dense.view(-1, 2)[batch.written] = batch.centres
    return dense


def around(batch: Batch, row: int, x: torch.Tensor, y: torch.Tensor) -> list[int]:
    """What spotting is taught at a place in cells, and left and right of it."""
    spots, columns = batch.spots[row], batch.pixels.shape[3] // SIDE["stride"]
    cell = int(torch.round(y)) * columns + int(torch.round(x))
    return spots[[cell, max(cell - 1, 0), min(cell + 1, len(spots) - 1)]].tolist()


def test_guidance_points_at_ink_and_spotting_names_it(moving: Inks) -> None:
    batch = moving[Plan(tuple(range(8)), 3, 1.1)]
    for row, index in enumerate(batch.indices):
        written = [t not in {"{", "}", "^", "_"} for t in moving.tokens[index]]
        centres = centres_of(batch)[row]
        known = ~centres.isnan().any(dim=1)
        assert known[: len(written)].tolist() == written and not known[len(written) :].any()
        hits = 0
        for target, (x, y) in zip(batch.targets[row][known], centres[known], strict=True):
            hits += int(target) in around(batch, row, x, y)
        assert hits >= 0.7 * int(known.sum()), "a small symbol may hide a large one, no more"


def test_photographed_ink_lies_where_guidance_points(job: Job, shards: Path) -> None:
    variation = job.train.augment.model_copy(update={"paper": 1.0})
    inks = Inks(shards / "train", job.vocabulary, job.raster, variation=variation, **SIDE)
    hits, total = 0, 0
    for index in range(48):
        batch = inks[Plan((index,), 1, 1.0)]
        pixels = batch.pixels[0, 0].numpy()
        assert pixels.shape[0] <= job.raster.max_height + 16
        assert pixels.shape[1] <= job.raster.max_width + 32
        for x, y in (batch.centres + 0.5) * SIDE["stride"]:
            near = pixels[max(int(y) - 9, 0) : int(y) + 10, max(int(x) - 9, 0) : int(x) + 10]
            hits, total = hits + int((near > 127).any()), total + 1
        again = inks[Plan((index,), 1, 1.0)]
        assert torch.equal(batch.pixels, again.pixels)
        assert not torch.equal(batch.pixels, inks[Plan((index,), 2, 1.0)].pixels)
    assert hits >= 0.9 * total, "strokes may fade, no more"


def test_renaming_changes_label_and_ink_together(job: Job, shards: Path) -> None:
    variation = job.train.augment.model_copy(update={"rename": 1.0, "exchange": 0.0})
    inks = Inks(shards / "train", job.vocabulary, job.raster, variation=variation, **SIDE)
    changed = 0
    for index in range(24):
        batch = inks[Plan((index,), 0, 1.0)]
        label = inks.vocabulary.encode(inks.tokens[index])
        told = batch.targets[0][batch.targets[0] != PAD].tolist()[:-1]
        assert len(told) == len(label)
        centres = centres_of(batch)[0]
        known = ~centres.isnan().any(dim=1)
        for place, (before, now) in enumerate(zip(label, told, strict=True)):
            if before == now:
                continue
            changed += 1
            assert known[place], "only what has ink is renamed"
            taught = around(batch, 0, *centres[place])
            assert now in taught or before not in taught, "the old name is not taught for the new ink"
    assert changed > 10


def test_nothing_is_renamed_to_what_the_vocabulary_lacks(job: Job, shards: Path) -> None:
    variation = job.train.augment.model_copy(update={"rename": 1.0})
    lacking = ("2", "x", "+", "=")
    few = Vocabulary.build([[token for token in job.vocabulary.tokens[4:] if token not in lacking]])
    inks = Inks(shards / "train", few, job.raster, variation=variation, **SIDE)
    for index in range(24):
        written = sum(token in lacking for token in inks.tokens[index])
        assert int((inks[Plan((index,), 0, 1.0)].targets == UNK).sum()) <= written


def test_an_epoch_draws_anew_and_the_same_epoch_the_same(moving: Inks) -> None:
    first, again, later = (moving[Plan((0, 1), epoch, 1.0)].pictures for epoch in (1, 1, 2))
    assert torch.equal(first, again)
    assert first.shape != later.shape or not torch.equal(first, later)


def test_every_usable_ink_is_in_an_epoch_once_and_each_machine_has_its_own(moving: Inks) -> None:
    moving.usable = moving.usable[:60]
    whole = [i for plan in PlanSampler(moving, 10, (0.8, 1.2)) for i in plan.indices]
    assert sorted(whole) == sorted(moving.usable)
    samplers = [PlanSampler(moving, 10, (0.8, 1.2), rank, 2) for rank in (0, 1)]
    parts = [[i for plan in sampler for i in plan.indices] for sampler in samplers]
    assert len(parts[0]) == len(parts[1]) == 10 * len(samplers[0])
    assert not set(parts[0]) & set(parts[1])


def test_an_epoch_of_several_passes_has_every_ink_as_often_and_never_drawn_alike(moving: Inks) -> None:
    moving.usable = moving.usable[:60]
    sampler = PlanSampler(moving, 10, (0.8, 1.2), passes=3)
    plans = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        plans += list(sampler)
        assert len(plans) == len(sampler) * (epoch + 1) == 18 * (epoch + 1)
    drawn = [(index, plan.epoch) for plan in plans for index in plan.indices]
    assert sorted(drawn) == sorted((index, number) for index in moving.usable for number in range(6))


@pytest.mark.parametrize("world", [1, 2])
def test_of_valid_nothing_is_left_out(still: Inks, world: int) -> None:
    still.usable = still.usable[:25]
    samplers = [PlanSampler(still, 10, None, rank, world) for rank in range(world)]
    plans = [list(sampler) for sampler in samplers]
    assert sorted(i for part in plans for plan in part for i in plan.indices) == sorted(still.usable)
    # Lightning asks how many there are, and stops there.
    assert [len(sampler) for sampler in samplers] == [len(part) for part in plans]


def test_labels_that_are_too_long_are_not_trained_on(still: Inks, job: Job, shards: Path) -> None:
    short = Inks(shards / "train", job.vocabulary, job.raster, **(SIDE | {"max_tokens": 5}))
    assert {len(short.tokens[i]) for i in short.usable} == {3, 4}
    assert len(still.usable) == len(still)


def test_an_ink_without_symbols_guides_nothing(still: Inks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.data.shards.symbols_of", lambda _: ())
    batch = still[Plan((0,), 0, 1.0)]
    assert not len(batch.written) and not len(batch.centres) and not batch.spotted
    assert (batch.spots == NOWHERE).all()


@pytest.mark.parametrize(
    ("label", "symbols", "expected"),
    [
        ("x+x", "x+x", {0: 0, 1: 1, 2: 2}),
        ("x+x", "x+", {0: 0, 1: 1}),
        ("sin x", ["sin", "x"], {0: 0, 1: 0, 2: 0, 4: 1}),
        ("x+y", "x-y", {0: 0, 2: 2}),
        ([r"\frac", "{", "1", "}", "{", "2", "}"], "-12", {0: 0, 2: 1, 5: 2}),
        ([r"\frac", "{", "-", "1", "}", "{", "2", "}"], "--12", {0: 0, 2: 1, 3: 2, 6: 3}),
    ],
)
def test_tokens_find_their_symbols(label: str, symbols: str, expected: dict[int, int]) -> None:
    assert aligned(label, [Symbol(token, (0,)) for token in symbols]) == expected
