from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from components.data.shards import write_shard
from components.ink.ink import Symbol
from components.latex.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from components.model.dataset import NOWHERE, Batch, BatchSpec, BucketBatchSampler, InkDataset, aligned
from components.model.trainer import TrainingJob
from components.recognizer.tensors import to_input
from components.synthesis.symbol_bank import Sample, SymbolBank
from tests.model.conftest import rows

SIDE = {"stride": 8, "multiple": 16, "max_tokens": 24, "seed": 7}


@pytest.fixture
def still(job: TrainingJob, shards: Path) -> InkDataset:
    return InkDataset(shards / "train", job.vocabulary, job.raster, **SIDE)


@pytest.fixture
def moving(job: TrainingJob, shards: Path) -> InkDataset:
    return InkDataset(shards / "train", job.vocabulary, job.raster, variation=job.train.augment, **SIDE)


def test_without_variation_training_sees_what_service_sees(still: InkDataset) -> None:
    for index in range(8):
        batch = still[BatchSpec((index,), 0, 1.0)]
        assert np.array_equal(batch.pictures[0].numpy(), to_input(still.picture(index), 16))


def test_tokens_go_in_and_targets_come_out_one_step_later(still: InkDataset) -> None:
    batch = still[BatchSpec((0, 1, 2), 0, 1.0)]
    for row, index in enumerate(batch.indices):
        ids = still.vocabulary.encode(still.tokens(index))
        assert batch.tokens[row, : len(ids) + 1].tolist() == [BOS, *ids]
        assert batch.targets[row, : len(ids) + 1].tolist() == [*ids, EOS]
        assert (batch.targets[row, len(ids) + 1 :] == PAD).all()


def centres_of(batch: Batch) -> torch.Tensor:
    """Of each target the middle of its ink, in cells; not numbers where it has none."""
    dense = torch.full((*batch.targets.shape, 2), torch.nan)
    dense.view(-1, 2)[batch.written] = batch.centers
    return dense


def around(batch: Batch, row: int, x: torch.Tensor, y: torch.Tensor) -> list[int]:
    """What spotting is taught at a place in cells, and left and right of it."""
    symbol_targets, columns = batch.symbol_targets[row], batch.pixels.shape[3] // SIDE["stride"]
    cell = int(torch.round(y)) * columns + int(torch.round(x))
    return symbol_targets[[cell, max(cell - 1, 0), min(cell + 1, len(symbol_targets) - 1)]].tolist()


def test_guidance_points_at_ink_and_spotting_names_it(moving: InkDataset) -> None:
    batch = moving[BatchSpec(tuple(range(8)), 3, 1.1)]
    for row, index in enumerate(batch.indices):
        written = [t not in {"{", "}", "^", "_"} for t in moving.tokens(index)]
        centers = centres_of(batch)[row]
        known = ~centers.isnan().any(dim=1)
        assert known[: len(written)].tolist() == written and not known[len(written) :].any()
        hits = 0
        for target, (x, y) in zip(batch.targets[row][known], centers[known], strict=True):
            hits += int(target) in around(batch, row, x, y)
        assert hits >= 0.7 * int(known.sum()), "a small symbol may hide a large one, no more"


def test_renaming_changes_label_and_ink_together(job: TrainingJob, shards: Path) -> None:
    variation = job.train.augment.model_copy(update={"substitute_symbols": 1.0, "swap_symbols": 0.0})
    inks = InkDataset(shards / "train", job.vocabulary, job.raster, variation=variation, **SIDE)
    changed = 0
    for index in range(24):
        batch = inks[BatchSpec((index,), 0, 1.0)]
        label = inks.vocabulary.encode(inks.tokens(index))
        told = batch.targets[0][batch.targets[0] != PAD].tolist()[:-1]
        assert len(told) == len(label)
        centers = centres_of(batch)[0]
        known = ~centers.isnan().any(dim=1)
        for place, (before, now) in enumerate(zip(label, told, strict=True)):
            if before == now:
                continue
            changed += 1
            assert known[place], "only what has ink is renamed"
            taught = around(batch, 0, *centers[place])
            assert now in taught or before not in taught, "the old name is not taught for the new ink"
    assert changed > 10


