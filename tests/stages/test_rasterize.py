"""What the stage `rasterize` promises: usable ink in shards, all else listed, whoever does it."""

from __future__ import annotations

import csv
import hashlib
import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from components.config import Params
from components.data import dask_client
from components.data.archive import unpack
from components.data.dask_client import ClusterError
from components.data.packed_files import pack_files
from components.data.pictures import LABEL, PictureLabel, label_path
from components.data.rows import ink_hash, symbol_token
from components.data.shards import SPLITS, read_table, strokes_of, symbols_of
from components.ink.ink import Ink, Symbol
from components.ink.inkml import write_inkml
from components.ink.raster import draw
from components.stages import rasterize

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
EMPTY = '<ink xmlns="http://www.w3.org/2003/InkML">{}</ink>'
TRUTH = '<annotation type="truth">x^{2</annotation>'
BOMB = '<!DOCTYPE ink [<!ENTITY a "1 1,"><!ENTITY b "&a;&a;&a;">]><ink><trace>&b;</trace></ink>'
REJECTS = {  # file: (content, what its reason must say)
    "a/bomb.inkml": (BOMB, "entities"),
    "a/empty.inkml": ("", "empty"),
    "a/long.inkml": (EMPTY.format(f"<trace>{'1 1,' * 10_000_000}</trace>"), "points"),
    "a/mute.inkml": (EMPTY.format("<trace>1 1, 2 2</trace>"), "no label"),
    "a/unclosed.inkml": (EMPTY.format(f"{TRUTH}<trace>1 1</trace>"), "}"),
}


def ink(number: int) -> Ink:
    """x + (number), in strokes that no other number has."""
    x = (np.array([[0, 0], [8, 10]], np.float32), np.array([[8, 0], [0, 10 + number]], np.float32))
    return Ink(
        f"{number}", (*x, np.array([[20, 5]], np.float32)), rf"$x \leq{number}$", "w7", (Symbol("x", (0, 1)),)
    )


def write_raw(raw: Path, train: int = 8) -> Path:
    for split, count in zip(SPLITS, (train, 2, 2), strict=True):
        for number in range(count):
            path = raw / split / "ab"[number % 2] / f"{number}.inkml"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_inkml(ink(number), path)
    return raw


def with_params(
    params: Params, workers: int = 1, shard_rows: int = 4096, max_rejected: float = 0.02
) -> Params:
    return params.model_copy(
        update={
            "compute": params.compute.model_copy(update={"workers": workers}),
            "raster": params.raster.model_copy(update={"shard_rows": shard_rows}),
            "data": params.data.model_copy(update={"max_rejected": max_rejected}),
        }
    )


def run(params: Params, raw: Path, out: Path) -> None:
    rasterize.run(params, raw, out / "shards", out / "rasterize.json", out / "rejected.csv")


