"""Pictures of strokes become the strokes."""

from __future__ import annotations

import cv2
import numpy as np

from components.synthesis.thinning import thin, trace


def drawn(*strokes: list[tuple[int, int]]) -> np.ndarray:
    picture = np.zeros((40, 40), np.uint8)
    for stroke in strokes:
        cv2.polylines(picture, [np.array(stroke, np.int32)], False, 255, 4)
    return picture > 0


def test_a_thick_line_becomes_one_stroke_from_end_to_end() -> None:
    (stroke,) = trace(drawn([(5, 20), (34, 20)]))
    assert abs(np.ptp(stroke[:, 0]) - 29) <= 5 and np.ptp(stroke[:, 1]) <= 2


def test_a_skeleton_is_thin_and_lies_in_the_mask() -> None:
    mask = drawn([(5, 5), (30, 30)], [(30, 5), (5, 30)])
    skeleton = thin(mask)
    assert skeleton.any() and not (skeleton & ~mask).any()
    assert skeleton.sum() < 0.5 * mask.sum()
    assert skeleton[:, 8].sum() <= 4, "two lines cross a column, each in a pixel or two"


def test_a_ring_is_traced_around() -> None:
    picture = np.zeros((40, 40), np.uint8)
    cv2.circle(picture, (20, 20), 12, 255, 4)
    longest = max(trace(picture > 0), key=len)
    assert np.ptp(longest[:, 0]) > 20 and np.ptp(longest[:, 1]) > 20


def test_a_dot_is_a_stroke_too() -> None:
    mask = np.zeros((10, 10), bool)
    mask[4:6, 4:6] = True
    assert len(trace(mask)) == 1
