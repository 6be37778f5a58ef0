"""What the stage `download` promises: the source's InkML, split by split, whole or not at all."""

from __future__ import annotations

import functools
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
from collections.abc import Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config import DataParams, Params, merged
from components.data.packed_files import packed_files
from components.data.shards import SPLITS as THREE
from components.data.shards import read_table
from components.ink.inkml import read_inkml
from components.ink.raster import RasterSettings
from components.stages import rasterize
from components.stages.download import SourceError, download, main
from tests.inks import write_ink
from tests.shared import contents

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"

FILES = {
    "set/a/one.inkml": "1",
    "set/a/deep/two.INKML": "2",
    "set/a/._one.inkml": "what macOS adds",
    "set/a/readme.txt": "no ink",
    "set/b/one.inkml": "3",
    "set/v/x.inkml": "4",
    "set/t/y.inkml": "5",
    "set/other/z.inkml": "of no split",
}
PLACED = {"train/a/one.inkml", "train/a/deep/two.inkml", "train/b/one.inkml", "valid/x.inkml", "test/y.inkml"}
SPLITS = {"train": ["set/a", "set/b"], "valid": ["set/v"], "test": ["set/t"]}


def params(source: str, limit: int = 0, **section: object) -> DataParams:
    base = yaml.safe_load((ROOT / "params.yaml").read_text())["data"]
    here = {"source": source, "limit": limit, "corrections": None, source: section}
    return DataParams.model_validate(merged(base, here))


def local(archive: Path | None, splits: Mapping[str, object] = SPLITS, **more: object) -> dict[str, Any]:
    return {"archive": archive, "url": None, "bytes": None, "sha256": None, "splits": splits} | more


def run(data: DataParams, folder: Path) -> dict[str, int]:
    return download(data, RasterSettings(), 7, folder / "data" / "raw", folder / "data" / "downloads")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def archive(source: Path, tmp_path: Path) -> Path:
    path = tmp_path / "set.tgz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(source / "set", "set")
    return path


def test_archive_gives_the_ink_of_its_splits_and_nothing_else(archive: Path, tmp_path: Path) -> None:
    assert run(params("crohme", **local(archive)), tmp_path) == {"train": 3, "valid": 1, "test": 1}
    raw = contents(tmp_path / "data" / "raw")
    assert set(raw) == PLACED
    assert (raw["train/a/one.inkml"], raw["train/b/one.inkml"]) == (b"1", b"3")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["raw"]


def test_of_many_files_archives_are_made(archive: Path, tmp_path: Path) -> None:
    raw = tmp_path / "data" / "raw"
    data = params("crohme", **local(archive))
    counts = download(data, RasterSettings(), 7, raw, tmp_path / "data" / "downloads", pack_above=1)
    assert counts == {"train": 3, "valid": 1, "test": 1}
    packed = {"train/packed-00000.zip", "valid/x.inkml", "test/y.inkml"}
    assert set(contents(raw)) == packed
    assert {f"train/{name}" for name in packed_files(raw / "train")} | packed >= PLACED


def test_further_archives_add_their_splits_and_may_lack_some(archive: Path, tmp_path: Path) -> None:
    more = local(archive, {"train": ["set/other"], "valid": ["set/b"], "test": []})
    data = params("crohme", **local(archive))
    base = data.model_dump(by_alias=True) | {"also": ["mathwriting-excerpt"], "mathwriting-excerpt": more}
    counts = run(DataParams.model_validate(base), tmp_path)
    assert counts == {"train": 4, "valid": 2, "test": 1}
    added = {"train/mathwriting-excerpt/z.inkml", "valid/mathwriting-excerpt/one.inkml"}
    assert set(contents(tmp_path / "data" / "raw")) == PLACED | added


def test_a_source_without_a_split_is_refused(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"data\.crohme\.splits: test names no folder"):
        run(params("crohme", **local(archive, SPLITS | {"test": []})), tmp_path)


def test_folder_of_the_same_gives_the_same_and_stays_as_it_is(source: Path, tmp_path: Path) -> None:
    run(params("crohme", **local(source)), tmp_path)
    assert set(contents(tmp_path / "data" / "raw")) == PLACED
    assert set(contents(source)) == set(FILES)


