"""Files and folders are written atomically: the old content or the new, whatever happens in between."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from components.files import (
    atomic_folder,
    atomic_write,
    replace_folder,
    write_csv,
    write_json,
    write_text,
)

ROOT = Path(__file__).parents[1]
NOBODY = 65534  # a user without rights


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


class HaltError(Exception):
    pass


def test_a_file_appears_under_its_name_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deep" / "file.txt"
    with atomic_write(target) as temporary:
        temporary.write_text("new")
        assert temporary.parent == target.parent, "else the rename would not be atomic"
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(target.parent) == ["file.txt"]


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("concurrent", [False, True])
def test_an_error_in_the_middle_leaves_the_old_file_alone(
    tmp_path: Path, durable: bool, concurrent: bool
) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with (
        pytest.raises(HaltError),
        atomic_write(target, durable=durable, concurrent=concurrent) as temporary,
    ):
        temporary.write_text("half")
        raise HaltError
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_block_that_writes_nothing_is_an_error_and_leaves_the_old_file(tmp_path: Path) -> None:
    write_text("old", tmp_path / "file.txt")
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "file.txt"):
        pass
    assert (tmp_path / "file.txt").read_text() == "old"


def test_a_durable_file_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[bool] = []
    target = tmp_path / "file.txt"
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(target.exists()))
    with atomic_write(target) as temporary:
        temporary.write_text("quick")
    assert flushed == []
    target.unlink()
    with atomic_write(target, durable=True) as temporary:
        temporary.write_text("durable")
    assert flushed == [False]


def test_concurrent_writers_each_write_a_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    together = threading.Barrier(8)
    errors: list[Exception] = []

    def write(letter: str) -> None:
        try:
            with atomic_write(target, concurrent=True) as temporary:
                temporary.write_text(letter * 10_000)
                together.wait(30)  # all have written, none has renamed
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    content = target.read_text()
    assert len(content) == 10_000 and len(set(content)) == 1
    assert names(tmp_path) == ["file.txt"]


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder with a file, in which this process may not write, not even as root."""
    with TemporaryDirectory(dir="/tmp") as name:  # the folder of the tests is closed to all but their user
        folder = Path(name)
        write_text("old", folder / "file.txt")
        user = os.geteuid()
        folder.chmod(0o555)
        if user == 0:
            os.seteuid(NOBODY)
        yield folder
        os.seteuid(user)
        folder.chmod(0o755)


def test_without_permission_the_error_names_the_file_and_nothing_changes(closed: Path) -> None:
    with pytest.raises(PermissionError, match=r"file\.txt"):
        write_text("new", closed / "file.txt")
    with pytest.raises(PermissionError, match="folder"):
        _folder(closed / "folder", "new")
    assert names(closed) == ["file.txt"] and (closed / "file.txt").read_text() == "old"


