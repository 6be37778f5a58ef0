"""Whatever shows a formula becomes the picture that the rasterizer draws of it."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.ink.ink import Ink
from components.ink.inkml import InkError, write_inkml
from components.ink.raster import Box, Picture, RasterSettings, bounds, draw, draw_in, frame_at
from components.recognizer.preprocessing import PictureError, open_grey, prepare, prepare_source
from tests.recognizer.inks import formula

SETTINGS = RasterSettings()
DRAWN = draw(formula(), SETTINGS)


def encoded(picture: np.ndarray | Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, format, **options)
    return buffer.getvalue()


def large(pen: float = 9.0) -> Picture:
    """The formula drawn about five times as large as it should be."""
    return draw_in(formula(), frame_at(*bounds(formula()), 8.0, 60), 60, pen)


def photograph() -> Picture:
    """The formula on grey paper, in light that falls off, blurred and noisy."""
    light = np.linspace(1.0, 0.6, large().shape[1])
    grey = cv2.GaussianBlur((60 + large() * 0.6) * light, (0, 0), 1.5)
    return np.clip(grey + np.random.default_rng(0).normal(0, 6, grey.shape), 0, 255).astype(np.uint8)


def assert_like_drawn(picture: Picture) -> None:
    assert picture.dtype == np.uint8
    assert np.abs(np.array(picture.shape) / DRAWN.shape - 1).max() < 0.15
    same_size = cv2.resize(picture, DRAWN.shape[::-1], interpolation=cv2.INTER_AREA)
    blurred = [cv2.GaussianBlur(p, (0, 0), 1).ravel() for p in (same_size, DRAWN)]
    assert np.corrcoef(blurred)[0, 1] > 0.8
    assert np.median(picture) == 255 and picture.min() < 64


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF", "PPM"])
def test_what_the_rasteriser_drew_is_left_as_it_is(format: str) -> None:
    np.testing.assert_array_equal(prepare(encoded(DRAWN, format), SETTINGS), DRAWN)


def test_a_picture_shrunk_to_the_largest_size_is_left_as_it_is() -> None:
    row = tuple(stroke + np.float32([50 * n, 0]) for n in range(12) for stroke in formula())
    drawn = draw(row, SETTINGS)
    assert drawn.shape[1] == SETTINGS.max_width
    np.testing.assert_array_equal(prepare(encoded(drawn), SETTINGS), drawn)


def test_a_single_dot_is_left_as_it_is() -> None:
    dot = draw([np.float32([[3, 4]])], SETTINGS)
    np.testing.assert_array_equal(prepare(encoded(dot), SETTINGS), dot)


def test_inkml_is_drawn() -> None:
    buffer = BytesIO()
    write_inkml(Ink("formula", formula()), buffer)
    np.testing.assert_array_equal(prepare(buffer.getvalue(), SETTINGS), DRAWN)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_inkml_is_known_by_its_first_character(encoding: str) -> None:
    buffer = BytesIO()
    write_inkml(Ink("formula", formula()), buffer)
    text = "\n" + buffer.getvalue().decode().partition("?>")[2]
    np.testing.assert_array_equal(prepare(text.encode(encoding), SETTINGS), DRAWN)


def test_ink_far_from_the_origin_is_drawn_and_found_where_it_is() -> None:
    traces = "".join(
        f"<trace>{','.join(f'{x + 1.7e9!r} {y - 1.7e9!r}' for x, y in stroke.tolist())}</trace>"
        for stroke in formula()
    )
    made = prepare_source(f"<ink>{traces}</ink>".encode(), SETTINGS)
    picture, where = made.picture, made.where
    assert np.abs(picture.astype(int) - DRAWN).mean() < 1
    points = np.concatenate(formula())
    left, top, *_ = where.back(ink_box(picture))
    assert abs(left - 1.7e9 - points[:, 0].min()) < np.ptp(points[:, 0]) / 20
    assert abs(top + 1.7e9 - points[:, 1].min()) < np.ptp(points[:, 1]) / 20


@pytest.mark.parametrize("times", [0.3, 1, 1.7, 7], ids=lambda times: f"{times} as large")
def test_ink_is_found_where_it_was_on_the_picture(times: float) -> None:
    photo = cv2.resize(photograph(), None, fx=times, fy=times, interpolation=cv2.INTER_AREA)
    made = prepare_source(encoded(photo), SETTINGS)
    picture, where = made.picture, made.where
    found = where.back(ink_box(picture))
    # Where it was shrunk and thickened, the pen has another width.
    np.testing.assert_allclose(found, np.array(ink_box(large())) * times, atol=2 / where.scale + 3 * times)


def ink_box(picture: Picture) -> Box:
    rows, columns = np.nonzero(picture < 128)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def turned() -> bytes:
    """Stored lying on its side, with the EXIF entry that says so, as a telephone does."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(np.rot90(large()), "JPEG", exif=exif)