def contents(folder: Path) -> dict[str, str]:
    """Each file's hash."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_a_row_is_the_ink_its_picture_and_its_normalised_label(tmp_path: Path, params: Params) -> None:
    run(with_params(params), write_raw(tmp_path / "raw"), tmp_path)
    rows = read_table(tmp_path / "shards" / "train").to_pylist()
    assert [row["id"] for row in rows] == [f"{'ab'[n % 2]}/{n}" for n in (0, 2, 4, 6, 1, 3, 5, 7)]
    row, written = rows[1], ink(2)
    assert (row["latex"], row["tokens"]) == (r"x\le2", ["x", r"\le", "2"])
    assert (row["writer"], row["source"]) == ("w7", "a/2.inkml")
    assert symbols_of(row["symbols"]) == written.symbols
    for read, stroke in zip(strokes_of(row["strokes"]), written.strokes, strict=True):
        np.testing.assert_array_equal(read, stroke)
    picture = cv2.imdecode(np.frombuffer(row["png"], np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(picture, draw(written.strokes, params.raster.settings))
    assert (row["height"], row["width"]) == picture.shape


def test_what_can_not_be_used_is_listed_and_the_rest_goes_on(tmp_path: Path, params: Params) -> None:
    raw = write_raw(tmp_path / "raw")
    for name, (content, _) in REJECTS.items():
        (raw / "train" / name).write_text(content)
    run(with_params(params, max_rejected=0.5), raw, tmp_path)
    with (tmp_path / "rejected.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert [(row["split"], row["file"]) for row in listed] == [("train", name) for name in REJECTS]
    for row in listed:
        assert REJECTS[row["file"]][1] in row["reason"]
    assert read_table(tmp_path / "shards" / "train").num_rows == 8
    counts = json.loads((tmp_path / "rasterize.json").read_text())
    assert counts["train"] == {"files": 13, "used": 8, "rejected": 5}


def test_too_many_rejects_stop_it_and_leave_the_old_shards(tmp_path: Path, params: Params) -> None:
    raw = write_raw(tmp_path / "raw")
    run(with_params(params), raw, tmp_path)
    before = contents(tmp_path / "shards")
    (raw / "valid" / "empty.inkml").write_text("")
    with pytest.raises(rasterize.RejectedError) as caught:
        run(with_params(params, max_rejected=0.3), raw, tmp_path)
    for part in ("1 of 3 files of valid (33.3%)", "max_rejected (30.0%)", "empty.inkml: ", "rejected.csv"):
        assert part in str(caught.value)
    assert contents(tmp_path / "shards") == before
    assert "empty.inkml" in (tmp_path / "rejected.csv").read_text()


def test_shards_are_cut_from_the_sorted_files(tmp_path: Path, params: Params) -> None:
    run(with_params(params, shard_rows=3), write_raw(tmp_path / "raw"), tmp_path)
    names = sorted(path.name for path in (tmp_path / "shards" / "train").iterdir())
    assert names == [f"part-{number:05d}.parquet" for number in range(3)]
    ids = read_table(tmp_path / "shards" / "train", ["id"])["id"].to_pylist()
    assert ids == sorted(ids)


@pytest.mark.slow
def test_shards_do_not_depend_on_who_makes_them(tmp_path: Path, params: Params) -> None:
    raw = write_raw(tmp_path / "raw", train=700)  # three tasks a shard, two shards
    (raw / "train" / "a" / "empty.inkml").write_text("")
    for workers in (1, 2):
        run(with_params(params, workers, shard_rows=600), raw, tmp_path / f"by{workers}")
    assert contents(tmp_path / "by1") == contents(tmp_path / "by2")


def test_a_scheduler_that_does_not_answer_is_named(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_client, "_PATIENCE", 1.0)
    nowhere = params.compute.model_copy(update={"scheduler": "tcp://127.0.0.1:9"})
    with pytest.raises(ClusterError, match=r"compute\.scheduler: .*tcp://127\.0\.0\.1:9"):
        run(params.model_copy(update={"compute": nowhere}), write_raw(tmp_path / "raw"), tmp_path)


def test_a_split_without_ink_is_named(tmp_path: Path, params: Params) -> None:
    with pytest.raises(FileNotFoundError, match=r"raw/train: no InkML or pictures; run `dvc repro download`"):
        run(with_params(params), tmp_path / "raw", tmp_path)


def test_packed_files_give_the_same_shards(tmp_path: Path, params: Params) -> None:
    raw = write_raw(tmp_path / "raw", train=60)
    (raw / "train" / "a" / "empty.inkml").write_text("")
    for number in (1, 4):
        picture = raw / "train" / "p" / f"{number}.png"
        picture.parent.mkdir(exist_ok=True)
        Image.fromarray(draw(ink(number).strokes, params.raster.settings)).save(picture)
        PictureLabel(latex=f"x+{number}").write(label_path(picture))
    label_path(raw / "train" / "p" / "gone.png").write_text('{"latex": "x"}')
    settings = with_params(params, shard_rows=25, max_rejected=0.5)
    run(settings, raw, tmp_path / "single")
    for split in SPLITS:
        pack_files(raw / split, LABEL, 8)
    assert len(list((raw / "train").iterdir())) > 3
    run(settings, raw, tmp_path / "packed")
    assert contents(tmp_path / "packed") == contents(tmp_path / "single")
    assert (tmp_path / "packed" / "rejected.csv").read_text().count("\n") == 3


STAGE = """
    import sys
    from pathlib import Path
    from components.config import Params
    from components.data import rasterize as library
    from components.stages import rasterize
    {before}
    params = Params.model_validate_json(sys.argv[1])
    rasterize.run(params, Path("raw"), Path("shards"), Path("rasterize.json"), Path("rejected.csv"))