def test_where_a_folder_should_be_lies_a_file_the_error_names_it(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("no folder")
    with pytest.raises(OSError, match="reports"):
        write_text("new", tmp_path / "reports" / "metrics.json")
    assert (tmp_path / "reports").read_text() == "no folder"


def test_a_full_disk_is_an_error_and_leaves_the_old_file(tmp_path: Path) -> None:
    write_text("old", tmp_path / "file.txt")
    code = """
        import resource, sys
        from pathlib import Path
        from components.files import write_text
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # bytes of any file
        try:
            write_text("x" * 100_000, Path("file.txt"))
        except OSError as error:
            print(error.strerror)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "File too large\n"
    assert names(tmp_path) == ["file.txt"] and (tmp_path / "file.txt").read_text() == "old"


def test_a_folder_appears_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "shards"
    for content in ("first", "second"):
        with atomic_folder(target) as temporary:
            assert list(temporary.iterdir()) == []
            (temporary / content).touch()
        assert names(target) == [content]
    assert names(tmp_path) == ["deep", "deep/shards", "deep/shards/second"]


def test_an_error_in_the_middle_leaves_the_old_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "old").touch()
    with pytest.raises(HaltError), atomic_folder(tmp_path / "shards") as temporary:
        (temporary / "new").touch()
        raise HaltError
    assert names(tmp_path) == ["shards", "shards/old"]


def test_a_folder_is_replaced_whatever_a_killed_run_has_left_beside_it(tmp_path: Path) -> None:
    for left in (".shards.part", ".shards.old"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "half").touch()
    with atomic_folder(tmp_path / "shards") as temporary:
        (temporary / "new").touch()
    assert names(tmp_path) == ["shards", "shards/new"]


def test_replacing_a_folder_deletes_the_old_one_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, target = tmp_path / "new", tmp_path / "target"
    for folder in (new, target):
        folder.mkdir()
        (folder / folder.name).touch()
    rename = Path.rename

    def fail(path: Path, to: Path) -> Path:
        if path == new:
            raise HaltError
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(HaltError):
        replace_folder(new, target)
    monkeypatch.undo()
    assert (tmp_path / ".target.old" / "target").exists(), "the old content can still be had"
    assert (new / "new").exists()
    replace_folder(new, target)
    assert names(tmp_path) == ["target", "target/new"]


KILLED = {
    "file": """
        with atomic_write(Path("file")) as temporary:
            temporary.write_text("half")
            stop()
    """,
    "folder": """
        with atomic_folder(Path("folder")) as temporary:
            (temporary / "half").touch()
            stop()
    """,
    "table": """
        def rows():
            yield "half",
            stop()
        write_csv(("column",), rows(), Path("table"))
    """,
}
WRITERS: dict[str, Callable[[Path], None]] = {
    "file": lambda path: write_text("new", path),
    "folder": lambda path: _folder(path, "new"),
    "table": lambda path: write_csv(("column",), [("new",)], path),
}


def _folder(path: Path, content: str) -> None:
    with atomic_folder(path) as temporary:
        (temporary / content).touch()


@pytest.mark.parametrize("name", KILLED)
def test_killed_in_the_middle_then_again_is_as_if_never_killed(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    _folder(target, "old") if name == "folder" else write_text("old", target)
    code = """
        import os, signal
        from pathlib import Path
        from components.files import atomic_folder, atomic_write, write_csv
        def stop():
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code) + textwrap.dedent(KILLED[name])],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    assert names(target) == ["old"] if name == "folder" else target.read_text() == "old"
    assert (tmp_path / f".{name}.part").exists(), "it was killed in the middle"
    WRITERS[name](target)
    never_killed = tmp_path / "never_killed"
    WRITERS[name](never_killed)
    if name == "folder":
        assert names(target) == names(never_killed)
    else:
        assert target.read_bytes() == never_killed.read_bytes()
    assert not (tmp_path / f".{name}.part").exists()


def test_json_is_indented_keeps_letters_and_ends_in_a_line_break(tmp_path: Path) -> None:
    write_json({"name": "α", "n": 1}, tmp_path / "metrics.json")
    assert (tmp_path / "metrics.json").read_text(encoding="utf-8") == '{\n  "name": "α",\n  "n": 1\n}\n'


def test_what_json_can_not_hold_leaves_the_old_file(tmp_path: Path) -> None:
    write_json({"n": 1}, tmp_path / "metrics.json")
    with pytest.raises(TypeError):
        write_json({"n": object()}, tmp_path / "metrics.json")
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"n": 1}
    assert names(tmp_path) == ["metrics.json"]


def test_a_table_reads_back_as_it_was_written(tmp_path: Path) -> None:
    rows = [("a,b", 'say "x"', 1), ("α\nβ", "", math.inf)]
    write_csv(("text", "quoted", "number"), rows, tmp_path / "table.csv")
    assert b"\r" not in (tmp_path / "table.csv").read_bytes()
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [
            ["text", "quoted", "number"],
            *([str(value) for value in row] for row in rows),
        ]


def test_a_row_that_fails_leaves_the_old_table(tmp_path: Path) -> None:
    def rows() -> object:
        yield ("new",)
        raise HaltError

    write_csv(("column",), [("old",)], tmp_path / "table.csv")
    with pytest.raises(HaltError):
        write_csv(("column",), rows(), tmp_path / "table.csv")  # type: ignore[arg-type]
    assert (tmp_path / "table.csv").read_text() == "column\nold\n"
    assert names(tmp_path) == ["table.csv"]
