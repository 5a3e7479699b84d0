"""The peak memory of decoding, estimated from the header; and RGB from pixels of any mode.

Pixels alone do not bound it: the same number takes a byte each in a palette, four in CMYK, and up
to four times as much where a decoder holds its own canvases or planes.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recognizer.imaging.color import Conversion
from recognizer.imaging.sources import MAX_SIDE, MEBIBYTE, Limits, Refused
from recognizer.status import Reason

WIDE_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})  # of more than eight bits

_RGB, _RGBA = 3, 4
_OF_A_DECODER = {"webp": 12, "avif": 6, "heic": 6}  # planes, canvases and a copy, by pixel
_OF_AN_ANIMATION = {"gif": 8, "png": 22}  # canvases, and what a frame leaves behind
_BITS, _TILE_WIDTH = 258, 322  # tags of TIFF
_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_STRIP_PIXELS = 1 << 20
_MAX_SHIFT = 16  # of 255, in the mean: profiles of cameras and screens shift colors by 10 at most
_NEARLY, _NEAR_BLACK = 10, 24  # of 255
_DITHER = 4  # pixels in a row that the eye sees as one
_MAX_HIDDEN = 0.01  # of the pixels
_SIXTEEN_TO_EIGHT = 257  # 65535 / 255: white stays white


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


def check_memory(image: Image.Image, name: str, frames: int, limits: Limits) -> None:
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
        if _TILE_WIDTH in tags:
            raise Refused(Reason.UNSUPPORTED_FORMAT, "a TIFF in tiles")
    check_bytes(image.size[0] * image.size[1] * a_pixel, image.size, f"of mode {mode}", limits)


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


def averaged(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Reduce an array, (h, w) or (h, w, 3), by a whole factor; what is left at the ends is cut."""
    high, wide = (side // factor for side in pixels.shape[:2])
    part = pixels[: high * factor, : wide * factor]
    return np.asarray(cv2.resize(part, (wide, high), interpolation=cv2.INTER_AREA), np.uint8)


def renderings(
    image: Image.Image, min_side: int, conversion: Conversion | None = None
) -> list[NDArray[np.uint8]]:
    """Return what viewers show of a Pillow image, as 8-bit RGB, reduced as far as ``min_side``.

    The first is in sRGB and on white. If black shows what white hides, there is one on black; if
    the ``conversion`` to sRGB changes much, the values as stored, for viewers that ignore it or
    read it in another way. 16-bit values are divided by 257.
    """
    whole = _plain(image)
    factor = reduction(image.size, min_side)
    # By a box filter; alpha is premultiplied for it.
    image = whole.reduce(factor) if factor > 1 else whole
    shown = _on_pages(image.convert("RGBA" if _has_alpha(image) else "RGB"))
    is_bent = conversion and conversion.is_bent and factor > 1
    if conversion and (converted := conversion(whole if is_bent else image)):
        as_stored, shown = shown, _on_pages(converted.reduce(factor) if is_bent else converted)
        if cv2.norm(shown[0], as_stored[0], cv2.NORM_L1) > _MAX_SHIFT * shown[0].size:
            shown += as_stored
    return shown


def _on_pages(image: Image.Image) -> list[NDArray[np.uint8]]:
    if image.mode != "RGBA" or image.getchannel("A").getextrema() == (255, 255):
        return [np.asarray(image.convert("RGB"))]
    colors = ("white", "black") if _needs_black(image) else ("white",)
    pages = [Image.new("RGBA", image.size, color) for color in colors]
    for page in pages:
        page.alpha_composite(image)
    return [np.asarray(page.convert("RGB")) for page in pages]


def _needs_black(image: Image.Image) -> bool:
    # Where white hides: light areas that are partly transparent, as glass but not as a shadow or
    # an edge; and an image that is mostly white. A dither counts as partly transparent.
    pixels = np.asarray(image.reduce(min(_DITHER, *image.size)), np.uint8)
    alpha = pixels[..., 3]
    light = pixels[..., :3].max(2) * (alpha / 255.0) > _NEAR_BLACK
    partly = light & (alpha > _NEARLY) & (alpha < 255 - _NEARLY)
    if cv2.erode(partly.astype(np.uint8), np.ones((3, 3), np.uint8)).mean() > _MAX_HIDDEN:
        return True
    visible = alpha > _NEARLY
    white = visible & (pixels[..., :3].min(2) > 255 - _NEAR_BLACK)
    return not visible.all() and 2 * int(white.sum()) > int(visible.sum())


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
