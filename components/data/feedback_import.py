"""Users' corrections become data to learn from: the service's FEEDBACK_FOLDER → data/corrections.

An ink becomes *.inkml, a picture *.png with its label in *.png.json. Run again, it changes nothing: an ink or
a picture is there once, named by the hash of its strokes or pixels. What has disappeared from the
FEEDBACK_FOLDER stays. What is not taken is listed with its reason in reports/corrections.csv.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from lxml import etree
from pydantic import ValidationError

from components.data.correction_filter import CORRECTED_AT
from components.data.pictures import LABEL, PictureLabel, label_path, picture_hash
from components.data.rows import ink_hash
from components.files import atomic_write, write_csv
from components.ink.correction import Correction
from components.ink.ink import Ink, Stroke
from components.ink.inkml import MAX_BYTES, NAMESPACE, parse_inkml, read_inkml, write_inkml
from components.ink.raster import Picture
from components.latex.normalizer import normalize
from components.recognizer.preprocessing import BlankPictureError, open_grey
from components.records import RecordStore

REPORT = Path("reports/corrections.csv")
SET_ASIDE = ".contradicted"  # the suffix of what was collected before somebody contradicted

_NAME = 32  # hexadecimal digits
_MAX_PIXELS = 1 << 20  # of a prepared picture, more than any settings allow
_INK = 128  # grey; what is darker is written


@dataclass(frozen=True)
class Skip:
    """A correction that is not taken."""

    file: str  # relative to the FEEDBACK_FOLDER
    reason: str


@dataclass(frozen=True)
class Collected:
    """What became of the corrections in the FEEDBACK_FOLDER."""

    files: int
    written: int  # inks and pictures that are new, or whose writer has changed their mind
    kept: int  # those that were there already
    set_aside: int  # those that were there and are contradicted now
    skipped: tuple[Skip, ...]

    def __str__(self) -> str:
        return (
            f"{self.files:,} files: {self.written:,} inks and pictures written, {self.kept:,} there already, "
            f"{self.set_aside:,} set aside, {len(self.skipped):,} files skipped"
        )


@dataclass(frozen=True, eq=False)
class _Said:
    """A correction that can be used."""

    file: str
    at: datetime  # UTC
    name: str  # the hash of what was corrected
    label: str  # normalized
    writer: str  # no name
    strokes: tuple[Stroke, ...] | None  # None: a picture,
    png: bytes | None  # whose file this is

    def path(self, folder: Path) -> Path:
        """Where it is collected: the InkML file, or the picture's label."""
        return folder / f"{self.name}.inkml" if self.png is None else label_path(folder / f"{self.name}.png")


def collect(feedback: Path | str, target: Path, report: Path = REPORT) -> Collected:
    """Writes the corrections in `feedback`, a folder or an address, into `target`; none where it is missing.

    Each file is there whole or not at all; one that is right already is not touched. Raises OSError where
    nothing can be read or written.
    """
    store = RecordStore(feedback)
    files = store.files(".json")
    by_path: dict[Path, list[_Said]] = defaultdict(list)
    large = [file.name for file in files if file.size > MAX_BYTES]
    skipped = [Skip(name, f"the file is larger than {MAX_BYTES >> 20} MiB") for name in large]
    for file, content in store.read([file.name for file in files if file.size <= MAX_BYTES]):
        if isinstance(content, OSError):
            skipped.append(Skip(file, content.strerror or str(content)))
            continue
        try:
            said = _said(content, file)
        except ValueError as error:
            skipped.append(Skip(file, str(error)))
        else:
            by_path[said.path(target)].append(said)
    written = kept = set_aside = 0
    for path, corrections in sorted(by_path.items()):
        corrections.sort(key=lambda said: (said.at, said.file))
        if faults := _contradictions(corrections):
            skipped += faults
            if path.exists():
                path.replace(path.with_suffix(SET_ASIDE))
                set_aside += 1
            continue
        first, *others = corrections
        skipped += [Skip(other.file, f"it says the same as {first.file}") for other in others]
        there = _collected(path)
        if there is not None and there.latex == first.label:
            kept += 1
        elif there is None or there.writer in {said.writer for said in corrections}:
            _write(first, path)
            written += 1
        else:
            skipped.append(Skip(first.file, f"it contradicts what somebody else said before: {path.name}"))
    skipped.sort(key=lambda skip: skip.file)
    write_csv(("file", "reason"), [(skip.file, skip.reason) for skip in skipped], report)
    return Collected(len(files), written, kept, set_aside, tuple(skipped))


