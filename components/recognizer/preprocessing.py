"""Any picture of a formula to the picture that the rasterizer would have drawn of it.

Photographs, scans, screenshots and drawings differ from training's pictures in paper, light, polarity and
size. Here the paper becomes white, the ink black, and the symbols as large as `RasterSettings` says. What the
rasterizer itself drew is left as it is, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from components.ink.inkml import looks_like_xml, parse_inkml
from components.ink.raster import (
    Picture,
    Placement,
    RasterSettings,
    draw_placed,
    limit_scale,
    median_extent,
)
from components.recognizer.blots import erase_blots, pen_width
from components.recognizer.colours import Places, clearest_colour, line_places
from components.recognizer.orientation import Prepared
from components.recognizer.ruling import Line, erase_lines, find_lines, line_mask
from components.recognizer.sheet import find_sheet

MAX_PIXELS = 64_000_000  # a telephone's camera has 50 million
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")  # no format that runs other programs

_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")  # brands of its container
Pixels = npt.NDArray[np.uint8]  # (height, width), or (height, width, 3) with red first

_MEDIUM = 1400  # longest side in pixels that is looked at: the widest formula needs less
_LOOK = 320  # longest side in pixels of the picture that sheet and light are looked at on
_STROKES = 8  # no stroke is thicker than the picture's longest side by so many
_EVEN = 230  # paper in even light: noise makes some of it lighter
_FAINT = 25  # ink is at least so much darker than the paper
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
    return prepare_source(data, settings).picture


def prepare_source(data: bytes, settings: RasterSettings) -> Prepared:
    """As `prepare`, with where on the source the result lies, and with what is read if that is turned."""
    if looks_like_inkml(data):
        ink = parse_inkml(data, "ink")
        picture, where = draw_placed(ink.strokes, settings)
        return Prepared(picture, where=where.moved(ink.origin))
    return prepare_picture(data, settings)


def looks_like_inkml(data: bytes) -> bool:
    """Whether a file is XML, and no SVG: that is refused by name, as a picture."""
    return looks_like_xml(data) and not _is_svg(data)


def _is_svg(data: bytes) -> bool:
    return b"<svg" in data[:1024].replace(b"\0", b"")


def prepare_picture(data: bytes, settings: RasterSettings, max_pixels: int = MAX_PIXELS) -> Prepared:
    """As `prepare_source`, for pictures alone. Raises PictureError."""
    return prepare_pixels(open_pixels(data, max_pixels), settings)


def prepare_pixels(pixels: Pixels, settings: RasterSettings) -> Prepared:
    """As `prepare_source`, from pixels: (height, width), or (height, width, 3) with red first."""
    if pixels.shape[0] <= settings.max_height and pixels.shape[1] <= settings.max_width:
        grey = _luminance(pixels)
        if _is_drawn(grey, settings):
            return Prepared(grey, where=Placement(1, 0, 0))
    white, part = _whitened(pixels, settings)
    picture, where = _framed(white, settings)
    if picture.shape[0] <= picture.shape[1]:
        return Prepared(picture, True, where=part.of(where))
    sideways, on_turned = _framed(np.ascontiguousarray(np.rot90(white)), settings)
    return Prepared(
        picture,
        True,
        sideways,
        where=part.of(where),
        sideways_where=part.of(on_turned, turned=True),
        right=white.shape[1] / part.scale + part.left,
    )


def open_pixels(data: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decodes a picture file, upright, on its own paper where it has some: (height, width), or with three
    colours where there are colours. Raises PictureError."""
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise LargePictureError(
                    f"{image.width} × {image.height} pixels are more than {max_pixels:,}: make it smaller"
                )
            return _pixels(ImageOps.exif_transpose(image))
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise LargePictureError(f"there are more than {max_pixels:,} pixels: make it smaller") from None
    except Image.UnidentifiedImageError:
        raise UnknownPictureError(_unsupported(data)) from None
    except Exception as error:  # a broken file makes Pillow's decoders raise whatever they trip over
        raise PictureError(f"the picture is broken: {error}") from error


def _unsupported(data: bytes) -> str:
    """What to do with a file that is no picture in a supported format."""
    start = data[:64]
    if start.startswith(b"%PDF"):
        return "a PDF has pages, not pixels: export the page as PNG or JPEG"
    if start[4:8] == b"ftyp" and start[8:12] in _HEIC:
        return "HEIC is not supported: export the photograph as JPEG (phones call it 'most compatible')"
    if _is_svg(data):
        return "an SVG has shapes, not pixels: export it as PNG"
    return f"not a picture in a supported format ({', '.join(FORMATS)}), nor InkML"


