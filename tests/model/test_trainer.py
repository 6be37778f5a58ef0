import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from components.model.checkpoint import load_model
from components.model.trainer import Epoch, TrainingJob, best_model, fit

CURVE = ("epoch", "train_loss", "valid_loss", "valid_exprate", "lr")


def curve(history: list[Epoch]) -> list[tuple[float, ...]]:
    return [tuple(round(getattr(epoch, name), 5) for name in CURVE) for epoch in history]


def die(epoch: Epoch) -> None:
    if epoch.epoch == 2:  # the third epoch is trained, but not yet kept
        os.kill(os.getpid(), signal.SIGKILL)


def fit_and_die(job: TrainingJob, folder: Path) -> None:
    fit(job, folder, die)


def test_training_learns_and_keeps_the_best(job: TrainingJob, tmp_path: Path) -> None:
    told: list[Epoch] = []
    history = fit(job, tmp_path, told.append)
    assert told == history and [epoch.epoch for epoch in history] == [0, 1, 2, 3]
    assert history[-1].train_loss < 0.95 * history[0].train_loss
    checkpoint = best_model(tmp_path)
    assert checkpoint.vocabulary == job.vocabulary and checkpoint.raster == job.raster
    assert (tmp_path / "history.csv").read_text().count("\n") == 5


def test_killed_in_the_middle_it_goes_on_with_the_same_curve(job: TrainingJob, tmp_path: Path) -> None:
    expected = curve(fit(job, tmp_path / "straight"))
    process = multiprocessing.get_context("spawn").Process(
        target=fit_and_die, args=(job, tmp_path / "killed")
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    told: list[Epoch] = []
    assert curve(fit(job, tmp_path / "killed", told.append)) == expected
    assert [epoch.epoch for epoch in told] == [2, 3], "two epochs were kept"
    straight, killed = (best_model(tmp_path / name).model.state_dict() for name in ("straight", "killed"))
    assert [name for name in straight if not torch.equal(straight[name], killed[name])] == []


def test_loader_processes_change_nothing_and_start_once(job: TrainingJob, tmp_path: Path) -> None:
    loaders: list[set[int]] = []

    def look(_: Epoch) -> None:
        loaders.append({child.pid for child in psutil.Process().children()})

    helped = replace(job, train=job.train.model_copy(update={"workers": 2}))
    assert curve(fit(helped, tmp_path / "helped", look)) == curve(fit(job, tmp_path / "alone"))
    assert len(loaders[0]) >= 2
    assert loaders == [loaders[0]] * 4, "those of later epochs would hold on to what training has allocated"


def test_told_how_long_it_may_take_it_ends_in_time_with_the_rate_at_its_end(
    job: TrainingJob, tmp_path: Path
) -> None:
    once = replace(job, train=job.train.model_copy(update={"epochs": 1}))
    seconds = 8 * fit(once, tmp_path / "once")[0].seconds  # of this machine, as busy as it is
    limited = replace(job, train=job.train.model_copy(update={"epochs": 1000, "minutes": seconds / 60}))
    history = fit(limited, tmp_path / "limited")
    assert 2 <= len(history) < 1000
    took = sum(epoch.seconds for epoch in history)
    longest = max(epoch.seconds for epoch in history)
    assert took < seconds + longest, "it begins no epoch that the last one says would not fit"
    assert history[-1].lr < max(epoch.lr for epoch in history) / 4
    assert fit(limited, tmp_path / "limited") == history, "started again it knows that its time is over"


def test_an_average_of_more_steps_than_there_are_forgets_the_first_weights(
    job: TrainingJob, tmp_path: Path
) -> None:
    plain, averaged = (
        fit(replace(job, train=job.train.model_copy(update={"ema": ema})), tmp_path / str(ema))
        for ema in (0.0, 0.9999)
    )
    learnt = plain[0].valid_loss - plain[-1].valid_loss
    assert learnt > 0
    assert averaged[-1].valid_loss < plain[0].valid_loss - learnt / 3


def test_another_seed_or_other_data_is_another_run(job: TrainingJob) -> None:
    others = [
        replace(job, seed=8),
        replace(job, data_hash="y"),
        replace(job, model=job.model.model_copy(update={"dropout": 0.2})),
    ]
    assert len({job.fingerprint, *(other.fingerprint for other in others)}) == 4
    workers = job.train.model_copy(update={"workers": 3})
    assert replace(job, train=workers).fingerprint == job.fingerprint


def test_a_length_that_no_label_has_is_an_error(job: TrainingJob, tmp_path: Path) -> None:
    short = replace(job, model=job.model.model_copy(update={"max_tokens": 2}))
    with pytest.raises(ValueError, match=r"model\.max_tokens \(2\)"):
        fit(short, tmp_path)


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="dvc repro train"):
        load_model(tmp_path / "none.pt")
    torch.save({"weights": {}}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt: not a checkpoint of this version"):
        load_model(tmp_path / "other.pt")


def test_bfloat16_trains_too(job: TrainingJob, tmp_path: Path) -> None:
    half = replace(job, train=job.train.model_copy(update={"precision": "bf16", "epochs": 1}))
    assert fit(half, tmp_path)[0].train_loss > 0
