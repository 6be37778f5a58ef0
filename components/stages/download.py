"""Stage `download`: the data set that params.yaml names, as files in data/raw/{train,valid,test}/.

Wherever they come from, InkML and pictures lie in data/raw as their source has them, subfolders and all, each
picture with its label beside it; other files are left out. Of more than 20,000 in a split ZIP archives are
made (packed_files.py). data/raw is there whole or not at all. Archives from the network are kept in
data/downloads/.

Users' corrections come to train, in its folder `corrections`, as far as they give nothing of valid or test
away and are not too many.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import track

from components.config import ArchiveParams, DataParams, FolderParams, ParamsError, Splits, load_params
from components.data.archive import ArchiveError, check, fetch, unpack
from components.data.packed_files import PACK_ABOVE, pack_files
from components.data.picture_folder import Entry, LabelsError, read_splits
from components.data.pictures import LABEL, PictureLabel, label_path
from components.data.shards import CORRECTIONS, SPLITS
from components.files import atomic_folder
from components.ink.raster import RasterSettings

RAW = Path("data/raw")
DOWNLOADS = Path("data/downloads")

Folders = Mapping[str, Sequence[Path]]  # by split
Put = Callable[[Path, Path], object]  # copies or moves a file
T = TypeVar("T")


class SourceError(ValueError):
    """The source does not match params.yaml; the message names the field."""


def download(
    data: DataParams,
    raster: RasterSettings,
    seed: int,
    raw: Path,
    downloads: Path,
    pack_above: int = PACK_ABOVE,
) -> dict[str, int]:
    """Replace `raw`; returns the number of inks and pictures of each split. Where they are more than
    `pack_above`, they are packed.

    `raster` says what a picture looks like to the recognizer: by that, corrections of pictures are compared
    with valid and test. Raises SourceError and OSError.
    """
    with atomic_folder(raw) as part:
        if data.source == "synthetic":
            _write_synthetic(data, seed, part)
        elif data.source == "pictures":
            _add_pictures(data, seed, part)
            empty = [split for split in SPLITS if not _count(part / split)]
            if empty:
                raise SourceError(f"data.pictures: {data.pictures.folder} has none for {', '.join(empty)}")
        elif data.source == "folder":
            _place(_own_folders(data.folder), data.limit, part, shutil.copyfile)
        else:
            _add_archive(data, data.source, part, downloads)
            empty = [split for split in SPLITS if not _count(part / split)]
            if empty:
                raise SourceError(f"data.{data.source}.splits: {', '.join(empty)} names no folder")
        for name in data.also:
            beside = part / f".{name}"
            if name == "pictures":
                _add_pictures(data, seed, beside)
            else:
                _add_archive(data, name, beside, downloads)
            for split in SPLITS:
                if (beside / split).is_dir():
                    if (part / split / name).exists():
                        raise SourceError(f"data.also: the source's {split} split has its own folder {name}")
                    (part / split).mkdir(exist_ok=True)
                    (beside / split).rename(part / split / name)
            shutil.rmtree(beside)
        if data.corrections is not None:
            _add_corrections(data, raster, data.corrections, part)
        counts = {split: _count(part / split) for split in SPLITS}
        for split, count in counts.items():
            if count > pack_above:
                print(f"packing {count:,} files of {split}", flush=True)
                pack_files(part / split, LABEL)
    return counts


def _write_synthetic(data: DataParams, seed: int, part: Path) -> None:
    from components.synthesis.handwriting import write_split, writer_processes  # imports matplotlib

    p = data.synthetic
    with writer_processes() as processes:
        for split, count in (("train", p.train), ("valid", p.valid), ("test", p.test)):
            count = min(count, data.limit) if data.limit else count
            print(f"writing {count:,} synthetic inks for {split}", flush=True)
            write_split(
                part / split,
                split,
                count,
                processes,
                seed=seed,
                max_tokens=p.max_tokens,
                writers=p.writers,
                repeats=p.repeats,
            )


def _add_pictures(data: DataParams, seed: int, part: Path) -> None:
    """Place the pictures of each split, each with its label beside it. Raises SourceError."""
    try:
        splits = read_splits(data.pictures.folder, seed, data.pictures.valid, data.pictures.test)
    except LabelsError as error:
        raise SourceError(f"data.pictures: {error}") from None
    counts = ", ".join(f"{split} {len(splits.entries[split]):,}" for split in SPLITS)
    print(f"pictures: {splits.told}: {counts}", flush=True)
    jobs = [
        (folder, entry, part / split / entry.file)
        for split in SPLITS
        for folder, entry in _spread(splits.entries[split], data.limit)
    ]
    for folder, entry, target in track(jobs, "placing pictures", console=Console(stderr=True)):
        _place_picture(folder / entry.file, entry, target)


def _place_picture(picture: Path, entry: Entry, target: Path) -> None:
    """Copy a picture and write its label; where there is no such picture, `rasterize` says so."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if picture.is_file():
        shutil.copyfile(picture, target)
    PictureLabel(latex=entry.latex, writer=entry.writer).write(label_path(target))


