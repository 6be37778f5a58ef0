"""Sheets, ruled lines and frames are told from ink, and nothing is taken from a formula."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from components.ink.raster import Picture
from components.recognizer.blots import erase_blots
from components.recognizer.ruling import find_lines
from components.recognizer.sheet import find_sheet

NOWHERE = (False, False, False, False)


def written(kind: str) -> Picture:
    """Something with long strokes of a pen, black on white."""
    page = np.full((300, 800), 255, np.uint8)
    strokes = {
        "fraction": [((120, 150), (680, 150)), ((380, 60), (420, 110)), ((380, 200), (420, 250))],
        "overline": [((100, 60), (700, 60)), ((150, 100), (180, 220)), ((600, 100), (630, 220))],
        "root": [((80, 200), (120, 260)), ((120, 260), (170, 60)), ((170, 60), (720, 60))],
        "equals": [((300, 130), (500, 130)), ((300, 170), (500, 170))],
    }
    for start, end in strokes[kind]:
        cv2.line(page, start, end, 0, 7, cv2.LINE_AA)
    return page


KINDS = ["fraction", "overline", "root", "equals"]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_taken_from_a_formula(kind: str) -> None:
    page = written(kind)
    assert find_lines(page) == [] and find_lines(page.T) == []
    assert find_sheet(cv2.resize(page, (320, 120), interpolation=cv2.INTER_AREA)) is None
    np.testing.assert_array_equal(erase_blots(page, NOWHERE), page)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("upright", [False, True])
def test_ruled_lines_are_found_where_they_are(kind: str, upright: bool) -> None:
    page = written(kind)
    drawn = [30, 90, 210, 270]
    for row in drawn:
        cv2.line(page, (0, row), (800, row), 170, 2)
    found = find_lines(np.ascontiguousarray(page.T).T if upright else page)
    middles = [float(line.at(np.array([400.0]))[0]) for line in found]
    for row in drawn:
        assert min(abs(middle - row) for middle in middles) < 2.5


def test_a_sheet_on_a_dark_ground_is_found() -> None:
    scene = np.full((240, 320), 50, np.uint8)
    scene[40:200, 50:270] = 235
    cv2.putText(scene, "x+y", (100, 140), cv2.FONT_HERSHEY_SIMPLEX, 1.5, 20, 3)
    hull = find_sheet(scene)
    assert hull is not None
    np.testing.assert_allclose([*hull.min(axis=0), *hull.max(axis=0)], [50, 40, 269, 199], atol=4)


def test_a_frame_around_what_is_written_goes_and_an_empty_box_stays() -> None:
    page = written("equals")
    framed = page.copy()
    cv2.rectangle(framed, (20, 20), (780, 280), 0, 4)
    cleaned = erase_blots(framed, NOWHERE)
    assert (cleaned[:100] == 255).all() and (cleaned[120:180] < 128).sum() == (page[120:180] < 128).sum()
    empty = np.full_like(page, 255)
    cv2.rectangle(empty, (20, 20), (780, 280), 0, 4)
    np.testing.assert_array_equal(erase_blots(empty, NOWHERE), empty)


def test_white_paper_passes_unchanged_at_any_size() -> None:
    for shape in [(1, 1), (20, 3000), (1400, 1400)]:
        page = np.full(shape, 255, np.uint8)
        assert find_lines(page) == []
        np.testing.assert_array_equal(erase_blots(page, NOWHERE), page)
