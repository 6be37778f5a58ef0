"""Any picture of a formula to the picture that the rasteriser would have drawn of it.

Photographs, scans, screenshots and drawings differ from training's pictures in paper, light, polarity and
size. Here the paper becomes white, the ink black, and the symbols as large as `RasterSettings` says. What the
rasteriser itself drew is left as it is, byte for byte.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from components.ink.inkml import parse_inkml
from components.ink.raster import (
    Picture,
    Placement,
    RasterSettings,
    draw_placed,
    limit_scale,
    median_extent,
)

MAX_PIXELS = 64_000_000  # a telephone's camera has 50 million
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")  # no format that runs other programs

_LARGE = 4096  # longest side in pixels that is looked at: the widest formula needs less
_LOOK = 512  # longest side in pixels of the picture that paper and light are looked at on
_FAINT = 25  # ink is at least so much darker than the paper, which is 255
_SNAP = 0.15  # sizes so near to the wanted one are left alone: resampling would only blur
_THIN = 2.0  # a thinner pen is thickened to this, pixels: training has none


class PictureError(ValueError):
    """The data are no picture that can be read; the message is the reason, without the file's name."""


class UnknownPictureError(PictureError):
    """The data are in no format of pictures that is known."""


class LargePictureError(PictureError):
    """The picture has more pixels than are taken."""


class BlankPictureError(PictureError):
    """Nothing is written on the picture."""


def prepare(data: bytes, settings: RasterSettings) -> Picture:
    """The picture to read: uint8 (height, width), 255 is paper, from a picture file's or InkML's bytes.

    Pictures: PNG, JPEG, WebP, TIFF, BMP, GIF (its first frame) or PNM, of any depth and mode, turned as their
    EXIF data say, with dark ink on light paper or light on dark, or ink on a transparent ground.
    Raises PictureError, and InkError for broken InkML.
    """
    return prepare_placed(data, settings)[0]


def prepare_placed(data: bytes, settings: RasterSettings) -> tuple[Picture, Placement]:
    """As `prepare`, with where in the ink, or on the upright picture that the data hold, the result lies."""
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return draw_placed(parse_inkml(data, "ink").strokes, settings)
    return prepare_picture_placed(data, settings)


def prepare_picture(data: bytes, settings: RasterSettings, max_pixels: int = MAX_PIXELS) -> Picture:
    """As `prepare`, for pictures alone. Raises PictureError."""
    return prepare_picture_placed(data, settings, max_pixels)[0]


def prepare_picture_placed(
    data: bytes, settings: RasterSettings, max_pixels: int = MAX_PIXELS
) -> tuple[Picture, Placement]:
    """As `prepare_placed`, for pictures alone. Raises PictureError."""
    return prepare_pixels(open_grey(data, max_pixels), settings)


def prepare_pixels(pixels: npt.NDArray[np.uint8], settings: RasterSettings) -> tuple[Picture, Placement]:
    """As `prepare_placed`, from pixels: (height, width), or (height, width, 3) with red first."""
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8) if pixels.ndim == 3 else pixels
    if _is_drawn(grey, settings):
        return grey, Placement(1, 0, 0)
    white = _whitened(grey)
    picture, where = _framed(white, settings)
    shrunk = max(white.shape) / max(grey.shape)
    return picture, Placement(where.scale * shrunk, where.left / shrunk, where.top / shrunk)


