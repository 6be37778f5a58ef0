"""Pictures of strokes become the strokes."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from components.ink.ink import Stroke
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


def dense(strokes: tuple[Stroke, ...]) -> Stroke:
    """Points of strokes, four a pixel."""
    return np.concatenate(
        [
            np.linspace(a, b, int(4 * np.hypot(*(b - a))) + 2)
            for stroke in strokes
            for a, b in pairwise(stroke)
        ]
    )


@pytest.mark.parametrize(
    "lines",
    [
        [[(4, 4), (20, 36), (36, 4)], [(12, 20), (28, 20)]],  # a turned A, whose bar ends at its legs
        [[(4, 20), (36, 20)], [(20, 4), (20, 36)]],
        [[(8, 4), (8, 36)], [(8, 20), (13, 20)]],  # a short stroke from another one
        [[(6, 6), (34, 6), (34, 34), (6, 34), (6, 6)]],
    ],
)
def test_a_drawn_skeleton_gives_its_strokes_within_a_pixel(lines: list[list[tuple[int, int]]]) -> None:
    picture = np.zeros((42, 42), np.uint8)
    for points in lines:
        cv2.polylines(picture, [np.array(points, np.int32)], False, 255, 1)
    drawn_there = dense(tuple(np.array(points, np.float32) for points in lines))
    traced = dense(trace(picture > 0))
    skeleton = np.argwhere(thin(picture > 0))[:, ::-1]
    assert apart(traced, drawn_there) <= 1.0, "nothing is traced where nothing was drawn"
    assert apart(skeleton, traced) <= 1.0, "the whole skeleton is traced"


def apart(points: np.ndarray, others: np.ndarray) -> float:
    """How far from the nearest of the others a point is, at most."""
    return float(np.linalg.norm(points[:, None] - others[None], axis=2).min(axis=1).max())


def test_a_stroke_between_two_others_is_one_stroke_that_touches_both() -> None:
    strokes = trace(drawn([(4, 4), (4, 36)], [(34, 4), (34, 36)], [(4, 20), (34, 20)]))
    bar = min(strokes, key=lambda stroke: np.ptp(stroke[:, 1]))
    assert len(strokes) == 3 and np.ptp(bar[:, 0]) > 28


def test_a_ring_is_traced_around() -> None:
    picture = np.zeros((40, 40), np.uint8)
    cv2.circle(picture, (20, 20), 12, 255, 4)
    longest = max(trace(picture > 0), key=len)
    assert np.ptp(longest[:, 0]) > 20 and np.ptp(longest[:, 1]) > 20


def test_a_dot_is_a_stroke_too() -> None:
    mask = np.zeros((10, 10), bool)
    mask[4:6, 4:6] = True
    assert len(trace(mask)) == 1
