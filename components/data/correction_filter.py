"""Select the user corrections to train on: none that leaks valid or test, and a bounded number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lxml import etree

from components.config import DataParams
from components.data.labels import label_of
from components.data.rasterize import ink_hash
from components.ink.inkml import read_inkml
from components.latex.normalizer import LabelError

CORRECTED_AT = "correctedAt"  # annotation with the time (ISO 8601); the newest are taken

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class _Known:
    """What must not be in both train and valid or test: an ink's normalized label, and its strokes' hash.

    None where the file has none that can be used: `rasterize` lists it, and stops where such files are many.
    """

    path: Path
    label: str | None
    hash: str | None


def admitted(
    corrections: Sequence[Path], asked: Iterable[Path], train: int, data: DataParams
) -> tuple[Path, ...]:
    """The InkML files of `corrections` to add to a train split of `train` inks, the newest first.

    `asked` are the InkML files of valid and test. Prints how many are left out, and why. Raises OSError where
    a file goes while it is read.
    """
    found = [_known(path) for path in corrections]
    known = [_known(path) for path in asked]
    # People write a formula twice; the splits of the grammar share none, which `validate` checks.
    labels = {ink.label for ink in known if data.source == "synthetic"} - {None}
    hashes = {ink.hash for ink in known} - {None}
    new = [ink for ink in found if ink.hash not in hashes]
    _tell(len(found) - len(new), "the same ink is in valid or test")
    allowed = [ink for ink in new if ink.label not in labels]
    _tell(len(new) - len(allowed), "their label is in valid or test")
    most = int(data.max_corrections * train / (1 - data.max_corrections) + 1e-9)
    newest = sorted(allowed, key=lambda ink: (_corrected_at(ink), ink.path), reverse=True)[:most]
    limit = f"data.max_corrections ({data.max_corrections:.1%} of train)"
    _tell(len(allowed) - len(newest), f"more than {limit}; the newest are taken")
    return tuple(ink.path for ink in newest)


def _tell(count: int, reason: str) -> None:
    if count:
        print(f"corrections: {count:,} left out, {reason}", flush=True)


def _known(path: Path) -> _Known:
    try:
        ink = read_inkml(path)
    except (ValueError, OSError):
        return _Known(path, None, None)
    try:
        label = label_of(ink)
    except LabelError:
        label = None
    return _Known(path, label, ink_hash(ink.strokes))


def _corrected_at(ink: _Known) -> datetime:
    """The time of the correction in the file; the distant past without one."""
    if ink.hash is None:
        return _LONG_AGO
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, recover=True)
    for annotation in etree.fromstring(ink.path.read_bytes(), parser).iterchildren("{*}annotation"):
        if annotation.get("type") == CORRECTED_AT:
            try:
                at = datetime.fromisoformat((annotation.text or "").strip())
            except ValueError:
                return _LONG_AGO
            return at if at.tzinfo else at.replace(tzinfo=UTC)
    return _LONG_AGO