def open_grey(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decodes a picture file, upright, on its own paper where it has some. Raises PictureError."""
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise LargePictureError(
                    f"{image.width} × {image.height} pixels are more than {max_pixels:,}: make it smaller"
                )
            return _grey(ImageOps.exif_transpose(image))
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise LargePictureError(f"there are more than {max_pixels:,} pixels: make it smaller") from None
    except Image.UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise UnknownPictureError(f"no picture of a known format ({known}), and no InkML") from None
    except Exception as error:  # a broken file makes Pillow's decoders raise whatever they trip over
        raise PictureError(f"the picture is broken: {error}") from error


def _grey(image: Image.Image) -> Picture:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.float64)
        if not np.isfinite(deep).all():
            raise PictureError("a pixel is not a finite number")
        return _bytes(255 * (deep - deep.min()) / max(np.ptp(deep), 1e-9))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        pair = np.asarray(image.convert("RGBA").convert("LA"), np.float32)
        return _on_paper(pair[..., 0], pair[..., 1] / np.float32(255))
    return np.asarray(image.convert("L"), np.uint8)


def _on_paper(grey: npt.NDArray[np.float32], alpha: npt.NDArray[np.float32]) -> Picture:
    """Puts a transparent ground behind a picture: more of its own paper, or what its ink stands out from."""
    visible = grey[alpha > 0.5]
    tone = float(np.median(visible)) if visible.size else 0.0
    own = tone if alpha.mean() > 0.5 else (255.0 if tone < 128 else 0.0)
    return _bytes(grey * alpha + own * (1 - alpha))


def _is_drawn(grey: Picture, settings: RasterSettings) -> bool:
    """Whether a picture is just what `draw` makes: white paper, its margins, its pen, its size."""
    height, width = grey.shape
    ink = grey < 128
    if height > settings.max_height or width > settings.max_width or not ink.any():
        return False
    left, top, right, bottom = _box(ink)
    paper = (left, top, width - right, height - bottom)
    reach = settings.symbol * settings.pen / 2 + 1  # of the pen beyond the strokes' centres, pixels
    if min(paper) < settings.margin - reach or max(paper) > settings.margin + 1:
        return False
    outside = np.ones_like(ink)
    outside[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1] = False
    if (grey[outside] < 255).any():
        return False
    pen, drawn = _pen(ink), settings.symbol * settings.pen
    limit = limit_scale(np.array([right - left, bottom - top]) - pen, settings)
    # Where the largest picture is reached, symbols and pen are smaller than they should be. Elsewhere the pen
    # tells more than the symbols, which are measured finer where there are strokes.
    fits = 0.8 * drawn < pen < 2.2 * drawn or (limit < 1.05 and pen < drawn)
    return fits and 0.3 < min(_scale(grey, pen, settings), limit) < 4


def _whitened(grey: Picture) -> Picture:
    """Evens out paper and light: white paper, black ink, whichever was the darker. Raises PictureError."""
    grey = _at_most(grey, _LARGE)
    small = _at_most(grey, _LOOK)
    # Most of any neighbourhood is paper. A median follows light that falls off, and a shadow's edge.
    paper = cv2.medianBlur(small, max(31, max(small.shape) // 3 | 1))
    difference = small.astype(np.int16) - paper
    if difference[difference > _FAINT].sum() > -difference[difference < -_FAINT].sum():
        grey, paper = 255 - grey, 255 - paper  # light ink on dark paper
    paper = cv2.resize(paper, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    even = grey * np.float32(255) / np.maximum(paper, 1)
    sample = even[:: 1 + even.shape[0] // 1024, :: 1 + even.shape[1] // 1024]
    noise = 1.5 * float(np.median(np.abs(sample - 255)))  # standard deviation of the paper's grey
    ink = sample[sample < 255 - _FAINT - 4 * noise]
    if not ink.size:
        raise BlankPictureError("nothing is written on the picture, or too faintly")
    return _stretched(even, float(np.percentile(ink, 20)), 255 - 3 * noise)


def resized(picture: Picture, scale: float) -> Picture:
    """The picture so many times as large, at least a pixel."""
    size = [max(1, round(side * scale)) for side in picture.shape[::-1]]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return _bytes(cv2.resize(picture, size, interpolation=how))


def _at_most(grey: Picture, longest: int) -> Picture:
    """The picture, shrunk where its longest side is more than so many pixels."""
    if max(grey.shape) <= longest:
        return grey
    size = [max(1, round(side * longest / max(grey.shape))) for side in grey.shape[::-1]]
    return _bytes(cv2.resize(grey, size, interpolation=cv2.INTER_AREA))


def _framed(white: Picture, settings: RasterSettings) -> tuple[Picture, Placement]:
    """Cuts the ink out, with symbols of the wanted size and paper around it. Raises PictureError."""
    white = _without_specks(white)
    ink = white < 128
    if not ink.any():
        raise BlankPictureError("nothing is written on the picture, only specks")
    left, top, right, bottom = _box(ink)
    white, pen = white[top:bottom, left:right], _pen(ink[top:bottom, left:right])
    size = np.array([right - left, bottom - top])
    limit = limit_scale(np.maximum(size - pen, 1), settings)
    wanted = _scale(white, pen, settings)
    scale = 1.0 if limit >= 1 and abs(wanted - 1) <= _SNAP else min(wanted, limit)
    if pen * scale < _THIN:
        side = round(_THIN / scale - pen) + 1
        white = _bytes(cv2.erode(white, np.ones((side, side), np.uint8)))
    if scale != 1:
        white = resized(white, scale)
        # What is shrunk turns grey.
        white = _stretched(white, float(np.percentile(white[white < 192], 20)), 255)
    # Between strokes' centres and the edge there is the margin, as in `draw`.
    border = max(1, settings.margin - round(pen * scale / 2))
    framed = np.pad(white, border, constant_values=255)[: settings.max_height, : settings.max_width]
    made = max(white.shape) / max(size)  # the scale, in whole pixels
    return framed, Placement(made, left - border / made, top - border / made)


def _scale(white: Picture, pen: float, settings: RasterSettings) -> float:
    """How many times larger the symbols should be."""
    # The second bound: of a dot, nothing but the pen tells the size.
    return min(settings.symbol / max(median_extent(white) - pen, 1), 3 * settings.symbol * settings.pen / pen)


def _without_specks(white: Picture) -> Picture:
    """Wipes out what is smaller than any dot of the pen."""
    ink = (white < 128).astype(np.uint8)
    if not ink.any():
        return white
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    speck = stats[:, cv2.CC_STAT_AREA] < 0.3 * _pen(ink) ** 2
    specks = cv2.dilate(speck[labels].astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.where(specks > 0, np.uint8(255), white)


def _stretched(grey: npt.NDArray[Any], black: float, white: float) -> Picture:
    wide = (grey.astype(np.float32) - np.float32(black)) * np.float32(255 / max(white - black, 1))
    return _bytes(wide)


def _bytes(grey: npt.ArrayLike) -> Picture:
    return np.asarray(np.clip(np.rint(grey), 0, 255), np.uint8)


def _box(ink: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (exclusive) of what is true."""
    columns, rows = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _pen(ink: npt.NDArray[np.bool_] | npt.NDArray[np.uint8]) -> float:
    """Mean width of the strokes, pixels: the mean distance to the edge within a line of n pixels is about
    (n + 7/3) / 4."""
    mask = np.pad((ink > 0).astype(np.uint8), 1)  # beyond the picture there is paper
    return max(1.0, 4 * float(cv2.distanceTransform(mask, cv2.DIST_L2, 5)[mask > 0].mean()) - 7 / 3)
