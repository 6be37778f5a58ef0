"""What collecting corrections promises: usable ones become InkML once and for all, the others are listed."""

from __future__ import annotations

import base64
import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from components.data.feedback_import import Collected, collect
from components.data.pictures import PictureLabel, picture_hash
from components.data.rows import ink_hash
from components.ink.correction import Correction
from components.ink.inkml import read_inkml
from components.ink.raster import RasterSettings
from components.recognizer.preprocessing import prepare_picture
from tests.pictures import photo, written

Strokes = list[list[list[float]]]


def strokes(number: int) -> Strokes:
    """An ink that no other number has."""
    return [[[0, 0], [8, 10]], [[8, 0], [0, 10.25 + number]], [[20, 5]]]


def correction(number: int, right: str = "x^{2}", **fields: object) -> dict[str, object]:
    return {
        "format": 1,
        "request_id": f"r{number}",
        "at": f"2026-11-24T08:00:{number:02}Z",
        "caller": "Ada's tablet",
        "model": "3",
        "read": "y",
        "right": right,
        "strokes": strokes(number),
    } | fields


def picture_correction(picture: np.ndarray, right: str = "x^2", **fields: object) -> dict[str, object]:
    """A correction of a picture as the service stores it: what the recognizer saw, as PNG."""
    png = base64.b64encode(cv2.imencode(".png", picture)[1].tobytes()).decode()
    return correction(1, right, strokes=None, picture=png) | fields


def prepared(number: int) -> np.ndarray:
    """A prepared photograph, which preparing would change once more."""
    data = cv2.imencode(".jpg", photo(written(number)))[1].tobytes()
    return prepare_picture(data, RasterSettings()).picture