def test_archive_from_the_network_is_fetched_once(archive: Path, tmp_path: Path) -> None:
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/set.tgz?from=here"
        data = params("mathwriting-excerpt", **local(None, url=url, bytes=archive.stat().st_size))
        run(data, tmp_path)
        server.shutdown()
        thread.join()
    assert [path.name for path in (tmp_path / "data" / "downloads").iterdir()] == ["set.tgz"]
    shutil.rmtree(tmp_path / "data" / "raw")
    run(data, tmp_path)  # with no server
    assert set(contents(tmp_path / "data" / "raw")) == PLACED


def test_own_ink(source: Path, tmp_path: Path) -> None:
    folders = {"train": source / "set/a", "valid": source / "set/v", "test": source / "set/t"}
    run(params("folder", **folders), tmp_path)
    raw = contents(tmp_path / "data" / "raw")
    assert set(raw) == {"train/one.inkml", "train/deep/two.inkml", "valid/x.inkml", "test/y.inkml"}


def test_limit_takes_files_from_all_over_the_source_and_always_the_same(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        (tmp_path / split).mkdir()
        for number in range(100):
            (tmp_path / split / f"{number:02}.inkml").touch()
    for limit, expected in ((4, ["00", "25", "50", "75"]), (100, 100), (200, 100)):
        run(params("folder", limit, **{s: tmp_path / s for s in ("train", "valid", "test")}), tmp_path)
        taken = [Path(name).stem for name in contents(tmp_path / "data" / "raw" / "test")]
        assert expected in (taken, len(taken))


def test_what_the_source_lacks_is_told_by_the_field_and_what_there_was_stays(
    archive: Path, source: Path, tmp_path: Path
) -> None:
    run(params("crohme", **local(archive)), tmp_path)
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken.tgz"
    broken.write_bytes(archive.read_bytes()[:100])
    folders = {"train": source / "set/a", "valid": source / "set/v", "test": source / "set/t"}
    faults: dict[str, DataParams] = {
        r"data\.crohme: archive: .*nowhere\.zip does not exist": params(
            "crohme", **local(tmp_path / "nowhere.zip")
        ),
        r"data\.mathwriting: archive, url: ": params("mathwriting", **local(None)),
        r"data\.crohme: .*set\.tgz has [\d,]+ bytes, expected 5": params("crohme", **local(archive, bytes=5)),
        r"data\.crohme: .*broken\.tgz: can't be read as tar": params("crohme", **local(broken)),
        r"data\.crohme: splits\.test: no InkML in set/x; found in: set/a, set/a/deep, set/b": (
            params("crohme", **local(archive, SPLITS | {"test": ["set/x"]}))
        ),
        r"data\.crohme: splits\.test: set/a/deep lies in set/a, which is a folder of train": params(
            "crohme", **local(archive, SPLITS | {"test": ["set/a/deep"]})
        ),
        r"data\.crohme: splits\.test: \.\./x is not a folder of the archive": params(
            "crohme", **local(archive, SPLITS | {"test": ["../x"]})
        ),
        r"data\.crohme: splits: two folders of one split have the same name: a, a": params(
            "crohme", **local(source, SPLITS | {"train": ["set/a", "a"]})
        ),
        r"data\.folder\.valid: .*nowhere is not there; put \*\.inkml": params(
            "folder", **(folders | {"valid": tmp_path / "nowhere"})
        ),
        r"data\.folder\.test: .*empty has no InkML": params(
            "folder", **(folders | {"test": tmp_path / "empty"})
        ),
    }
    (source / "a").mkdir()
    (source / "a" / "one.inkml").touch()
    for reason, data in faults.items():
        with pytest.raises(SourceError, match=reason):
            run(data, tmp_path)
        assert set(contents(tmp_path / "data" / "raw")) == PLACED
        assert [path.name for path in (tmp_path / "data").iterdir()] == ["raw"]


def test_killed_in_the_middle_then_again_is_as_if_never_killed(archive: Path, tmp_path: Path) -> None:
    code = """
        import sys, time
        from pathlib import Path
        from components.stages import download
        from components.config import DataParams
        from components.ink.raster import RasterSettings
        place = Path.rename
        def slowly(path, target):
            place(path, target)
            time.sleep(0.5)
        Path.rename = slowly
        data = DataParams.model_validate_json(sys.argv[1])
        download.download(data, RasterSettings(), 7, Path("data/raw"), Path("data/downloads"))
    """
    data = params("crohme", **local(archive))
    command = [sys.executable, "-c", textwrap.dedent(code), data.model_dump_json(by_alias=True)]
    process = subprocess.Popen(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "data" / ".raw.part" / "train" / "a").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "data" / "raw").exists()
    run(data, tmp_path)
    assert set(contents(tmp_path / "data" / "raw")) == PLACED
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["raw"]


