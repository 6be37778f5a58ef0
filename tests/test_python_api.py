"""The Python API: its doctests, and every kind of source."""

from __future__ import annotations

import doctest
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import handwritten_math
from handwritten_math import Recognizer
from handwritten_math import recognizer as module
from handwritten_math.recognizer import Source

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs/sample.png"


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer.load()


@pytest.mark.parametrize("documented", [handwritten_math, module], ids=["package", "module"])
def test_examples_run(documented: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = doctest.testmod(documented)  # type: ignore[arg-type]
    assert found.attempted and not found.failed


def test_a_picture_is_read_alike_in_every_form(recognizer: Recognizer) -> None:
    image = Image.open(PICTURE).convert("RGB")
    sources: list[Source] = [PICTURE, str(PICTURE), PICTURE.read_bytes(), image, np.asarray(image)]
    assert len({recognizer.read(source).latex for source in sources}) == 1


def test_strokes_come_back_with_their_ink(recognizer: Recognizer) -> None:
    prediction = recognizer.read([[(100, 100), (180, 200)], [(180, 100), (100, 200)]], explain=True, n_best=3)
    assert prediction.token_boxes and len(prediction.alternatives) == 2
    [box] = [each.box for each in prediction.token_boxes if each.box]
    assert box == pytest.approx((100, 100, 180, 200), abs=15)
    assert prediction.mathml.startswith("<math")


@pytest.mark.parametrize(
    "source",
    [b"no picture", [], [[]], np.full((40, 40), 255, np.uint8)],
    ids=["bytes", "none", "empty", "blank"],
)
def test_what_cannot_be_read_is_a_value_error(recognizer: Recognizer, source: Source) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        recognizer.read(source)


def test_function_names_can_be_spelt(recognizer: Recognizer) -> None:
    file = cv2.imencode(".png", cv2.imread(str(PICTURE)))[1].tobytes()
    named, spelt = recognizer.read(file), recognizer.read(file, function_names=False)
    assert named.confidence == spelt.confidence
