from pathlib import Path

import pytest

from components.data.packed_files import pack_files, packed_files, unpack_files
from tests.shared import contents


def write(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"what {name} holds")
    return folder


NAMES = [f"{'ab'[number % 2]}/{number:03d}.inkml" for number in range(100)]


def test_what_is_packed_comes_out_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "folder", NAMES)
    before = contents(folder)
    pack_files(folder, ".json", 8)
    archives = sorted(path.name for path in folder.iterdir())
    assert len(archives) > 3 and all(name.endswith(".zip") for name in archives)
    assert packed_files(folder).keys() == before.keys()
    some = NAMES[10:90:7]
    unpack_files(folder, archives, [*some, "a/which is not there"], tmp_path / "some")
    assert contents(tmp_path / "some") == {name: before[name] for name in some}


def test_the_same_files_give_the_same_archives_and_a_new_one_changes_one(tmp_path: Path) -> None:
    packed = []
    for number, names in enumerate((NAMES, NAMES[::-1], [*NAMES, "a/007 b.inkml"])):
        folder = write(tmp_path / str(number), names)
        pack_files(folder, ".json", 8)
        packed.append(contents(folder))
    assert packed[0] == packed[1]
    assert len(set(packed[2].values()) - set(packed[0].values())) == 1


def test_a_picture_and_its_label_lie_together(tmp_path: Path) -> None:
    names = [f"{number}.jpg{suffix}" for number in range(60) for suffix in ("", "-b.png", ".json")]
    folder = write(tmp_path, names)
    pack_files(folder, ".json", 4)
    held = packed_files(folder)
    assert all(held[f"{number}.jpg"] == held[f"{number}.jpg.json"] for number in range(60))


def test_a_broken_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "packed-00000.zip").write_text("cut off")
    with pytest.raises(OSError, match=r"broken .*dvc repro --force download.*packed-00000\.zip"):
        packed_files(tmp_path)
