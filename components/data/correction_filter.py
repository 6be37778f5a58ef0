"""Select the user corrections to train on: none that leaks valid or test, and a bounded number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lxml import etree

from components.config import DataParams
from components.data.labels import label_of
from components.data.pictures import LABEL, PictureLabel, picture_hash, read_picture
from components.data.rows import ink_hash
from components.ink.inkml import read_inkml
from components.ink.raster import RasterSettings, draw
from components.latex.normalizer import LabelError, normalize

CORRECTED_AT = "correctedAt"  # annotation with the time (ISO 8601); the newest are taken

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class _Known:
    """What must not be in both train and valid or test: a normalized label, and the hashes of an ink's
    strokes and of its picture.

    Nothing where the file has none that can be used: `rasterize` lists it, and stops where they are many.
    """

    path: Path
    label: str | None = None
    hashes: frozenset[str] = frozenset()
    corrected_at: datetime = _LONG_AGO


def admitted(
    corrections: Sequence[Path], asked: Iterable[Path], train: int, data: DataParams, raster: RasterSettings
) -> tuple[Path, ...]:
    """The files of `corrections` to add to a train split of `train` inks and pictures, the newest first.

    Files are InkML, or the labels of pictures. `asked` are those of valid and test; `raster` says how inks
    are drawn and pictures prepared. Prints how many are left out, and why. Raises OSError where a file goes
    while it is read.
    """
    found = [_known(path, raster) for path in corrections]
    # An ink of valid or test may have been sent as a picture: what is drawn of it is known too.
    drawn = any(path.name.endswith(LABEL) for path in corrections)
    known = [_known(path, raster, drawn) for path in asked]
    # People write a formula twice; the splits of the grammar share none, which `validate` checks.
    labels = {ink.label for ink in known if data.source == "synthetic"} - {None}
    hashes = {hash for ink in known for hash in ink.hashes}
    new = [ink for ink in found if not ink.hashes & hashes]
    _tell(len(found) - len(new), "the same ink or picture is in valid or test")
    allowed = [ink for ink in new if ink.label not in labels]
    _tell(len(new) - len(allowed), "their label is in valid or test")
    most = int(data.max_corrections * train / (1 - data.max_corrections) + 1e-9)
    newest = sorted(allowed, key=lambda ink: (ink.corrected_at, ink.path), reverse=True)[:most]
    limit = f"data.max_corrections ({data.max_corrections:.1%} of train)"
    _tell(len(allowed) - len(newest), f"more than {limit}; the newest are taken")
    return tuple(ink.path for ink in newest)


def _tell(count: int, reason: str) -> None:
    if count:
        print(f"corrections: {count:,} left out, {reason}", flush=True)


def _known(path: Path, raster: RasterSettings, drawn: bool = False) -> _Known:
    """What is known of a file; with `drawn`, of an ink's drawing as well."""
    if path.name.endswith(LABEL):
        return _known_picture(path, raster)
    try:
        ink = read_inkml(path)
        hashes = {ink_hash(ink.strokes), *([picture_hash(draw(ink.strokes, raster))] if drawn else [])}
    except (ValueError, OSError):
        return _Known(path)
    try:
        label = label_of(ink)
    except LabelError:
        label = None
    return _Known(path, label, frozenset(hashes), _corrected_at(path))


def _known_picture(path: Path, raster: RasterSettings) -> _Known:
    try:
        label = PictureLabel.read(path)
        picture = read_picture(path.with_name(path.name.removesuffix(LABEL)), label.prepared, raster)
    except (ValueError, OSError):
        return _Known(path)
    try:
        latex = normalize(label.latex)
    except LabelError:
        latex = None
    at = label.corrected_at or _LONG_AGO
    return _Known(
        path, latex, frozenset([picture_hash(picture)]), at if at.tzinfo else at.replace(tzinfo=UTC)
    )


def _corrected_at(path: Path) -> datetime:
    """The time of the correction in an InkML file; the distant past without one."""
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, recover=True)
    for annotation in etree.fromstring(path.read_bytes(), parser).iterchildren("{*}annotation"):
        if annotation.get("type") == CORRECTED_AT:
            try:
                at = datetime.fromisoformat((annotation.text or "").strip())
            except ValueError:
                return _LONG_AGO
            return at if at.tzinfo else at.replace(tzinfo=UTC)
    return _LONG_AGO
