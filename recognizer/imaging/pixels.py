"""The peak memory and the time of decoding, by the header; and RGB from pixels of any mode.

Pixels alone bound neither: the same number takes a byte each in a palette, four in CMYK, and up to
four times as much where a decoder holds its own canvases or planes.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recognizer.errors import UsageError
from recognizer.imaging.color import Conversion
from recognizer.imaging.sources import MAX_SIDE, MEBIBYTE, Limits, Refused
from recognizer.status import Reason

WIDE_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})  # of more than eight bits

_RGBA = 4
_OF_A_DECODER = {"webp": 12, "avif": 6, "heic": 6}  # planes, canvases and a copy, by pixel
_OF_AN_ANIMATION = {"gif": 8, "png": 22}  # canvases, and what a frame leaves behind
# Nanoseconds of CPU for each pixel and each encoded byte, as photos, noise and one color take them
# (benchmarks/service.py measures the bound). Of HEIC, which needs an extra, a fourth counts.
_NANOSECONDS = {
    "jpeg": (2.5, 9.0),
    "progressive JPEG": (2.0, 30.0),
    "png": (8.0, 20.0),  # for each byte of a pixel; it is unpacked twice
    "webp": (9.0, 50.0),
    "avif": (7.0, 90.0),
    "heic": (2.0, 28.0),
    "lzma": (6.0, 60.0),  # a compression of TIFF
}
_OTHER_NANOSECONDS = 6.0, 8.0
_OF_A_SCAN, _OF_COLORS = 0.3, 210.0  # more of a pixel
_BITS, _TILE_WIDTH = 258, 322  # tags of TIFF
_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_STRIP_PIXELS = 1 << 20
_SIXTEEN_TO_EIGHT = 257  # 65535 / 255: white stays white
_MAX_WIDE, _MIN_WIDE = 65_535, 4096  # the highest value of 16 bits; 12 bits end below the other


def check_size(size: tuple[int, int], limits: Limits) -> None:
    """Raise a Refused if an image has too many pixels, none, or too long a side."""
    width, height = size
    words = f"{width}x{height} pixels"
    if width < 1 or height < 1:
        raise Refused(Reason.CORRUPT_HEADER, words)
    if width * height > limits.max_pixels:
        raise Refused(Reason.TOO_MANY_PIXELS, f"{words}, limit {limits.max_pixels}")
    if max(width, height) > MAX_SIDE:
        raise Refused(Reason.TOO_MANY_PIXELS, f"{words}, limit {MAX_SIDE} for each side")


def check_memory(
    image: Image.Image, name: str, frames: int, limits: Limits, canvas: tuple[int, int]
) -> None:
    """Raise a Refused if decoding an opened image would take more memory than it may."""
    mode = image.mode
    a_pixel = 1 if mode in {"1", "L", "P"} else 2 if mode.startswith("I;16") else 4
    if mode in {"P", "PA", "La", "LA", "RGBA"} or "transparency" in image.info:
        a_pixel += _RGBA  # converted before it is reduced, or for that
    elif mode == "1" or mode in WIDE_MODES:
        a_pixel += 1
    a_pixel += _OF_A_DECODER.get(name, 0)
    if frames > 1:
        a_pixel += _OF_AN_ANIMATION.get(name, 0)
    if name == "tiff":  # libtiff holds a strip beside the pixels, perhaps all of them
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        a_pixel += sum(-(-bits // 8) for bits in tags.get(_BITS, (1,)))
        if _TILE_WIDTH in tags or mode == "I":  # whose range is unknown
            raise Refused(Reason.UNSUPPORTED_FORMAT, "a TIFF in tiles, or of 32 bits")
    check_decoded(canvas[0] * canvas[1] * a_pixel, canvas, f"of mode {mode}", limits)


def check_decoded(needed: int, size: tuple[int, int], what: str, limits: Limits) -> None:
    """Raise a Refused if decoding an image takes more bytes than it may."""
    if needed > limits.max_decoded:
        mib, limit = needed // MEBIBYTE, f"limit {limits.max_decoded // MEBIBYTE} MiB"
        words = f"{size[0]}x{size[1]} pixels {what} take {mib} MiB to decode, {limit}"
        raise Refused(Reason.TOO_MANY_PIXELS, words)


def time_of_decoding(
    kind: str, data_bytes: int, conversion: Conversion | None, scans: int = 0, pixel_bytes: int = 1
) -> tuple[float, float]:
    """Estimate the CPU time of decoding: nanoseconds of all bytes, and of a pixel."""
    pixel_ns, byte_ns = _NANOSECONDS.get(kind, _OTHER_NANOSECONDS)
    pixel_ns = pixel_ns * pixel_bytes + scans * _OF_A_SCAN
    if conversion and conversion.is_bent:  # of all pixels, before they are reduced
        pixel_ns += _OF_COLORS
    return data_bytes * byte_ns, pixel_ns


def check_time(ns: float, size: tuple[int, int], limits: Limits) -> float:
    """Return the milliseconds of an estimate, or raise a Refused if they are too many."""
    if (ms := ns / 1e6) > limits.max_ms:
        words = f"{size[0]}x{size[1]} pixels take about {ms:.0f} ms to decode"
        raise Refused(Reason.TOO_MANY_PIXELS, f"{words}, limit {limits.max_ms} (max_ms)")
    return ms


def check_range(values: NDArray[Any]) -> None:
    """Raise a UsageError if values of 16 bits are of another range: they would be black, or white.

    An image that is wholly black passes.
    """
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > _MAX_WIDE or 0 < high < _MIN_WIDE:
        end = f"lowest is {low}" if low < 0 else f"highest is {high}"
        words = f"values of 16 bits range from 0 to {_MAX_WIDE}"
        raise UsageError(f"{words}, but the {end}: scale them, or give uint8")


def reduction(size: tuple[int, int], min_side: int) -> int:
    """Return the whole factor by which an image may be reduced."""
    return max(1, min(size) // max(1, min_side))


def averaged(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Reduce an array, (h, w) or (h, w, 3), by a whole factor; what is left at the ends is cut."""
    high, wide = (side // factor for side in pixels.shape[:2])
    part = pixels[: high * factor, : wide * factor]
    return np.asarray(cv2.resize(part, (wide, high), interpolation=cv2.INTER_AREA), np.uint8)


def to_rgb(
    image: Image.Image, min_side: int, conversion: Conversion | None = None
) -> NDArray[np.uint8]:
    """Return a Pillow image as 8-bit RGB, in sRGB and on white, reduced as far as ``min_side``.

    16-bit values are divided by 257.
    """
    factor = reduction(image.size, min_side)
    image = _plain(image)
    if conversion and not conversion.applies_to(image.mode):
        conversion = None
    if conversion and conversion.is_bent:
        image, conversion = conversion(image), None
    if factor > 1:
        image = image.reduce(factor)  # by a box filter; alpha is premultiplied for it
    if conversion:
        image = conversion(image)
    if _has_alpha(image):
        page = Image.new("RGBA", image.size, "white")
        page.alpha_composite(image.convert("RGBA"))
        image = page
    return np.asarray(image.convert("RGB"))


def _plain(image: Image.Image) -> Image.Image:
    image = narrow(image)
    if image.mode in {"P", "PA"} or "transparency" in image.info:
        return image.convert("RGBA" if _has_alpha(image) else "RGB")
    if image.mode in {"1", "La"}:  # neither reduces, nor becomes RGB at once
        return image.convert("L" if image.mode == "1" else "LA")
    return image


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in _ALPHA_MODES or "transparency" in image.info


def narrow(image: Image.Image) -> Image.Image:
    """Return an image of more than eight bits as one of eight, another as it is."""
    if image.mode not in WIDE_MODES:
        return image
    if image.mode == "F":
        raise Refused(Reason.UNSUPPORTED_FORMAT, "floating-point pixels")
    # A strip at a time: the arithmetic takes several copies.
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // max(1, width))
    eight = np.empty((height, width), np.uint8)
    for top in range(0, height, rows):
        values = np.asarray(image.crop((0, top, width, min(height, top + rows))))
        eight[top : top + rows] = np.clip(values, 0, 65535) // _SIXTEEN_TO_EIGHT
    return Image.fromarray(eight)


def orient(rgb: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn an array, as stored, upright, by its EXIF orientation (Exif 3.0, tag 0x0112)."""
    if orientation >= 5:
        rgb = np.swapaxes(rgb, 0, 1)
    if orientation in {3, 4, 7, 8}:
        rgb = rgb[::-1]
    if orientation in {2, 3, 6, 7}:
        rgb = rgb[:, ::-1]
    return np.ascontiguousarray(rgb)


def altered(rgb: NDArray[np.uint8], quarters: int, degrees: int) -> NDArray[np.uint8]:
    """Turn an image, uint8 (h, w, 3), counterclockwise by quarters, and its hues by degrees."""
    if degrees:
        colors = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV_FULL)
        colors[..., 0] += np.uint8(round(degrees / 360 * 256))  # of 256 steps, and on from there
        rgb = np.asarray(cv2.cvtColor(colors, cv2.COLOR_HSV2RGB_FULL), np.uint8)
    return np.ascontiguousarray(np.rot90(rgb, quarters))