def open_grey(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """As `open_pixels`, without colours."""
    return _luminance(open_pixels(data, max_pixels))


def _luminance(pixels: Pixels) -> Picture:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8) if pixels.ndim == 3 else pixels


def _pixels(image: Image.Image) -> Pixels:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.float64)
        if not np.isfinite(deep).all():
            raise PictureError("a pixel is not a finite number")
        return _bytes(255 * (deep - deep.min()) / max(np.ptp(deep), 1e-9))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        pair = np.asarray(image.convert("RGBA").convert("LA"), np.float32)
        return _on_paper(pair[..., 0], pair[..., 1] / np.float32(255))
    if image.mode in ("RGB", "P", "YCbCr"):
        return np.asarray(image.convert("RGB"), np.uint8)
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


@dataclass(frozen=True)
class _Part:
    """A part of a picture, `scale` times as large."""

    scale: float
    left: float
    top: float

    def of(self, where: Placement, turned: bool = False) -> Placement:
        """On the whole picture, what lies on the part; or what lies on the part turned by 270° clockwise, on
        the picture so turned, which begins at the part's right side."""
        left, top = (self.top, 0.0) if turned else (self.left, self.top)
        return Placement(
            where.scale * self.scale, where.left / self.scale + left, where.top / self.scale + top
        )