def _add_archive(data: DataParams, name: str, part: Path, downloads: Path) -> None:
    """Fills `part` from the archive of this name. Raises SourceError, which names the field."""
    try:
        _from_archive(data.archive_of(name), data.limit, part, downloads)
    except (ArchiveError, SourceError) as error:
        raise SourceError(f"data.{name}: {error}") from None


def _from_archive(source: ArchiveParams, limit: int, part: Path, downloads: Path) -> None:
    """Place the files of a folder, a local archive or a downloaded archive."""
    _check_disjoint(source.splits)
    archive = _archive(source, downloads)
    if archive.is_dir():
        _place(_folders(source.splits, archive), limit, part, shutil.copyfile)
        return
    unpacked = part / "unpacked"
    unpack(archive, unpacked, _is_inkml)
    _place(_folders(source.splits, unpacked), limit, part, Path.rename)
    shutil.rmtree(unpacked)


def _archive(source: ArchiveParams, downloads: Path) -> Path:
    """The archive or folder on this machine, downloaded if necessary, and verified."""
    if source.archive is not None:
        if not source.archive.exists():
            raise SourceError(f"archive: {source.archive} does not exist; name a .zip, .tar.* or folder")
        if source.archive.is_file():
            check(source.archive, source.bytes, source.sha256)
        return source.archive
    if source.url is None:
        raise SourceError("archive, url: set one of them, to a local archive or an address to download")
    target = downloads / (PurePosixPath(urlsplit(source.url).path).name or "archive")
    fetch(source.url, target, bytes=source.bytes, sha256=source.sha256)
    return target


def _check_disjoint(splits: Splits) -> None:
    """Refuse a folder of one split inside another split's: training files would be in the test set."""
    folders = [(split, PurePosixPath(folder)) for split in SPLITS for folder in getattr(splits, split)]
    for i, (split, folder) in enumerate(folders):
        if folder.is_absolute() or ".." in folder.parts:
            raise SourceError(f"splits.{split}: {folder} is not a folder of the archive")
        for other, inner in folders[:i] + folders[i + 1 :]:
            if inner.is_relative_to(folder):
                raise SourceError(f"splits.{other}: {inner} lies in {folder}, which is a folder of {split}")


def _folders(splits: Splits, root: Path) -> Folders:
    """The existing folders of each split."""
    for split in SPLITS:
        for folder in getattr(splits, split):
            if next(_inkml(root / folder), None) is None:
                there = sorted({path.parent.relative_to(root).as_posix() for path in _inkml(root)})
                raise SourceError(
                    f"splits.{split}: no InkML in {folder}; found in: {', '.join(there[:10]) or 'no folder'}"
                )
    return {split: [root / folder for folder in getattr(splits, split)] for split in SPLITS}