@pytest.mark.slow
def test_synthetic_ink_needs_no_network(tmp_path: Path) -> None:
    data = params("synthetic", limit=3, writers=9, max_tokens=6)
    assert run(data, tmp_path) == {"train": 3, "valid": 3, "test": 3}
    assert all(read_inkml(path).label for path in (tmp_path / "data" / "raw").rglob("*.inkml"))


def test_stage_says_where_the_ink_is_or_what_is_wrong(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"download: params\.yaml: No such file"):
        main()
    shutil.copytree(ROOT / "presets", "presets")
    text = yaml.safe_load((ROOT / "params.yaml").read_text())
    text["data"]["source"] = "folder"
    Path("params.yaml").write_text(yaml.safe_dump(text))
    with pytest.raises(SystemExit, match=r"download: data\.folder\.train: data/ink/train is not there"):
        main()
    shutil.copytree(source / "set" / "a", "data/ink/train")
    shutil.copytree(source / "set" / "v", "data/ink/valid")
    shutil.copytree(source / "set" / "t", "data/ink/test")
    Path("data/corrections").mkdir()
    main()
    assert capsys.readouterr().out == "data/raw: train 2, valid 1, test 1 inks and pictures\n"


@pytest.mark.no_cover  # ten thousand files take twice as long with it
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "archive", "counts"),
    [
        ("crohme", "crohme.tar.xz", {"train": 8836, "valid": 671, "test": 986}),
        ("mathwriting-excerpt", "mathwriting-2024-excerpt.tgz", {"train": 200, "valid": 100, "test": 100}),
    ],
)
def test_real_archive_gives_every_file_of_its_splits(
    tmp_path: Path, name: str, archive: str, counts: dict[str, int]
) -> None:
    if not (SHARED / archive).exists():
        pytest.skip(f"the real data are not here: {SHARED / archive}")
    assert run(params(name, archive=SHARED / archive), tmp_path) == counts


def own_ink(folder: Path, train: int = 40, max_corrections: float = 0.2) -> DataParams:
    """A source of so many inks in train and two in the others, to which `folder`/corrections comes."""
    for split, count, first in (("train", train, 0), ("valid", 2, 1000), ("test", 2, 2000)):
        for number in range(count):
            write_ink(folder / "ink" / split / f"{number}.inkml", first + number)
    (folder / "corrections").mkdir()
    data = params("folder", **{split: folder / "ink" / split for split in THREE})
    update = {"corrections": folder / "corrections", "max_corrections": max_corrections}
    return data.model_copy(update=update)


def corrected(folder: Path) -> set[str]:
    return set(contents(folder / "data" / "raw" / "train" / "corrections"))


def test_corrections_come_to_train_whatever_the_source(archive: Path, tmp_path: Path) -> None:
    write_ink(tmp_path / "corrections" / "a.inkml", 1)
    write_ink(tmp_path / "corrections" / "deep" / "b.inkml", 2)
    (tmp_path / "corrections" / "README.md").write_text("no ink")
    (tmp_path / "corrections" / "c.contradicted").write_text("set aside")
    update = {"corrections": tmp_path / "corrections", "max_corrections": 0.5}
    counts = run(params("crohme", **local(archive)).model_copy(update=update), tmp_path)
    assert counts == {"train": 5, "valid": 1, "test": 1}
    assert corrected(tmp_path) == {"a.inkml", "deep/b.inkml"}
    assert set(contents(tmp_path / "corrections")) > corrected(tmp_path), "they stay where they are"


def test_without_corrections_the_data_are_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = own_ink(tmp_path)
    (tmp_path / "corrections" / "README.md").write_text("no ink")
    run(data.model_copy(update={"corrections": None}), tmp_path)
    before = contents(tmp_path / "data" / "raw")
    run(data, tmp_path)
    assert contents(tmp_path / "data" / "raw") == before
    assert capsys.readouterr().out == ""