def _whitened(pixels: Pixels, settings: RasterSettings) -> tuple[Picture, _Part]:
    """Cuts out what is written, on white paper with black ink, whichever was the darker. Raises
    PictureError."""
    medium, half = _shrunk(_luminance(pixels), _MEDIUM)
    colour = pixels if pixels.ndim == 3 else None
    thumb, step = _shrunk(medium, _LOOK)
    hull = find_sheet(thumb, None if colour is None else _like(colour, thumb))
    inside = np.ones_like(thumb)
    if hull is not None:
        inside = cv2.erode(cv2.fillConvexPoly(np.zeros_like(thumb), hull, 1), np.ones((3, 3), np.uint8))
        thumb = np.where(inside > 0, thumb, np.uint8(np.median(thumb[inside > 0])))
    dark = _is_dark(thumb)
    if dark:
        medium, thumb = 255 - medium, 255 - thumb
    paper = _paper_of(thumb)
    window = _window(inside, step, medium.shape)
    sheet = medium[window]
    whole = None
    if hull is not None:
        corners = np.rint((hull + 0.5) * step - (window[1].start, window[0].start)).astype(np.int32)
        whole = cv2.fillConvexPoly(np.zeros_like(sheet), corners, 1)
    lines = find_lines(sheet, whole), find_lines(sheet.T, None if whole is None else whole.T)
    even = cv2.divide(thumb, np.maximum(paper, 1), scale=255)
    if colour is not None and any(lines) and not dark:
        start = window[1].start, window[0].start
        found_at = [line_places(lines[upright], bool(upright), *start, half) for upright in (0, 1)]
        on_thumb = np.nonzero((even < np.percentile(even, 3)) & (inside > 0))
        ink = tuple(places * (step * half) + step * half // 2 for places in on_thumb)
        channel = clearest_colour(colour, _within(found_at, colour.shape), (ink[0], ink[1]))
        if channel is not None:
            medium, _ = _shrunk(np.ascontiguousarray(colour[..., channel]), _MEDIUM)
            thumb, _ = _shrunk(medium, _LOOK)
            if hull is not None:
                thumb = np.where(inside > 0, thumb, np.uint8(np.median(thumb[inside > 0])))
            paper = _paper_of(thumb)
            even = cv2.divide(thumb, np.maximum(paper, 1), scale=255)
    box = _written_box(even, inside, lines, window, step)
    left, top, right, bottom = box[0] * step, box[1] * step, box[2] * step, box[3] * step
    left, top = max(left, 0), max(top, 0)
    right, bottom = min(right, medium.shape[1]), min(bottom, medium.shape[0])
    part = medium[top:bottom, left:right]
    limit = limit_scale(np.array([part.shape[1], part.shape[0]], np.float64), settings)
    factor = max(1, int(0.7 / limit))
    part, _ = _shrunk_by(part, factor)
    light = _region(paper, step, factor, (left, top), part.shape)
    white = cv2.divide(part, np.maximum(light, 1), scale=_EVEN)
    if hull is not None:
        keep = cv2.fillConvexPoly(
            np.zeros_like(part), np.rint(((hull + 0.5) * step - (left, top)) / factor).astype(np.int32), 1
        )
        reach = 2 * max(1, round(2 * step / factor)) + 1
        white[cv2.erode(keep, np.ones((reach, reach), np.uint8)) == 0] = _EVEN
    x, y = left - window[1].start, top - window[0].start
    rows = [line.moved(x, y, 1 / factor) for line in lines[0]]
    columns = [line.moved(y, x, 1 / factor) for line in lines[1]]
    across = line_mask(white.shape, rows)
    upright = np.ascontiguousarray(line_mask(white.shape[::-1], columns).T)
    white = _contrasted(white, across | upright if any(lines) else None)
    if rows:
        white = erase_lines(white, rows, upright)
    if columns:
        white = np.ascontiguousarray(erase_lines(white.T.copy(), columns, across.T).T)
    if not white.min(initial=255) < 128:
        raise BlankPictureError("nothing is written on the picture, only lines")
    white = erase_blots(white, (left == 0, top == 0, right == medium.shape[1], bottom == medium.shape[0]))
    scale = 1 / (half * factor)
    return white, _Part(scale, left * half, top * half)


def _within(places: Sequence[Places], shape: tuple[int, ...]) -> list[Places]:
    """Those that are on the picture."""
    kept = []
    for rows, columns in places:
        on = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
        kept.append((rows[on], columns[on]))
    return kept


def _shrunk(grey: Picture, longest: int) -> tuple[Picture, int]:
    """The picture, a whole number of times smaller, so that its sides are at most so many pixels."""
    return _shrunk_by(grey, -(-max(grey.shape) // longest))


def _shrunk_by(grey: Picture, factor: int) -> tuple[Picture, int]:
    height, width = (max(1, side // factor) for side in grey.shape)
    if factor == 1:
        return grey, 1
    # Whole pixels into whole pixels is many times faster.
    whole = grey[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8), factor


def _like(colour: Pixels, thumb: Picture) -> Pixels:
    """Colours for a thumbnail."""
    return np.asarray(cv2.resize(colour, thumb.shape[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)


def _paper_of(thumb: Picture) -> Picture:
    """The paper behind dark ink: what is left when all is filled up that is narrower than a stroke can be.
    It follows light that falls off, and a shadow's edge."""
    calm = cv2.blur(thumb, (3, 3))
    filled = cv2.morphologyEx(calm, cv2.MORPH_CLOSE, _square(max(thumb.shape) // _STROKES | 1))
    return np.asarray(cv2.blur(filled, (5, 5)), np.uint8)


def _is_dark(thumb: Picture) -> bool:
    """Whether light ink is on dark paper: what stands out where there are edges, from what most of any
    neighbourhood is."""
    every = 1 + max(thumb.shape) // 160
    rows, columns = (slice(min(every // 2, side - 1), None, every) for side in thumb.shape)
    small = np.ascontiguousarray(thumb[rows, columns])
    reach = max(7, max(small.shape) // 6)
    # Beyond the edges OpenCV would repeat them, and there may be a line along them.
    edge = min(reach, min(small.shape) - 1)
    wide = cv2.copyMakeBorder(small, edge, edge, edge, edge, cv2.BORDER_REFLECT_101)
    typical = cv2.medianBlur(wide, 2 * reach + 1)[edge : edge + small.shape[0], edge : edge + small.shape[1]]
    difference = small.astype(np.int16) - typical
    steps = cv2.morphologyEx(small, cv2.MORPH_GRADIENT, _square(3))
    difference[steps < _FAINT // 2] = 0  # a shadow
    return bool(difference[difference > _FAINT].sum() > -difference[difference < -_FAINT].sum())


def _square(side: int) -> Picture:
    return np.ones((side, side), np.uint8)


def _window(inside: Picture, step: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The rows and columns of the sheet."""
    if inside.all():
        return slice(0, shape[0]), slice(0, shape[1])
    left, top, right, bottom = _box(inside > 0)
    return slice(top * step, bottom * step), slice(left * step, right * step)


def _written_box(
    even: Picture,
    inside: Picture,
    lines: tuple[list[Line], list[Line]],
    window: tuple[slice, slice],
    step: int,
) -> tuple[int, int, int, int]:
    """Where, on the thumbnail, something is written, and some paper around it. Raises PictureError."""
    start = window[1].start, window[0].start
    ink = (even < 255 - _FAINT // 2) & (inside > 0)
    for upright, found in enumerate(lines):
        if found:
            shape = even.shape[::-1] if upright else even.shape
            moved = [line.moved(-start[upright], -start[1 - upright], 1 / step) for line in found]
            mask = line_mask(shape, moved)
            on = (mask.T if upright else mask) > 0
            # On a line, what is darker than the line.
            ink &= ~on | (even < 0.75 * np.median(even[on]))
    if not ink.any():
        if any(lines):
            return 0, 0, even.shape[1] + 1, even.shape[0] + 1
        raise BlankPictureError("nothing is written on the picture, or too faintly")
    left, top, right, bottom = _box(ink)
    reach = 12 if any(lines) else 4
    height, width = even.shape
    return (
        left - reach,
        top - reach,
        # Up to the picture's edge, where the thumbnail lacks some pixels.
        right + reach if right + reach < width else width + 1,
        bottom + reach if bottom + reach < height else height + 1,
    )


def _region(
    paper: Picture, step: int, factor: int, start: tuple[int, int], shape: tuple[int, ...]
) -> Picture:
    """The paper's tone at each pixel of a part."""
    share = factor / step
    matrix = np.array(
        [
            [share, 0, start[0] / step + 0.5 * share - 0.5],
            [0, share, start[1] / step + 0.5 * share - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(paper, matrix, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def _contrasted(even: Picture, lines: Picture | None) -> Picture:
    """White paper and black ink of even paper, which is `_EVEN`; lines that are no ink are 1 in `lines`.
    Raises PictureError."""
    rows, columns = (slice(None, None, 1 + side // 256) for side in even.shape)
    sample = even[rows, columns]
    paper = sample[sample > _EVEN - 1.2 * _FAINT]
    # Standard deviation of the paper's grey.
    noise = 1.5 * float(np.median(cv2.absdiff(paper, _EVEN))) if paper.size else 0.0
    dark = sample < _EVEN - _FAINT - 4 * noise
    if not dark.any():
        raise BlankPictureError("nothing is written on the picture, or too faintly")
    off = dark if lines is None else dark & (lines[rows, columns] == 0)
    black = float(np.percentile(sample[off if off.any() else dark], 20))
    return np.asarray(cv2.LUT(even, _stretched(np.arange(256), black, _EVEN - 3 * noise)), np.uint8)


def resized(picture: Picture, scale: float) -> Picture:
    """The picture so many times as large, at least a pixel."""
    size = [max(1, round(side * scale)) for side in picture.shape[::-1]]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)


def _framed(white: Picture, settings: RasterSettings) -> tuple[Picture, Placement]:
    """Cuts the ink out, with symbols of the wanted size and paper around it. Raises PictureError."""
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
        white = np.asarray(cv2.erode(white, np.ones((side, side), np.uint8)), np.uint8)
    if scale != 1:
        white = resized(white, scale)
        # What is shrunk turns grey.
        black = float(np.percentile(white[white < 192], 20))
        white = np.asarray(cv2.LUT(white, _stretched(np.arange(256), black, 255)), np.uint8)
    # Between strokes' centres and the edge there is the margin, as in `draw`.
    border = max(1, settings.margin - round(pen * scale / 2))
    framed = np.pad(white, border, constant_values=255)[: settings.max_height, : settings.max_width]
    made = max(white.shape) / max(size)  # the scale, in whole pixels
    return framed, Placement(made, left - border / made, top - border / made)


def _scale(white: Picture, pen: float, settings: RasterSettings) -> float:
    """How many times larger the symbols should be."""
    # The second bound: of a dot, nothing but the pen tells the size.
    return min(settings.symbol / max(median_extent(white) - pen, 1), 3 * settings.symbol * settings.pen / pen)


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
    """Mean width of the strokes, pixels."""
    mask = np.pad((ink > 0).astype(np.uint8), 1)  # beyond the picture there is paper
    return pen_width(np.asarray(cv2.distanceTransform(mask, cv2.DIST_L2, 5), np.float32), mask)
