"""The recognizer reads pictures in any company, and ink as it reads the picture of it."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from components.ink.raster import RasterSettings, draw
from components.latex.vocabulary import EOS, Vocabulary
from components.recognizer.bundle import BundleSettings, DecodingConfig
from components.recognizer.recognizer import Alternative, Recognizer
from components.recognizer.tensors import to_input
from tests.recognizer.engines import TableEngine
from tests.recognizer.inks import formula

VOCABULARY = Vocabulary.build([["\\pi", "r"]])
PI, R = VOCABULARY.encode(["\\pi", "r"])
SETTINGS = BundleSettings(raster=RasterSettings(), multiple=16, decoding=DecodingConfig(max_tokens=8))


@pytest.fixture
def recognizer() -> Recognizer:
    sure = {(): {PI: 0.5, R: 0.5 - 1e-9}, (PI,): {R: 1.0}, (PI, R): {EOS: 1.0}, (R,): {EOS: 0.5, PI: 0.5}}
    short = {(): {R: 1.0}, (R,): {EOS: 1.0}}
    return Recognizer(TableEngine([sure, short], len(VOCABULARY)), VOCABULARY, SETTINGS)


def picture(darkest: int, height: int, width: int) -> np.ndarray:
    result = np.full((height, width), 255, np.uint8)
    result[0, 0] = darkest
    return result


def test_a_reading_says_what_and_how_sure(recognizer: Recognizer) -> None:
    [reading] = recognizer.read([picture(0, 20, 20)], beam=2, n_best=2)
    assert (reading.latex, reading.tokens) == ("\\pi r", ("\\pi", "r"))
    assert reading.confidence == pytest.approx(0.5)
    [other] = reading.alternatives
    assert other == Alternative("r", pytest.approx(0.25))


def test_readings_come_in_the_order_of_the_pictures_and_sizes_do_not_mix(recognizer: Recognizer) -> None:
    pictures = [picture(n % 2, *size) for n, size in enumerate([(9, 9), (40, 9), (9, 30), (40, 9), (10, 16)])]
    together = recognizer.read(pictures)
    shapes = list(recognizer.engine.shapes)  # type: ignore[attr-defined]
    # Two cores take two batches each; the last one is the smallest picture alone.
    assert sorted(shapes) == [(1, 1, 16, 16), (1, 1, 16, 16), (1, 1, 16, 32), (2, 1, 48, 16)]
    assert [r.latex for r in together] == ["\\pi r", "r", "\\pi r", "r", "\\pi r"]
    assert together == [recognizer.read([p])[0] for p in pictures]


def test_several_beams_look_at_every_picture_in_the_sizes_that_the_bundle_names(
    recognizer: Recognizer,
) -> None:
    settings = SETTINGS.model_copy(update={"decoding": DecodingConfig(max_tokens=8, scales=(0.5, 2.0))})
    looking = Recognizer(recognizer.engine, VOCABULARY, settings)
    pictures = [np.full(size, n % 2, np.uint8) for n, size in enumerate([(40, 9), (9, 30), (40, 9), (9, 9)])]
    together = looking.read(pictures, beam=2)
    shapes = {shape[1:] for shape in looking.engine.shapes}  # type: ignore[attr-defined]
    assert shapes == {
        (1, a, b) for a, b in [(48, 16), (32, 16), (80, 32), (16, 32), (16, 16), (32, 64), (32, 32)]
    }
    assert together == [looking.read([p], beam=2)[0] for p in pictures]
    looking.engine.shapes.clear()  # type: ignore[attr-defined]
    looking.read(pictures[:1])
    assert looking.engine.shapes == [(1, 1, 48, 16)], "one beam looks once"  # type: ignore[attr-defined]


def test_small_pictures_are_padded_to_what_the_bundle_says(recognizer: Recognizer) -> None:
    how = DecodingConfig(max_tokens=8, scales=(2.0,), min_side=40)
    padding = Recognizer(recognizer.engine, VOCABULARY, SETTINGS.model_copy(update={"decoding": how}))
    padding.read([picture(0, 9, 9), picture(0, 60, 9)], beam=2)
    shapes = {shape[1:] for shape in padding.engine.shapes}  # type: ignore[attr-defined]
    assert shapes == {(1, 48, 48), (1, 64, 48), (1, 128, 48)}


def test_no_pictures_no_readings(recognizer: Recognizer) -> None:
    assert recognizer.read([]) == []


def test_ink_its_picture_and_its_file_give_the_network_the_same_input(recognizer: Recognizer) -> None:
    drawn = draw(formula(), SETTINGS.raster)
    seen: list[np.ndarray] = []
    encode = recognizer.engine.encode
    recognizer.engine.encode = lambda pictures, _: seen.append(pictures) or encode(pictures)  # type: ignore
    recognizer.read([drawn])
    recognizer.read_ink(formula())
    recognizer.read_file(cv2.imencode(".png", drawn)[1].tobytes())
    assert seen[0].tobytes() == seen[1].tobytes() == seen[2].tobytes()


def test_input_is_ink_on_zero_padded_with_paper() -> None:
    grey = np.full((3, 17), 255, np.uint8)
    grey[1, 2] = 51
    array = to_input(grey, 16)
    assert (array.dtype, array.shape) == (np.float32, (1, 16, 32))
    assert array[0, 1, 2] == pytest.approx(0.8) and array.sum() == pytest.approx(0.8)


def test_what_is_added_to_a_small_picture_is_paper() -> None:
    small = np.zeros((3, 17), np.uint8)
    array = to_input(small, 16, 40)
    assert array.shape == (1, 48, 48) and array.sum() == small.size == array[0, :3, :17].sum()


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4)), np.zeros((0, 4), np.uint8)]
)
def test_input_refuses_what_is_no_picture(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected a uint8 picture"):
        to_input(wrong, 16)


def test_confidence_is_a_probability(recognizer: Recognizer) -> None:
    [reading] = recognizer.read([picture(0, 20, 20)], beam=6, n_best=6)
    confidences = [reading.confidence, *(a.confidence for a in reading.alternatives)]
    assert confidences == sorted(confidences, reverse=True)
    assert math.fsum(confidences) <= 1 + 1e-6


@pytest.mark.parametrize("numbers", [{"beam": 0}, {"n_best": 0}])
def test_less_than_one_beam_or_reading_is_refused(recognizer: Recognizer, numbers: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        recognizer.read([picture(0, 20, 20)], **numbers)
