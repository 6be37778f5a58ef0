from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from components.data.shards import Row, write_shard
from components.latex.tokenizer import tokenize
from components.latex.vocabulary import SPECIALS, Vocabulary
from components.stages import vocab


def _write(folder: Path, *shards: list[str]) -> None:
    folder.mkdir(parents=True)
    for number, labels in enumerate(shards):
        rows = [
            Row(
                f"{number}/{i}",
                None,
                (np.zeros((1, 2), np.float32),),
                (),
                b"",
                1,
                1,
                label,
                tokenize(label),
                "",
                "",
            )
            for i, label in enumerate(labels)
        ]
        write_shard(rows, folder / f"part-{number:05d}.parquet")


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "data/shards"
    _write(folder / "train", ["x+x", "a"], ["x+a", r"\pi"])
    _write(folder / "valid", ["x", r"x+\pi"])
    _write(folder / "test", ["a+b", "x", "b"])
    return folder


def test_learns_the_tokens_of_train_alone_and_says_what_the_others_need(shards: Path, tmp_path: Path) -> None:
    covered = vocab.make_vocabulary(shards, 1, tmp_path / "vocab.json", tmp_path / "report.json")
    vocabulary = Vocabulary.load(tmp_path / "vocab.json")
    assert vocabulary.tokens == (*SPECIALS, "+", r"\pi", "a", "x")
    assert covered["valid"] == vocab.Coverage(2, 1, 4, 1, [])
    assert covered["test"] == vocab.Coverage(3, pytest.approx(1 / 3), 5, pytest.approx(3 / 5), [("b", 2)])
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["size"], report["version"]) == (8, vocabulary.version)
    assert report["counts"] == [["x", 3], ["+", 2], ["a", 2], [r"\pi", 1]]
    assert report["test"]["unknown"] == [["b", 2]]


def test_rare_tokens_are_left_out_and_show_in_the_coverage_of_train(shards: Path, tmp_path: Path) -> None:
    covered = vocab.make_vocabulary(shards, 2, tmp_path / "vocab.json", tmp_path / "report.json")
    assert covered["train"].unknown == [(r"\pi", 1)]
    assert covered["valid"].labels_covered == 0.5
    with pytest.raises(ValueError, match="min_count"):
        vocab.make_vocabulary(shards, 100, tmp_path / "vocab.json", tmp_path / "report.json")


def test_a_split_without_shards_is_named(shards: Path, tmp_path: Path) -> None:
    (shards / "test/part-00000.parquet").unlink()
    with pytest.raises(FileNotFoundError, match="test"):
        vocab.make_vocabulary(shards, 1, tmp_path / "vocab.json", tmp_path / "report.json")
    assert not (tmp_path / "vocab.json").exists()


def test_the_stage_says_what_it_made(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").symlink_to(Path("params.yaml").resolve())
    (tmp_path / "presets").symlink_to(Path("presets").resolve())
    monkeypatch.chdir(tmp_path)
    vocab.main()
    assert "test: 33.3% of 3 labels covered; lacks b (2)" in capsys.readouterr().out
    assert Path("data/vocab.json").exists()
    assert Path("reports/vocab.json").exists()


def test_the_tokens_of_synthetic_formulas_are_known_as_well(shards: Path, tmp_path: Path) -> None:
    _write(tmp_path / "synthetic", [r"\alpha", "x"])
    covered = vocab.make_vocabulary(
        shards,
        1,
        tmp_path / "vocab.json",
        tmp_path / "report.json",
        tmp_path / "synthetic",
        ("train", "valid"),
    )
    assert Vocabulary.load(tmp_path / "vocab.json").tokens == (*SPECIALS, "+", r"\alpha", r"\pi", "a", "x")
    assert set(covered) == {"train", "valid"}