def _own_folders(source: FolderParams) -> Folders:
    folders: dict[str, list[Path]] = {}
    for split in SPLITS:
        folder: Path = getattr(source, split)
        if next(_inkml(folder), None) is None:
            fault = "has no InkML" if folder.is_dir() else "is not there"
            raise SourceError(
                f"data.folder.{split}: {folder} {fault}; put *.inkml files into it, or name another folder "
                "(data/README.md says what they need)"
            )
        folders[split] = [folder]
    return folders


def _place(folders: Folders, limit: int, part: Path, put: Put) -> None:
    """Place each split's InkML: the same files for the same source and limit."""
    jobs = [
        (path, part / split / relative)
        for split in SPLITS
        for relative, path in _spread(sorted(_named(folders[split])), limit)
    ]
    for path, target in track(jobs, "placing InkML", console=Console(stderr=True)):
        target.parent.mkdir(parents=True, exist_ok=True)
        put(path, target)


def _named(folders: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Each file by its target name: below its folder's name if a split has several."""
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names):
        raise SourceError(f"splits: two folders of one split have the same name: {', '.join(names)}")
    for folder in folders:
        root = folder if len(folders) == 1 else folder.parent
        for path in _inkml(folder):
            yield path.relative_to(root).with_suffix(".inkml").as_posix(), path


def _spread(files: Sequence[T], limit: int) -> Sequence[T]:
    """At most `limit` of the files (0: all), evenly spaced."""
    if not 0 < limit < len(files):
        return files
    return [files[i * len(files) // limit] for i in range(limit)]


def _add_corrections(data: DataParams, raster: RasterSettings, folder: Path, part: Path) -> None:
    """Add corrections to the train split of `part`."""
    if not folder.is_dir():
        raise SourceError(f"data.corrections: {folder} does not exist; create it, or set it to null")
    target = part / "train" / CORRECTIONS
    if target.exists():
        raise SourceError(f"data.corrections: the source's train split has its own folder {CORRECTIONS}")
    found = sorted(_labelled(folder))
    if not found:
        return
    from components.data.correction_filter import admitted  # imports Dask

    asked = [path for split in ("valid", "test") for path in _labelled(part / split)]
    chosen = admitted(found, asked, _count(part / "train"), data, raster)
    for path in chosen:
        place = target / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        if _is_inkml(path):
            shutil.copyfile(path, place.with_suffix(".inkml"))
            continue
        shutil.copyfile(path, place)
        picture = path.with_name(path.name.removesuffix(LABEL))
        if picture.is_file():  # else `rasterize` says so
            shutil.copyfile(picture, place.with_name(picture.name))
    print(f"corrections: {len(chosen):,} added to train", flush=True)


def _count(folder: Path) -> int:
    return sum(1 for _ in _labelled(folder))


def _labelled(folder: Path) -> Iterator[Path]:
    """The InkML files in a folder, and the labels of pictures."""
    return (path for path in folder.rglob("*") if (_is_inkml(path) or _is_label(path)) and path.is_file())


def _is_label(path: Path) -> bool:
    return path.name.endswith(LABEL) and not path.name.startswith(".")


def _inkml(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if _is_inkml(path) and path.is_file())


def _is_inkml(path: Path | PurePosixPath) -> bool:
    return path.suffix.lower() == ".inkml" and not path.name.startswith(".")  # "._x": what macOS adds


def main() -> None:
    """Run the stage with params.yaml."""
    try:
        params = load_params()
        counts = download(params.data, params.raster.settings, params.seed, RAW, DOWNLOADS)
    except (ParamsError, SourceError) as error:
        sys.exit(f"download: {error}")
    except OSError as error:
        sys.exit(f"download: {error.filename or RAW}: {error.strerror}")
    of_splits = ", ".join(f"{split} {count:,}" for split, count in counts.items())
    print(f"{RAW}: {of_splits} inks and pictures")


if __name__ == "__main__":
    main()
