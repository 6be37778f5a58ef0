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

from components.ink.inkml import read_inkml
from components.params import DataParams, merged
from components.stages.download import SourceError, download, main

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
    return DataParams.model_validate(merged(base, {"source": source, "limit": limit, source: section}))


def local(archive: Path | None, splits: Mapping[str, object] = SPLITS, **more: object) -> dict[str, Any]:
    return {"archive": archive, "url": None, "bytes": None, "sha256": None, "splits": splits} | more


def run(data: DataParams, folder: Path) -> dict[str, int]:
    return download(data, 7, folder / "data" / "raw", folder / "data" / "downloads")


def contents(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


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
        r"data\.mathwriting: archive, url: neither is set": params("mathwriting", **local(None)),
        r"data\.crohme: .*set\.tgz has [\d,]+ bytes, expected 5": params("crohme", **local(archive, bytes=5)),
        r"data\.crohme: .*broken\.tgz: can't be read as tar": params("crohme", **local(broken)),
        r"data\.crohme: splits\.test: there is no InkML in set/x; there is in: set/a, set/a/deep, set/b": (
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
        from components.params import DataParams
        place = Path.rename
        def slowly(path, target):
            place(path, target)
            time.sleep(0.5)
        Path.rename = slowly
        data = DataParams.model_validate_json(sys.argv[1])
        download.download(data, 7, Path("data/raw"), Path("data/downloads"))
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
    main()
    assert capsys.readouterr().out == "data/raw: train 2, valid 1, test 1 InkML files\n"


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