def test_corrections_give_nothing_of_valid_and_test_away_and_are_a_part_of_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = own_ink(tmp_path, max_corrections=0.03)
    for name, number in (("old", 1), ("new", 2), ("valid", 1001), ("test", 2001)):
        at = "2026-11-24" if name == "new" else None
        write_ink(tmp_path / "corrections" / f"{name}.inkml", number, "y", at)
    run(data, tmp_path)
    assert corrected(tmp_path) == {"new.inkml"}
    assert capsys.readouterr().out.splitlines() == [
        "corrections: 2 left out, the same ink or picture is in valid or test",
        "corrections: 1 left out, more than data.max_corrections (3.0% of train); the newest are taken",
        "corrections: 1 added to train",
    ]


def test_corrections_that_can_not_be_placed_are_told_by_the_field(tmp_path: Path) -> None:
    data = own_ink(tmp_path)
    (tmp_path / "corrections").rmdir()
    with pytest.raises(SourceError, match=r"data\.corrections: .*corrections "):
        run(data, tmp_path)
    write_ink(tmp_path / "ink" / "train" / "corrections" / "a.inkml", 1)
    (tmp_path / "corrections").mkdir()
    with pytest.raises(SourceError, match=r"data\.corrections: .*corrections"):
        run(data, tmp_path)
    assert not (tmp_path / "data" / "raw").exists()


@pytest.mark.slow
def test_of_synthetic_ink_no_label_of_valid_or_test_is_learnt_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = params("synthetic", limit=12, writers=9, max_tokens=6)
    run(data, tmp_path)
    labels = {
        split: read_inkml(next((tmp_path / "data" / "raw" / split).iterdir())).label or "" for split in THREE
    }
    for number, (split, label) in enumerate(labels.items()):
        write_ink(tmp_path / "corrections" / f"{split}.inkml", number, f"$ {{{label}}} $")  # respelled
    write_ink(tmp_path / "corrections" / "no_label.inkml", 7, r"\frac")
    run(data.model_copy(update={"corrections": tmp_path / "corrections"}), tmp_path)
    assert corrected(tmp_path) == {"train.inkml", "no_label.inkml"}, "what is broken, `rasterize` tells"
    assert "corrections: 2 left out, their label is in valid or test" in capsys.readouterr().out


def rasterized(data: DataParams, params: Params, folder: Path) -> None:
    compute = params.compute.model_copy(update={"workers": 1})
    chosen = params.model_copy(update={"data": data, "compute": compute})
    reports = (folder / "rasterize.json", folder / "rejected.csv")
    rasterize.run(chosen, folder / "data" / "raw", folder / "data" / "shards", *reports)


POISON = {
    "half": "<ink",
    "label": '<ink><annotation type="truth">x^{2</annotation><trace>1 1, 2 2</trace></ink>',
    "nan": '<ink><annotation type="truth">x</annotation><trace>nan nan, 2 2</trace></ink>',
}


def test_poisoned_corrections_stop_the_pipeline_by_their_names(tmp_path: Path, params: Params) -> None:
    data = own_ink(tmp_path, train=97)
    for name, text in POISON.items():
        (tmp_path / "corrections" / f"{name}.inkml").write_text(text)
    assert run(data, tmp_path)["train"] == 100
    with pytest.raises(rasterize.RejectedError) as caught:
        rasterized(data, params, tmp_path)
    for part in (
        "3 of 100 files of train (3.0%) are unusable, more than data.max_rejected (2.0%) allows",
        "corrections/half.inkml: not well-formed XML",
        "corrections/label.inkml: ",
        "corrections/nan.inkml: a coordinate is not a finite number",
    ):
        assert part in str(caught.value)
    assert not (tmp_path / "data" / "shards").exists()


def test_good_corrections_get_into_the_shards_of_train(tmp_path: Path, params: Params) -> None:
    data = own_ink(tmp_path)
    for number in range(3):
        write_ink(tmp_path / "corrections" / f"{number}.inkml", 100 + number, r"y \leq 2")
    run(data, tmp_path)
    rasterized(data, params, tmp_path)
    rows = read_table(tmp_path / "data" / "shards" / "train").to_pylist()
    assert len(rows) == 43
    of_users = {row["id"]: row["latex"] for row in rows if row["id"].startswith("corrections/")}
    assert of_users == {f"corrections/{number}": r"y\le2" for number in range(3)}
    assert read_table(tmp_path / "data" / "shards" / "test").num_rows == 2