class Project:
    """A folder with feedback, which is collected into corrections."""

    def __init__(self, folder: Path) -> None:
        self.feedback, self.target = folder / "feedback", folder / "corrections"
        self.report = folder / "reports" / "corrections.csv"

    def say(self, name: str, content: dict[str, object] | str | bytes) -> None:
        path = self.feedback / "2026-11-24" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content) if isinstance(content, dict) else content
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def collect(self) -> Collected:
        return collect(self.feedback, self.target, self.report)

    def reasons(self) -> dict[str, str]:
        with self.report.open(newline="") as stream:
            return {Path(row["file"]).stem: row["reason"] for row in csv.DictReader(stream)}

    def contents(self) -> dict[str, tuple[bytes, int]]:
        """Each file, and when it was written."""
        return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in self.target.iterdir()}

    def labels(self) -> list[str | None]:
        return sorted(read_inkml(path).label or "" for path in self.target.glob("*.inkml"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_correction_becomes_an_ink_with_its_label_time_and_no_name(project: Project) -> None:
    project.say("a", correction(1, r"x \leq 1"))
    collected = project.collect()
    assert (collected.files, collected.written, collected.skipped) == (1, 1, ())
    [path] = project.target.iterdir()
    ink = read_inkml(path)
    assert ink.label == r"x\le1"
    for read, given in zip(ink.strokes, strokes(1), strict=True):
        np.testing.assert_array_equal(read, np.float32(given))
    assert path.stem == ink_hash(ink.strokes)[:32]
    text = path.read_text()
    assert '<annotation type="correctedAt">2026-11-24T08:00:01+00:00</annotation>' in text
    assert ink.writer is not None
    assert ink.writer.startswith("user-")
    assert "Ada" not in text
    assert project.reasons() == {}


def test_what_the_service_writes_is_read(project: Project) -> None:
    said = Correction(
        request_id="r", at=datetime.now(UTC), caller="c", model="3", read="y", right="x",
        strokes=[[(0, 0), (1.5, 2)]],
    )  # fmt: skip
    project.say("a", said.model_dump_json(exclude_none=True))
    assert project.collect().written == 1


def test_again_changes_nothing_and_writes_nothing_anew(project: Project) -> None:
    for number in range(3):
        project.say(f"{number}", correction(number))
    project.say("broken", "{")
    project.collect()
    before, report = project.contents(), project.report.read_bytes()
    collected = project.collect()
    assert (collected.written, collected.kept, len(collected.skipped)) == (0, 3, 1)
    assert (project.contents(), project.report.read_bytes()) == (before, report)


def test_the_files_do_not_depend_on_when_they_were_collected(tmp_path: Path) -> None:
    at_once, one_by_one = Project(tmp_path / "a"), Project(tmp_path / "b")
    for number in range(3):
        at_once.say(f"{number}", correction(number))
        one_by_one.say(f"{number}", correction(number))
        one_by_one.collect()
    at_once.collect()
    same = [{name: data for name, (data, _) in p.contents().items()} for p in (at_once, one_by_one)]
    assert same[0] == same[1]


def test_what_disappears_from_the_feedback_stays(project: Project) -> None:
    project.say("a", correction(1))
    project.collect()
    before = project.contents()
    (project.feedback / "2026-11-24" / "a.json").unlink()
    assert project.collect().files == 0
    assert project.contents() == before


def test_what_can_not_be_used_is_listed_with_its_reason_and_the_rest_is_taken(project: Project) -> None:
    unusable: dict[str, tuple[dict[str, object] | str | bytes, str]] = {
        "bomb": ("[" * 100_000, "not a correction: Invalid JSON: recursion limit"),
        "bytes": (b'{"format": "\xff"}', "not a correction: Invalid JSON"),
        "early": (correction(1, at="0001-01-01T00:00:00+14:00"), "is no time in UTC"),
        "empty": ("", "not a correction: Invalid JSON: EOF"),
        "field": (correction(1, colour="red"), "not a correction: colour: Extra inputs"),
        "future": (correction(1, format=2), "not a correction: format: Input should be 1"),
        "half": (json.dumps(correction(1))[:100], "not a correction: Invalid JSON"),
        "huge": (correction(1, strokes=[[[1e39, 0]]]), "a coordinate is not a finite number"),
        "label": (correction(1, r"x^{2"), "}"),
        "nan": (correction(1, strokes=[[[float("nan"), 0]]]), "a coordinate is not a finite number"),
        "no_ink": (correction(1, strokes=[[], []]), "there is no trace with a point"),
        "no_point": (correction(1, strokes=[[[1]]]), "not a correction: strokes.0.0"),
        "neither": (correction(1, strokes=None), "either strokes or a picture"),
        "picture": (correction(1, strokes=None, picture="iVBORw0="), "not a picture in a supported format"),
        "blank": (picture_correction(np.full((30, 40), 255, np.uint8)), "nothing is written on the picture"),
        "unknown": (correction(1, r"\unheard"), "unheard"),
    }
    for name, (content, _) in unusable.items():
        project.say(name, content)
    project.say("good", correction(1))
    project.say(".good.json.1234.part", correction(2))  # the service is writing it
    collected = project.collect()
    assert project.labels() == ["x^{2}"]
    assert (collected.files, collected.written) == (len(unusable) + 1, 1)
    assert sorted(project.reasons()) == sorted(unusable)
    for name, reason in project.reasons().items():
        assert unusable[name][1] in reason


def test_of_the_same_correction_sent_twice_the_first_is_taken(project: Project) -> None:
    moved = [[[x + 64, y] for x, y in stroke] for stroke in strokes(1)]
    project.say("later", correction(1, at="2026-11-25T00:00:00Z"))
    project.say("moved", correction(1, strokes=moved, at="2026-11-25T00:00:00Z"))
    project.say("first", correction(1, "$x^2$"))
    assert project.collect().written == 1
    assert project.reasons() == dict.fromkeys(("later", "moved"), "it says the same as 2026-11-24/first.json")


def test_points_that_the_reader_drops_do_not_make_another_ink(project: Project) -> None:
    twice = [[point for point in stroke for _ in range(2)] for stroke in strokes(1)]
    project.say("a", correction(1))
    project.say("b", correction(1, strokes=twice))
    assert project.collect().written == 1


def test_of_corrections_that_contradict_each_other_none_is_taken(project: Project) -> None:
    project.say("a", correction(1, "x"))
    project.say("b", correction(1, "y", caller="Bob"))
    project.say("c", correction(2))
    collected = project.collect()
    assert (collected.written, project.labels()) == (1, ["x^{2}"])
    assert project.reasons() == {
        "a": "2026-11-24/b.json says otherwise of the same ink",
        "b": "2026-11-24/a.json says otherwise of the same ink",
    }


def test_what_was_collected_is_set_aside_once_it_is_contradicted(project: Project) -> None:
    project.say("a", correction(1, "x"))
    project.collect()
    project.say("b", correction(1, "y", caller="Bob"))
    assert project.collect().set_aside == 1
    assert project.labels() == []
    [aside] = project.target.iterdir()
    assert aside.suffix == ".contradicted"
    before = project.contents()
    assert (project.collect().set_aside, project.contents()) == (0, before)


def test_who_corrects_a_correction_replaces_what_was_collected(project: Project) -> None:
    project.say("a", correction(1, "x"))
    project.collect()
    project.say("a", correction(1, "y"))
    assert project.collect().written == 1
    assert (project.labels(), project.reasons()) == (["y"], {})


def test_nobody_replaces_what_somebody_else_said(project: Project) -> None:
    project.say("a", correction(1, "x"))
    project.collect()
    project.say("a", correction(1, "y", caller="Bob"))
    for _ in range(2):
        project.collect()
        assert project.labels() == ["x"]
        assert "contradicts what somebody else said before" in project.reasons()["a"]


def test_a_collected_file_that_was_broken_is_written_anew(project: Project) -> None:
    project.say("a", correction(1))
    project.collect()
    before = {name: data for name, (data, _) in project.contents().items()}
    next(project.target.iterdir()).write_text("<ink")
    assert project.collect().written == 1
    assert {name: data for name, (data, _) in project.contents().items()} == before


def test_before_anybody_corrected_there_is_nothing_to_collect(project: Project) -> None:
    assert str(project.collect()) == (
        "0 files: 0 inks and pictures written, 0 there already, 0 set aside, 0 files skipped"
    )
    assert project.report.read_text() == "file,reason\n"


def test_a_correction_of_a_picture_becomes_the_picture_and_its_label(project: Project) -> None:
    picture = prepared(1)
    project.say("a", picture_correction(picture, r"x \leq 1"))
    assert (project.collect().written, project.reasons()) == (1, {})
    name = picture_hash(picture)[:32]
    assert set(project.contents()) == {f"{name}.png", f"{name}.png.json"}
    kept = cv2.imread(str(project.target / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(kept, picture)
    label = PictureLabel.read(project.target / f"{name}.png.json")
    assert (label.latex, label.prepared) == (r"x\le1", True)
    assert label.corrected_at == datetime(2026, 11, 24, 8, 0, 1, tzinfo=UTC)
    assert label.writer is not None and label.writer.startswith("user-")
    before = project.contents()
    assert (project.collect().kept, project.contents()) == (1, before)


def test_corrections_of_a_picture_replace_or_contradict_each_other_as_of_ink(
    project: Project,
) -> None:
    picture = prepared(1)
    project.say("a", picture_correction(picture, "x"))
    project.collect()
    project.say("a", picture_correction(picture, "y"))
    assert project.collect().written == 1
    [path] = project.target.glob("*.json")
    assert PictureLabel.read(path).latex == "y"
    project.say("b", picture_correction(picture, "z", caller="Bob"))
    assert (project.collect().set_aside, list(project.target.glob("*.json"))) == (1, [])
    assert project.reasons()["b"] == "2026-11-24/a.json says otherwise of the same picture"


def test_a_collected_picture_that_was_broken_is_written_anew(project: Project) -> None:
    project.say("a", picture_correction(prepared(1)))
    project.collect()
    before = {name: data for name, (data, _) in project.contents().items()}
    next(project.target.glob("*.png")).write_bytes(b"broken")
    assert project.collect().written == 1
    assert {name: data for name, (data, _) in project.contents().items()} == before
