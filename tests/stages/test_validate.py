"""What the stage `validate` promises: shards that break an expectation stop the pipeline, with a reason."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from components.config import Params
from components.data.rows import ink_hash
from components.data.shards import Row, write_shard
from components.data.validation import Finding, split_facts
from components.ink.raster import draw
from components.latex.tokenizer import tokenize
from components.stages import validate
from tests.recognizer.inks import formula

ROOT = Path(__file__).parents[2]
LABELS = {
    "train": ("x=1", "y+2", "x+y", r"\pi r^{2}", "2x", "y=1", "1+1", r"\pi y"),
    "valid": ("x=2", "2+1"),
    "test": ("y=x", r"\pi x"),
}
Rows = dict[str, list[Row]]


@pytest.fixture
def rows(params: Params) -> Rows:
    return {
        split: [row(f"ink{i}", label, 1 + i + 10 * j, params) for i, label in enumerate(labels)]
        for j, (split, labels) in enumerate(LABELS.items())
    }


def row(name: str, latex: str, stretch: float, params: Params) -> Row:
    strokes = tuple(stroke * np.float32([stretch, 10]) for stroke in formula())
    picture = draw(strokes, params.raster.settings)
    height, width = picture.shape
    png = cv2.imencode(".png", picture)[1].tobytes()
    hashed = ink_hash(strokes)
    return Row(name, "w", strokes, (), png, width, height, latex, tokenize(latex), hashed, f"{name}.inkml")


def project(rows: Rows, folder: Path, rejected: int = 0) -> Path:
    """A folder after `rasterize`."""
    for split, part in rows.items():
        (folder / "data" / "shards" / split).mkdir(parents=True)
        write_shard(part, folder / "data" / "shards" / split / "part-00000.parquet")
    counts = {split: {"files": 100, "used": 100 - rejected, "rejected": rejected} for split in rows}
    (folder / "reports").mkdir()
    (folder / "reports" / "rasterize.json").write_text(json.dumps(counts))
    return folder


def run(params: Params, folder: Path) -> dict[str, Finding]:
    reports = folder / "reports"
    findings = validate.run(
        params,
        folder / "data" / "shards",
        reports / "rasterize.json",
        reports / "docs",
        reports / "validation.json",
    )
    return {finding.promise: finding for finding in findings}


@pytest.mark.slow
def test_good_shards_meet_all_expectations(rows: Rows, params: Params, tmp_path: Path) -> None:
    findings = run(params, project(rows, tmp_path))
    assert not [str(finding) for finding in findings.values() if not finding.met]
    assert "no label is in two splits" in findings
    written = json.loads((tmp_path / "reports" / "validation.json").read_text())
    assert written["met"] is True
    assert [entry["promise"] for entry in written["expectations"]] == list(findings)
    pages = [page.read_text() for page in (tmp_path / "reports" / "docs" / "validations").rglob("*.html")]
    assert sum("Succeeded" in page for page in pages) == 2
    assert (tmp_path / "reports" / "docs" / "index.html").exists()


@pytest.mark.slow
def test_every_fault_is_found_counted_and_shown(rows: Rows, params: Params, tmp_path: Path) -> None:
    train, test = rows["train"], rows["test"]
    train[0] = replace(train[0], id=train[1].id)
    train[2] = replace(train[2], tokens=("x", "y"))
    train[3] = replace(train[3], strokes=(np.float32([[0, 0], [np.nan, 1]]),))
    train[4] = replace(train[4], strokes=(np.zeros((0, 2), np.float32), *train[4].strokes))
    train[5] = replace(train[5], width=params.raster.max_width + 1)
    train[6] = replace(train[6], png=b"no picture")
    train[7] = replace(train[7], strokes=(), tokens=(), latex="")
    test[0] = replace(test[0], ink_hash=train[0].ink_hash)
    test[1] = replace(test[1], latex="x=1", tokens=("x", "=", "1"))
    rows["valid"][0] = replace(rows["valid"][0], latex=r"\omega", tokens=(r"\omega",))
    rows["valid"][1] = replace(rows["valid"][1], latex="1+\\")
    findings = run(params, project(rows, tmp_path, rejected=3))

    broken = {promise: finding.broken for promise, finding in findings.items() if not finding.met}
    assert broken == {
        "an id is there once in its split": 2,
        "a label is cut into its tokens": 2,
        "tokens give their label back": 2,
        "a label is no longer than validate.max_tokens": 1,
        "an ink has a stroke": 1,
        "a stroke has a point": 1,
        "coordinates are finite and come in pairs": 1,
        "a picture is no wider than raster.max_width": 1,
        "a PNG is as wide as its row says": 2,
        "a PNG is as high as its row says": 1,
        "no ink is in two splits": 2,
        "no label is in two splits": 2,
        "rejects are no more than data.max_rejected": 3,
        "train has the tokens of valid and test, but for validate.max_unseen": 1,
    }
    assert findings["an id is there once in its split"].examples == ("train/ink1",)
    assert findings["no ink is in two splits"].examples == (
        "train/ink1 (splits_of_ink train, test)",
        "test/ink0 (splits_of_ink train, test)",
    )
    assert str(findings["a picture is no wider than raster.max_width"]) == (
        "a picture is no wider than raster.max_width: broken by 1 of 12 "
        f"(expect_column_values_to_be_between of width), for example train/ink5 (width {train[5].width})"
    )
    assert json.loads((tmp_path / "reports" / "validation.json").read_text())["met"] is False


@pytest.mark.slow
def test_a_broken_promise_stops_the_pipeline(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows["test"].append(rows["test"][0])
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    monkeypatch.chdir(project(rows, tmp_path))
    with pytest.raises(SystemExit, match=r"1 of 16 expectations failed; .*data_docs/index\.html"):
        validate.main()
    assert "an id is there once in its split: broken by 2 of 13" in capsys.readouterr().err


@pytest.mark.slow
def test_people_may_write_one_formula_twice(rows: Rows, params: Params, tmp_path: Path) -> None:
    rows["test"][0] = replace(rows["test"][0], latex="x=1", tokens=("x", "=", "1"))
    real = params.model_copy(update={"data": params.data.model_copy(update={"source": "crohme"})})
    assert all(finding.met for finding in run(real, project(rows, tmp_path)).values())


@pytest.mark.slow
def test_a_correction_that_breaks_a_promise_is_named(rows: Rows, params: Params, tmp_path: Path) -> None:
    long = row("corrections/long", "x" * (params.validate_.max_tokens + 1), 40, params)
    leak = row("corrections/leak", LABELS["test"][0], 41, params)
    rows["train"] += [long, leak]
    findings = run(params, project(rows, tmp_path))
    broken = {promise: finding.examples for promise, finding in findings.items() if not finding.met}
    assert set(broken) == {"a label is no longer than validate.max_tokens", "no label is in two splits"}
    assert "train/corrections/long (length 257)" in broken["a label is no longer than validate.max_tokens"]
    assert any("train/corrections/leak" in example for example in broken["no label is in two splits"])


def test_the_alphabet_of_train_is_what_others_are_held_to(rows: Rows, tmp_path: Path) -> None:
    rows["valid"][0] = replace(rows["valid"][0], tokens=(r"\omega", "=", r"\omega"))
    facts = split_facts(project(rows, tmp_path) / "data" / "shards", dict.fromkeys(rows, 0.25))
    train, valid, test = facts.itertuples()
    assert (train.split, train.rejected, train.symbols, train.unseen) == ("train", 0.25, 11, 0)
    assert (valid.symbols, valid.unseen) == (5, 2 / 6)
    assert test.unseen == 0


def test_without_the_counts_of_rasterize_it_says_what_to_run(
    rows: Rows, params: Params, tmp_path: Path
) -> None:
    folder = project(rows, tmp_path)
    (folder / "reports" / "rasterize.json").write_text("{}")
    with pytest.raises(ValueError, match=r"rasterize\.json: "):
        run(params, folder)
    (folder / "reports" / "rasterize.json").unlink()
    with pytest.raises(FileNotFoundError, match="run `dvc repro rasterize` first"):
        run(params, folder)