def test_nothing_is_renamed_to_what_the_vocabulary_lacks(job: TrainingJob, shards: Path) -> None:
    variation = job.train.augment.model_copy(update={"substitute_symbols": 1.0})
    lacking = ("2", "x", "+", "=")
    few = Vocabulary.build([[token for token in job.vocabulary.tokens[4:] if token not in lacking]])
    inks = InkDataset(shards / "train", few, job.raster, variation=variation, **SIDE)
    for index in range(24):
        written = sum(token in lacking for token in inks.tokens(index))
        assert int((inks[BatchSpec((index,), 0, 1.0)].targets == UNK).sum()) <= written


def test_an_epoch_draws_anew_and_the_same_epoch_the_same(moving: InkDataset) -> None:
    first, again, later = (moving[BatchSpec((0, 1), epoch, 1.0)].pictures for epoch in (1, 1, 2))
    assert torch.equal(first, again)
    assert first.shape != later.shape or not torch.equal(first, later)


def test_every_usable_ink_is_in_an_epoch_once(moving: InkDataset) -> None:
    moving.usable = moving.usable[:60]
    whole = [i for spec in BucketBatchSampler(moving, 10, (0.8, 1.2)) for i in spec.indices]
    assert sorted(whole) == sorted(moving.usable)


@pytest.mark.parametrize(("scale", "count"), [((0.8, 1.2), 60), (None, 60), (None, 61), (None, 5)])
def test_several_processes_share_the_batches_of_one(
    moving: InkDataset, scale: tuple[float, float] | None, count: int
) -> None:
    moving.usable = moving.usable[:count]
    one = list(BucketBatchSampler(moving, 10, scale))
    samplers = [BucketBatchSampler(moving, 10, scale, rank, 3) for rank in range(3)]
    parts = [list(sampler) for sampler in samplers]
    assert {len(part) for part in parts} == {len(sampler) for sampler in samplers}
    assert all(spec.indices for part in parts for spec in part), "every process has something in every step"
    shared = [sorted(i for spec in specs for i in spec.indices) for specs in zip(*parts, strict=True)]
    if count != 61:
        assert shared == [sorted(spec.indices) for spec in one]
    assert sorted(i for batch in shared for i in batch) == sorted(moving.usable)


def test_an_epoch_of_several_passes_has_every_ink_as_often_and_never_drawn_alike(moving: InkDataset) -> None:
    moving.usable = moving.usable[:60]
    sampler = BucketBatchSampler(moving, 10, (0.8, 1.2), passes=3)
    plans = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        plans += list(sampler)
        assert len(plans) == len(sampler) * (epoch + 1) == 18 * (epoch + 1)
    drawn = [(index, spec.epoch) for spec in plans for index in spec.indices]
    assert sorted(drawn) == sorted((index, number) for index in moving.usable for number in range(6))


@pytest.mark.parametrize("world", [1, 2])
def test_of_valid_nothing_is_left_out(still: InkDataset, world: int) -> None:
    still.usable = still.usable[:25]
    samplers = [BucketBatchSampler(still, 10, None, rank, world) for rank in range(world)]
    plans = [list(sampler) for sampler in samplers]
    assert sorted(i for part in plans for spec in part for i in spec.indices) == sorted(still.usable)
    # Lightning asks how many there are, and stops there.
    assert [len(sampler) for sampler in samplers] == [len(part) for part in plans]


def test_labels_that_are_too_long_are_not_trained_on(
    still: InkDataset, job: TrainingJob, shards: Path
) -> None:
    short = InkDataset(shards / "train", job.vocabulary, job.raster, **(SIDE | {"max_tokens": 5}))
    assert {len(short.tokens(i)) for i in short.usable} == {3, 4}
    assert len(still.usable) == len(still)