def transparent(tone: int) -> bytes:
    return encoded(np.dstack([np.full((*large().shape, 3), tone, np.uint8), 255 - large()]))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: encoded(large()), id="large"),
        pytest.param(lambda: encoded(large(pen=3)), id="thin pen"),
        pytest.param(lambda: encoded(255 - large()), id="white on black"),
        pytest.param(lambda: encoded(photograph(), "JPEG"), id="photograph"),
        pytest.param(lambda: encoded(255 - photograph(), "JPEG"), id="blackboard"),
        pytest.param(turned, id="turned by EXIF"),
        pytest.param(lambda: transparent(0), id="black on transparent"),
        pytest.param(lambda: transparent(255), id="white on transparent"),
        pytest.param(lambda: encoded(large().astype(np.uint16) * 16), id="12 bits in 16"),
        pytest.param(lambda: encoded(Image.fromarray(large()).convert("1")), id="1 bit"),
        pytest.param(lambda: encoded(Image.fromarray(large()).convert("P"), "GIF"), id="palette"),
        pytest.param(lambda: encoded(Image.fromarray(large()).convert("CMYK"), "JPEG"), id="CMYK"),
        pytest.param(
            lambda: encoded(cv2.resize(large(pen=14), None, fx=0.14, fy=0.14, interpolation=cv2.INTER_AREA)),
            id="small",
        ),
    ],
)
def test_other_pictures_come_out_as_if_drawn(data: object) -> None:
    assert_like_drawn(prepare(data(), SETTINGS))  # type: ignore[operator]


def test_dust_is_wiped_off_but_dots_stay() -> None:
    dusty = large()
    clean = prepare(encoded(dusty), SETTINGS)
    dusty[5:7, 5:7] = 0
    wiped = prepare(encoded(dusty), SETTINGS)
    assert wiped.shape == clean.shape
    assert np.corrcoef(wiped.ravel(), clean.ravel())[0, 1] > 0.98
    dusty[20:30, 20:30] = 0  # as large as the pen
    assert prepare(encoded(dusty), SETTINGS).shape > clean.shape


def test_no_picture_is_larger_than_the_largest() -> None:
    long = np.hstack([large()] * 9)
    height, width = prepare(encoded(long), SETTINGS).shape
    assert height <= SETTINGS.max_height and SETTINGS.max_width - 8 <= width <= SETTINGS.max_width


@pytest.mark.parametrize("shape", [(2, 2), (1, 30000), (30000, 1), (400, 400)])
def test_a_picture_of_any_shape_gives_a_picture(shape: tuple[int, int]) -> None:
    picture = np.full(shape, 255, np.uint8)
    picture[: shape[0] // 3 + 1, : shape[1] // 3 + 1] = 0
    height, width = prepare(encoded(picture), SETTINGS).shape
    assert 0 < height <= SETTINGS.max_height and 0 < width <= SETTINGS.max_width


@given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"]), st.data())
@settings(deadline=None, max_examples=60)
@pytest.mark.filterwarnings("ignore")  # Pillow's, of broken files
def test_a_broken_file_gives_a_picture_or_the_reason(format: str, data: st.DataObject) -> None:
    content = bytearray(encoded(DRAWN, format))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = prepare(bytes(content[: data.draw(st.integers(0, len(content)))]), SETTINGS)
    except (PictureError, InkError):
        return
    assert picture.dtype == np.uint8 and picture.ndim == 2 and picture.size


def test_a_wide_drawing_on_a_transparent_ground_keeps_its_own_paper() -> None:
    """Rounded transparent corners are no ink."""
    alpha = np.full(large().shape, 255, np.uint8)
    alpha[:20, :20] = 0
    assert open_grey(encoded(np.dstack([large()] * 3 + [alpha]))).min(initial=255, where=alpha == 0) == 255


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "supported format"),
        (b"%PDF-1.7 and so on", "PDF"),
        (encoded(DRAWN)[:-60], "the picture is broken"),
        (encoded(photograph(), "JPEG")[:2000], "the picture is broken"),
        (encoded(np.full((50, 50), 250, np.uint8)), "nothing is written"),
        (encoded(Image.new("RGBA", (40, 40), (0, 0, 0, 0))), "nothing is written"),
        (encoded(Image.new("1", (9000, 8000))), "make it smaller"),
    ],
)
def test_what_shows_nothing_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(PictureError, match=reason):
        prepare(data, SETTINGS)


def test_xml_without_ink_is_refused() -> None:
    with pytest.raises(InkError):
        prepare(b"<html/>", SETTINGS)
    with pytest.raises(PictureError, match="SVG"):
        prepare("<svg xmlns='http://www.w3.org/2000/svg'/>".encode("utf-16"), SETTINGS)