"""


def command(params: Params, before: str) -> list[str]:
    code = textwrap.dedent(STAGE).format(before=textwrap.dedent(before))
    return [sys.executable, "-c", code, params.model_dump_json(by_alias=True)]


def test_killed_in_the_middle_then_again_is_as_if_never_killed(tmp_path: Path, params: Params) -> None:
    write_raw(tmp_path / "raw")
    settings = with_params(params, shard_rows=3)
    slowly = "import time; merge = library.write_table\n"
    slowly += "library.write_table = lambda *of: (merge(*of), time.sleep(60))"
    process = subprocess.Popen(command(settings, slowly), cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 120
    while not (tmp_path / ".shards.part" / "train" / "part-00000.parquet").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "shards").exists()

    run(settings, tmp_path / "raw", tmp_path)
    run(settings, tmp_path / "raw", tmp_path / "never_killed")
    assert contents(tmp_path / "shards") == contents(tmp_path / "never_killed" / "shards")
    assert not (tmp_path / ".shards.part").exists()


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, params: Params) -> None:
    write_raw(tmp_path / "raw")
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"  # of any file, bytes
    done = subprocess.run(
        command(with_params(params), full), cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True
    )
    assert done.returncode == 1
    assert b"OSError" in done.stderr
    assert b"File too large" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]


@pytest.mark.parametrize(
    ("truth", "token"),
    [
        *[("x", "x"), (r"\leq", r"\le"), ("$<$", "<"), (r"\lt", "<"), ("'", r"\prime"), (r"\sqrt", r"\sqrt")],
        *[(r"\frac", r"\frac"), ("{", "{"), (r"\{", r"\{"), (r"\sin", "sin")],
    ],
)
def test_a_symbol_is_called_what_labels_call_it(truth: str, token: str) -> None:
    assert symbol_token(truth) == token


def test_a_copy_of_an_ink_has_its_hash_wherever_it_stands() -> None:
    strokes = ink(1).strokes
    assert ink_hash([stroke + np.float32([64, -32]) for stroke in strokes]) == ink_hash(strokes)
    assert ink_hash(ink(2).strokes) != ink_hash(strokes)
    assert ink_hash([np.concatenate(strokes)]) != ink_hash(strokes), "the pen was not lifted"


@pytest.mark.no_cover  # ten thousand files take twice as long with it
@pytest.mark.slow
@pytest.mark.nightly
def test_of_crohme_only_what_has_a_fault_is_rejected(tmp_path: Path, params: Params) -> None:
    archive = SHARED / "crohme.tar.xz"
    if not archive.exists():
        pytest.skip(f"{archive} is not here")
    unpack(archive, tmp_path / "all", lambda path: path.suffix == ".inkml")
    (tmp_path / "raw").mkdir()
    for split, folder in zip(SPLITS, ("train2014", "test2013", "test2014"), strict=True):
        (tmp_path / "all" / "crohme" / folder).rename(tmp_path / "raw" / split)
    run(with_params(params, workers=0), tmp_path / "raw", tmp_path)
    with (tmp_path / "rejected.csv").open(newline="") as file:
        listed = {f"{row['split']}/{row['file']}": row["reason"] for row in csv.DictReader(file)}
    assert listed.pop("train/MfrDB/MfrDB3088.inkml") == "the file is empty"
    # Their only label is MathML.
    assert not {f"valid/{name}.inkml" for name in ("rit_4295_2", "rit_4295_3", "ritm_426_0")} & set(listed)
    assert not [name for name in listed if name.startswith("train/")]
    assert len(listed) <= 4, listed  # labels that no LaTeX parser takes