def _said(content: bytes, file: str) -> _Said:
    """Reads one file. Raises ValueError, whose message is the reason, where it can't be used."""
    try:
        correction = Correction.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, fault["loc"]))
        raise ValueError(f"not a correction: {field + ': ' if field else ''}{fault['msg']}") from None
    if (correction.strokes is None) == (correction.picture is None):
        raise ValueError("not a correction: it needs either strokes or a picture")
    try:
        at = (correction.at if correction.at.tzinfo else correction.at.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"not a correction: at: {correction.at} is no time in UTC") from None
    label, writer = normalize(correction.right), _pseudonym(correction.caller)
    if correction.strokes is not None:
        strokes = _strokes(correction.strokes)
        return _Said(file, at, ink_hash(strokes)[:_NAME], label, writer, strokes, None)
    assert correction.picture is not None
    picture, png = _picture(correction.picture)
    return _Said(file, at, picture_hash(picture)[:_NAME], label, writer, None, png)


def _picture(data: bytes) -> tuple[Picture, bytes]:
    """The prepared picture, and the file that holds it. Raises PictureError and ValueError."""
    picture = open_grey(data, _MAX_PIXELS)
    if not (picture < _INK).any():
        raise BlankPictureError("nothing is written on the picture")
    return picture, cv2.imencode(".png", picture)[1].tobytes()


def _strokes(strokes: Sequence[Sequence[tuple[float, float]]]) -> tuple[Stroke, ...]:
    """The strokes as a reader of the InkML will find them, so that their hash is the same then."""
    with np.errstate(over="ignore"):  # of float32; the reader sees it
        arrays = tuple(np.array(stroke, np.float64).reshape(-1, 2).astype(np.float32) for stroke in strokes)
    document = BytesIO()
    write_inkml(Ink("", arrays), document)
    return parse_inkml(document.getvalue(), "").strokes


def _pseudonym(caller: str) -> str:
    """The same for the same name; the name can't be read in it, though who has a guess can check it."""
    return f"user-{hashlib.sha256(caller.encode()).hexdigest()[:12]}"


def _contradictions(corrections: Sequence[_Said]) -> list[Skip]:
    """All corrections of one ink where they do not agree: nobody knows which of them is right."""
    if len({said.label for said in corrections}) == 1:
        return []
    return [
        Skip(said.file, f"{other.file} says otherwise of the same {'ink' if said.png is None else 'picture'}")
        for said in corrections
        for other in [next(other for other in corrections if other.label != said.label)]
    ]


def _collected(path: Path) -> PictureLabel | None:
    """What was collected before, its label normalized; None where there is nothing that can be read."""
    try:
        if path.suffix == ".inkml":
            ink = read_inkml(path)
            return PictureLabel(latex=normalize(ink.label or ""), writer=ink.writer)
        there = PictureLabel.read(path)
        open_grey(path.with_name(path.name.removesuffix(LABEL)).read_bytes(), _MAX_PIXELS)
        return there.model_copy(update={"latex": normalize(there.latex)})
    except (ValueError, FileNotFoundError):  # of the ink, the picture or the label
        return None


def _write(said: _Said, path: Path) -> None:
    """Writes the ink or the picture, and when it was corrected: past data.max_corrections the newest are
    taken."""
    if said.png is not None:
        with atomic_write(path.with_name(path.name.removesuffix(LABEL))) as beside:
            beside.write_bytes(said.png)
        at = said.at.replace(microsecond=0)
        PictureLabel(latex=said.label, writer=said.writer, corrected_at=at, prepared=True).write(path)
        return
    assert said.strokes is not None
    document = BytesIO()
    write_inkml(Ink(said.name, said.strokes, said.label, said.writer), document)
    root = etree.fromstring(document.getvalue())
    annotation = etree.Element(f"{{{NAMESPACE}}}annotation", {"type": CORRECTED_AT})
    annotation.text = said.at.isoformat(timespec="seconds")
    root.insert(1, annotation)
    etree.indent(root)
    with atomic_write(path) as beside:
        beside.write_bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))
