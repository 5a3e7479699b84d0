"""What decoding takes at its peak, estimated from the header; and RGB from pixels of any mode.

Pixels alone do not bound it: the same number takes a byte each in a palette, four in CMYK, and up
to four times as much where a decoder holds its own canvases or planes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recognizer.imaging.sources import MAX_SIDE, MEBIBYTE, Limits, Refused
from recognizer.status import Reason

WIDE_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
"""Modes with more than eight bits for each value."""

_RGB, _RGBA = 3, 4
_OF_A_DECODER = {"webp": 12, "avif": 6, "heic": 6}  # planes, canvases and a copy, by pixel
_OF_AN_ANIMATION = 8  # the canvas before, and what a frame leaves behind
_ROWS_PER_STRIP, _TILE_WIDTH, _TILE_HEIGHT, _PLANAR = 278, 322, 323, 284
_SAMPLES, _BITS = 277, 258
_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_STRIP_PIXELS = 1 << 20
_SIXTEEN_TO_EIGHT = 257  # 65535 / 255: white stays white


def check_size(size: tuple[int, int], limits: Limits) -> None:
    """Raise a Refused if an image has too many pixels, none, or too long a side."""
    width, height = size
    if width < 1 or height < 1:
        raise Refused(Reason.CORRUPT_HEADER, f"{width}x{height} pixels")
    if width * height > limits.max_pixels:
        raise Refused(Reason.TOO_MANY_PIXELS, f"{width}x{height} pixels, limit {limits.max_pixels}")
    if max(width, height) > MAX_SIDE:
        raise Refused(
            Reason.TOO_MANY_PIXELS, f"{width}x{height} pixels, limit {MAX_SIDE} for each side"
        )


def check_memory(image: Image.Image, name: str, frames: int, limits: Limits) -> None:
    """Raise a Refused if decoding an opened image would take more memory than it may."""
    mode = image.mode
    a_pixel = 1 if mode in {"1", "L", "P"} else 2 if mode.startswith("I;16") else 4
    if mode in {"P", "PA", "La", "LA", "RGBA"} or "transparency" in image.info:
        a_pixel += _RGBA  # converted before it is reduced, or for that
    elif mode == "1" or mode in WIDE_MODES:
        a_pixel += 1
    a_pixel += _OF_A_DECODER.get(name, 0)
    if frames > 1 and name in {"gif", "png"}:
        a_pixel += _OF_AN_ANIMATION
    needed = image.size[0] * image.size[1] * a_pixel
    if name == "tiff":
        needed += _strip_bytes(image)
    check_bytes(needed, image.size, f"of mode {mode}", limits)


def check_bytes(needed: int, size: tuple[int, int], what: str, limits: Limits) -> None:
    """Raise a Refused if decoding an image takes more bytes than it may."""
    if needed > limits.max_decoded:
        raise Refused(
            Reason.TOO_MANY_PIXELS,
            f"{size[0]}x{size[1]} pixels {what} take {needed // MEBIBYTE} MiB to decode, limit "
            f"{limits.max_decoded // MEBIBYTE} MiB",
        )


def kept_frames(size: tuple[int, int], min_side: int, limits: Limits) -> int:
    """Return how many sampled frames of an animation may be held at once, at least 1."""
    factor = reduction(size, min_side)
    pixels = max(1, size[0] // factor) * max(1, size[1] // factor)
    return max(1, min(limits.max_frames, limits.max_decoded // (2 * _RGB * pixels)))


def reduction(size: tuple[int, int], min_side: int) -> int:
    """Return the whole factor by which an image may be reduced."""
    return max(1, min(size) // max(1, min_side))


def _strip_bytes(image: Any) -> int:
    # What libtiff holds of a TIFF beside its pixels: a strip or a tile, of all samples.
    tags = image.tag_v2

    def number(tag: int, default: int) -> int:
        value = tags.get(tag, default)
        value = max(value, default=0) if isinstance(value, tuple) else value
        return value if isinstance(value, int) and value > 0 else default

    width, height = image.size
    if _TILE_WIDTH in tags:
        pixels = number(_TILE_WIDTH, width) * number(_TILE_HEIGHT, height)
    else:
        pixels = width * min(height, number(_ROWS_PER_STRIP, height))
    samples = 1 if number(_PLANAR, 1) == 2 else number(_SAMPLES, 1)
    return pixels * samples * max(1, -(-number(_BITS, 1) // 8))


# --- to RGB ---------------------------------------------------------------------------------------


def to_rgb(image: Image.Image, min_side: int) -> Image.Image:
    """Reduce a Pillow image by a whole factor, as far as ``min_side`` allows, to 8-bit RGB.

    Transparent pixels become white. 16-bit values are divided by 257. Floating-point values are
    taken as 0 to 1 where none is larger than 1, else as 0 to 255; values outside are clipped.
    """
    if image.mode in WIDE_MODES:
        image = _narrow(image)
    if image.mode in {"P", "PA"} or "transparency" in image.info:
        image = image.convert("RGBA" if _has_alpha(image) else "RGB")
    elif image.mode in {"1", "La"}:  # neither reduces, nor becomes RGB at once
        image = image.convert("L" if image.mode == "1" else "LA")
    factor = reduction(image.size, min_side)
    if factor > 1:
        image = image.reduce(factor)  # a box filter; alpha is premultiplied for it
    if _has_alpha(image):
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return image.convert("RGB")


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in _ALPHA_MODES or "transparency" in image.info


def _narrow(image: Image.Image) -> Image.Image:
    # A strip at a time: the arithmetic takes several copies.
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // max(1, width))
    strips = [(0, top, width, min(height, top + rows)) for top in range(0, height, rows)]
    is_share = image.mode == "F" and all(
        _from_float(image.crop(strip)).max(initial=0.0) <= 1.0 for strip in strips
    )
    eight = np.empty((height, width), np.uint8)
    for strip in strips:
        if image.mode == "F":
            values = _from_float(image.crop(strip)) * (255.0 if is_share else 1.0)
        else:
            values = np.clip(np.asarray(image.crop(strip)), 0, 65535) // _SIXTEEN_TO_EIGHT
        eight[strip[1] : strip[3]] = values.astype(np.uint8)
    return Image.fromarray(eight)


def _from_float(image: Image.Image) -> NDArray[Any]:
    values: NDArray[Any] = np.clip(np.nan_to_num(np.asarray(image)), 0, 255)
    return values


def orient(rgb: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn an array, as stored, upright, by its EXIF orientation (Exif 3.0, tag 0x0112)."""
    if orientation >= 5:
        rgb = np.swapaxes(rgb, 0, 1)
    if orientation in {3, 4, 7, 8}:
        rgb = rgb[::-1]
    if orientation in {2, 3, 6, 7}:
        rgb = rgb[:, ::-1]
    return np.ascontiguousarray(rgb)