def test_an_ink_without_symbols_guides_nothing(still: InkDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.data.shards.symbols_of", lambda _: ())
    batch = still[BatchSpec((0,), 0, 1.0)]
    assert not len(batch.written) and not len(batch.centers) and not batch.has_symbol_targets
    assert (batch.symbol_targets == NOWHERE).all()


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


@pytest.mark.parametrize("spare", [1, 2, 5])
def test_a_batch_never_has_more_positions_than_the_network(
    job: TrainingJob, shards: Path, spare: int
) -> None:
    longest = InkDataset(shards / "train", job.vocabulary, job.raster, **SIDE).lengths.max()
    side = SIDE | {"max_tokens": longest + spare}  # rarely a multiple of what lengths are rounded to
    inks = InkDataset(shards / "train", job.vocabulary, job.raster, variation=job.train.augment, **side)
    index = max(inks.usable, key=lambda number: len(inks.tokens(number)))
    batch = inks[BatchSpec((index,), 0, 1.0)]
    assert len(inks.tokens(index)) < batch.tokens.shape[1] <= longest + spare


def test_photographed_ink_lies_where_attention_is_pointed(job: TrainingJob, shards: Path) -> None:
    variation = job.train.augment.model_copy(update={"paper": 1.0})
    inks = InkDataset(shards / "train", job.vocabulary, job.raster, variation=variation, **SIDE)
    hits = total = 0
    for index in range(24):
        batch = inks[BatchSpec((index,), 1, 1.0)]
        pixels = batch.pixels[0, 0].numpy()
        for x, y in (batch.centers + 0.5) * SIDE["stride"]:
            near = pixels[max(int(y) - 9, 0) : int(y) + 10, max(int(x) - 9, 0) : int(x) + 10]
            hits, total = hits + int((near > 127).any()), total + 1
        assert torch.equal(batch.pixels, inks[BatchSpec((index,), 1, 1.0)].pixels)
    assert hits >= 0.9 * total, "strokes may fade, no more"


def test_symbols_that_are_written_anew_come_from_the_bank(job: TrainingJob, shards: Path) -> None:
    far = (np.float32([[0, 0], [500, 0], [0, 3]]),)
    variation = job.train.augment.model_copy(update={"swap_symbols": 1.0, "substitute_symbols": 0.0})
    bank = SymbolBank([("x", Sample(far, "own"))])
    inks = InkDataset(shards / "train", job.vocabulary, job.raster, variation=variation, bank=bank, **SIDE)
    assert inks._other("x", np.random.default_rng(0)) == list(far)
    assert inks._other("1", np.random.default_rng(0)) is None


@pytest.fixture
def mixed(job: TrainingJob, tmp_path: Path) -> Path:
    """A train split of eight inks and, of the source `pictures`, four pictures without ink."""
    inks = rows("mixed", 12)
    pictures = [
        replace(row, strokes=None, symbols=(), source=f"pictures/{number}.jpg")
        for number, row in enumerate(inks[8:])
    ]
    (tmp_path / "mixed").mkdir()
    write_shard([*inks[:8], *pictures], tmp_path / "mixed" / "part-00000.parquet")
    return tmp_path / "mixed"


def test_a_picture_without_ink_is_varied_and_teaches_no_place(job: TrainingJob, mixed: Path) -> None:
    augment = job.train.augment.model_copy(update={"swap_symbols": 1.0, "substitute_symbols": 1.0})
    inks = InkDataset(mixed, job.vocabulary, job.raster, variation=augment, **SIDE)
    first, again, later = (inks[BatchSpec((9,), epoch, 1.0)] for epoch in (1, 1, 2))
    assert torch.equal(first.pixels, again.pixels)
    assert first.pixels.shape != later.pixels.shape or not torch.equal(first.pixels, later.pixels)
    assert len(first.written) == 0 and not first.has_symbol_targets
    assert (first.symbol_targets == NOWHERE).all()
    ids = job.vocabulary.encode(inks.tokens(9))
    assert first.targets[0, : len(ids) + 1].tolist() == [*ids, EOS]
    both = inks[BatchSpec((0, 9), 1, 1.0)]
    assert both.has_symbol_targets and (both.symbol_targets[1] == NOWHERE).all()


def test_without_variation_a_picture_is_what_the_shard_has(job: TrainingJob, mixed: Path) -> None:
    inks = InkDataset(mixed, job.vocabulary, job.raster, **SIDE)
    for index in (0, 10):
        pixels = inks[BatchSpec((index,), 0, 1.0)].pixels[0, 0].numpy()
        picture = inks.picture(index)
        assert np.array_equal(255 - picture, pixels[: picture.shape[0], : picture.shape[1]])


def test_a_source_is_drawn_as_often_as_its_weight_says_and_never_alike(job: TrainingJob, mixed: Path) -> None:
    inks = InkDataset(
        mixed, job.vocabulary, job.raster, variation=job.train.augment,
        sources=("crohme", "pictures"), weights={"pictures": 2.5, "crohme": 0.5}, **SIDE,
    )  # fmt: skip
    sampler = BucketBatchSampler(inks, 2, (0.9, 1.1))
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        chosen = [number for spec in sampler for number in spec.indices]
        assert len(chosen) == len(set(chosen)) == 2 * len(sampler) == 4 + 10
        of_pictures = Counter(number % 12 for number in chosen if number % 12 >= 8)
        assert sorted(of_pictures) == [8, 9, 10, 11] and sorted(of_pictures.values()) == [2, 2, 3, 3]
    once, twice = (inks[BatchSpec((number,), 0, 1.0)] for number in (8, 8 + 12))
    assert torch.equal(once.targets, twice.targets)
    assert once.pixels.shape != twice.pixels.shape or not torch.equal(once.pixels, twice.pixels)


def test_mapped_shards_give_the_same_batches(job: TrainingJob, tmp_path: Path) -> None:
    inks, drawn = rows("train", 30), rows("synthetic", 9)
    pictures = [replace(row, strokes=None, symbols=(), source=f"pictures/{row.id}.png") for row in drawn[:4]]
    for folder, parts in {"train": [inks[:11], inks[11:]], "synthetic": [[], drawn[4:], pictures]}.items():
        for number, part in enumerate(parts):
            (tmp_path / folder).mkdir(exist_ok=True)
            write_shard(part, tmp_path / folder / f"part-{number:05}.parquet")

    def loaded(copies: Path | None) -> InkDataset:
        return InkDataset(
            tmp_path / "train", job.vocabulary, job.raster, more=[tmp_path / "synthetic"], copies=copies,
            variation=job.train.augment, sources=("crohme", "pictures"), weights={"pictures": 3}, **SIDE,
        )  # fmt: skip

    read, mapped = loaded(None), loaded(tmp_path / "copies")
    assert len(list((tmp_path / "copies").rglob("*.arrow"))) == 5
    assert (len(mapped), mapped.first) == (39, 30) and mapped.weights.tolist() == [1] * 35 + [3] * 4
    for dataset in (mapped, loaded(tmp_path / "copies")):  # copied, and found
        plan = list(BucketBatchSampler(read, 4, (0.9, 1.1), synthetic=lambda epoch: 0.4))
        assert plan == list(BucketBatchSampler(dataset, 4, (0.9, 1.1), synthetic=lambda epoch: 0.4))
        for spec in (*plan, BatchSpec(tuple(range(28, 39)), 0, 1.0)):
            one, other = read[spec], dataset[spec]
            assert torch.equal(one.pixels, other.pixels) and torch.equal(one.targets, other.targets)
            assert torch.equal(one.symbol_targets, other.symbol_targets)
        assert [dataset.latex(index) for index in range(39)] == [
            row.latex for row in (*inks, *drawn[4:], *pictures)
        ]
