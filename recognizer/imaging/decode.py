"""From bytes to upright RGB frames, reduced where that costs nothing that the model would see.

JPEG goes through libjpeg-turbo (simplejpeg), which can decode at a fraction of the size and tells
damaged data from sound data; everything else goes through Pillow. Both end in the same three
steps: reduce, orient, RGB.
"""

from __future__ import annotations

import contextlib
import io
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg
from PIL import Image

from recognizer.imaging.formats import (
    OPENERS,
    SNIFF_BYTES,
    Header,
    canvas_size,
    count_frames,
    orientation_of,
    sniff,
)
from recognizer.imaging.frames import MAX_PAGES, outline_jpeg
from recognizer.imaging.sources import Limits, Refused
from recognizer.status import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_WIDE_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_MAX_SCANS = 100  # encoders write about ten
_SIXTEEN_TO_EIGHT = 257  # 65535 / 255: white stays white


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One decoded frame.

    Attributes:
        index: its number in the file, from 0.
        rgb: uint8, (height, width, 3), RGB, upright, 0 to 255, perhaps reduced.
    """

    index: int
    rgb: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What the bytes of an image gave.

    Attributes:
        header: what the file says of itself; its width and height are those of the whole image.
        frames: at least one frame.
        reason: None where all is well, else why the image counts as degraded.
        detail: the decoder's own words on that.
    """

    header: Header
    frames: tuple[Frame, ...]
    reason: Reason | None = None
    detail: str | None = None


def decode(data: bytes, *, min_side: int, limits: Limits) -> Decoded:
    """Decode ``data``.

    Args:
        data: the encoded image.
        min_side: the image may be reduced as long as its short side keeps this many pixels.
        limits: pixel and frame limits.

    Raises:
        Refused: where no pixels can be had, with the reason.
    """
    header, image = _read_header(data, limits)
    with _refusing():
        if header.format == "jpeg":
            return _decode_jpeg(data, header, min_side)
        return _decode_frames(image, header, min_side, limits)


def decode_image(image: Image.Image, *, min_side: int, limits: Limits) -> Decoded:
    """Load a Pillow image, perhaps from a file that is open still, at its current frame.

    Args:
        image: of any mode that Pillow converts to RGB.
        min_side: as for :func:`decode`.
        limits: the pixel limit applies.

    Raises:
        Refused: where no pixels can be had, with the reason.
    """
    _check_pixels(image.size, limits)
    with _refusing():
        image.load()
        width, height = image.size
        header = Header(width=width, height=height, orientation=orientation_of(image))
        rgb = orient(np.asarray(to_rgb(image, min_side)), header.orientation)
    return Decoded(header=header, frames=(Frame(index=0, rgb=rgb),))


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """The one boundary to the decoders, which raise all kinds of things."""
    try:
        yield
    except Refused:
        raise
    except MemoryError as error:
        raise Refused(Reason.OUT_OF_MEMORY, "the pixels do not fit") from error
    except Exception as error:
        raise Refused(_decoder_reason(error), _words(error)) from error


def _read_header(data: bytes, limits: Limits) -> tuple[Header, Any]:
    if not data:
        raise Refused(Reason.EMPTY, "zero bytes")
    name = sniff(data[:SNIFF_BYTES])
    if name is None:
        raise Refused(Reason.NOT_AN_IMAGE, "no known magic bytes")
    if name not in OPENERS and name != "heic":
        raise Refused(Reason.UNSUPPORTED_FORMAT, f"{name} is not decoded")
    _check_pixels(canvas_size(data, name), limits)
    image = _open(data, name)
    _check_pixels(image.size, limits)
    try:
        frames = count_frames(data, name, image)
    except Exception as error:
        raise Refused(Reason.CORRUPT_HEADER, _words(error)) from error
    width, height = image.size
    header = Header(
        format=name,
        width=width,
        height=height,
        frames=frames,
        orientation=orientation_of(image),
    )
    return header, image


def _open(data: bytes, name: str) -> Any:
    try:
        return _open_heif(data) if name == "heic" else OPENERS[name](io.BytesIO(data))
    except Refused:
        raise
    except MemoryError as error:
        raise Refused(Reason.OUT_OF_MEMORY, "the header does not fit") from error
    except Exception as error:  # headers break in as many ways as there are parsers
        reason = _decoder_reason(error)
        # A WebP decoder says no more than that it fails; the container tells its length.
        if name == "webp" and 8 + int.from_bytes(data[4:8], "little") > len(data):
            reason = Reason.TRUNCATED
        if name == "jpeg" and outline_jpeg(data, _MAX_SCANS) == (0, False):
            reason = Reason.TRUNCATED
        if reason is Reason.CORRUPT_DATA:
            reason = Reason.CORRUPT_HEADER
        raise Refused(reason, _words(error)) from error


def _open_heif(data: bytes) -> Image.Image:
    try:
        import pillow_heif  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise Refused(
            Reason.UNSUPPORTED_FORMAT, "heic needs the extra: wildlife-product-recognizer[heif]"
        ) from error
    # pillow-heif applies the container's own rotation; convert_hdr_to_8bit is its default.
    opener: Any = pillow_heif.HeifImageFile  # untyped
    image: Image.Image = opener(io.BytesIO(data))
    return image


def _check_pixels(size: tuple[int, int] | None, limits: Limits) -> None:
    if size is None:
        return
    width, height = size
    if width * height > limits.max_pixels:
        raise Refused(Reason.TOO_MANY_PIXELS, f"{width}x{height} pixels, limit {limits.max_pixels}")
    if width < 1 or height < 1:
        raise Refused(Reason.CORRUPT_HEADER, f"{width}x{height} pixels")


# --- JPEG -------------------------------------------------------------------------------------


def _decode_jpeg(data: bytes, header: Header, min_side: int) -> Decoded:
    want = {
        "min_height": min(min_side, header.height),
        "min_width": min(min_side, header.width),
    }
    scans, ended = outline_jpeg(data, _MAX_SCANS)
    if scans == 0:
        raise Refused(Reason.CORRUPT_HEADER if ended else Reason.TRUNCATED, "no scan")
    if scans > _MAX_SCANS:
        raise Refused(Reason.UNSUPPORTED_FORMAT, f"a JPEG of more than {_MAX_SCANS} scans")
    reason, detail = None, None
    try:
        rgb = simplejpeg.decode_jpeg(data, "RGB", **want, strict=True)
    except ValueError as error:
        # libjpeg's warnings: the same data once more, taking what can be had.
        reason, detail = _decoder_reason(error), _words(error)
        if not ended and reason is Reason.CORRUPT_DATA:
            reason = Reason.TRUNCATED
        rgb = simplejpeg.decode_jpeg(data, "RGB", **want, strict=False)
        _check_recovered(rgb, reason, detail)
    frame = Frame(index=0, rgb=orient(rgb, header.orientation))
    return Decoded(header=header, frames=(frame,), reason=reason, detail=detail)


# --- everything else --------------------------------------------------------------------------


def _decode_frames(image: Image.Image, header: Header, min_side: int, limits: Limits) -> Decoded:
    reason, detail = None, None
    frames: list[Frame] = []
    reachable = _reachable(header, limits)
    if reachable < header.frames:
        reason = Reason.FRAMES_SKIPPED
        detail = f"sampled {reachable} of {header.frames} frames"
    try:
        for index in _sampled(reachable, limits.max_frames):
            if header.frames > 1:
                image.seek(index)
            rgb = np.asarray(to_rgb(image, min_side))
            if index == 0:  # by now an orientation behind the pixels of a PNG was read
                header = replace(header, orientation=orientation_of(image))
            frames.append(Frame(index=index, rgb=orient(rgb, header.orientation)))
    except MemoryError:
        raise
    except Exception as error:  # the decoders again; what came before it still counts
        reason, detail = _decoder_reason(error), _words(error)
        if not frames:
            salvaged = _salvage(image, min_side)
            if salvaged is None:
                raise
            _check_recovered(salvaged, reason, detail)
            frames.append(Frame(index=0, rgb=orient(salvaged, header.orientation)))
    return Decoded(header=header, frames=tuple(frames), reason=reason, detail=detail)


def _reachable(header: Header, limits: Limits) -> int:
    """Return how many leading frames may be decoded: later ones build on earlier ones."""
    budget = limits.max_pixels * limits.max_frames
    return min(header.frames, MAX_PAGES, max(1, budget // (header.width * header.height)))


def _sampled(count: int, wanted: int) -> Iterator[int]:
    """Yield at most ``wanted`` frame numbers, evenly from the first of ``count`` to the last."""
    taken = max(1, min(count, wanted))
    for i in range(taken):
        yield round(i * (count - 1) / (taken - 1)) if taken > 1 else 0


def to_rgb(image: Image.Image, min_side: int) -> Image.Image:
    """Reduce a Pillow image by a whole factor and bring it to 8-bit RGB.

    Transparent pixels become white. 16-bit values are divided by 257. Floating-point values are
    taken as 0 to 1 where none is larger than 1, else as 0 to 255; values outside are clipped.

    Args:
        image: any mode that Pillow converts to RGB.
        min_side: the short side keeps at least this many pixels.
    """
    if image.mode in _WIDE_MODES:
        image = _narrow(image)
    if image.mode in {"P", "PA"} or "transparency" in image.info:
        image = image.convert("RGBA" if _has_alpha(image) else "RGB")
    elif image.mode in {"1", "La"}:  # neither reduces, nor becomes RGB at once
        image = image.convert("L" if image.mode == "1" else "LA")
    factor = max(1, min(image.size) // max(1, min_side))
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
    values = np.asarray(image)
    if values.dtype.kind == "f":
        values = np.clip(np.nan_to_num(values), 0, 255)
        eight = values * (255.0 if values.max(initial=0.0) <= 1.0 else 1.0)
    else:
        eight = np.clip(values, 0, 65535) // _SIXTEEN_TO_EIGHT
    return Image.fromarray(eight.astype(np.uint8))


def orient(rgb: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn an array upright.

    Args:
        rgb: (height, width, ...) as stored.
        orientation: EXIF orientation, 1 to 8 (Exif 3.0, tag 0x0112).
    """
    if orientation >= 5:
        rgb = np.swapaxes(rgb, 0, 1)
    if orientation in {3, 4, 7, 8}:
        rgb = rgb[::-1]
    if orientation in {2, 3, 6, 7}:
        rgb = rgb[:, ::-1]
    return np.ascontiguousarray(rgb)


# --- damaged data -----------------------------------------------------------------------------


MIN_RECOVERED = 0.5
"""Share of its rows that a damaged image must have to be scored at all.

With less, a model sees mostly filling, for which no threshold was ever measured: the image would
pass as clear for what it does not show. It fails instead, so that it is tried again when its file
may be whole, or looked at by somebody.
"""


def _salvage(image: Image.Image, min_side: int) -> NDArray[np.uint8] | None:
    """Return what Pillow had decoded of a first frame when it gave up; None where it cannot.

    Pillow can do this itself, but only by a switch for the whole process.
    """
    image.tile = []  # type: ignore[attr-defined]  # nothing is left to load: what is there stays
    try:
        return np.asarray(to_rgb(image, min_side))
    except MemoryError:
        raise
    except Exception:
        return None


def _check_recovered(rgb: NDArray[np.uint8], reason: Reason, detail: str) -> None:
    """Refuse a damaged image, as stored, of which too few rows are there."""
    share = _recovered(rgb)
    if share == 0:
        raise Refused(reason, detail)
    if share < MIN_RECOVERED:
        raise Refused(reason, f"only {share:.0%} of the rows could be decoded ({detail})")


def _recovered(rgb: NDArray[np.uint8]) -> float:
    """Return the share of rows that a decoder came to before it gave up, 0 to 1.

    What it did not come to is of one colour (libjpeg fills with grey, Pillow begins with black or
    with what is transparent), and lies at the end; in a BMP, at the beginning. An image that ends
    in one colour by itself counts as less than it is: it is rather looked at than cleared.
    """
    missing = max(_rows_of_one_color(rgb), _rows_of_one_color(rgb[::-1]))
    return 1 - missing / len(rgb)


def _rows_of_one_color(rgb: NDArray[np.uint8]) -> int:
    """Return how many rows from the first one on are of the first pixel's colour."""
    alike = (rgb == rgb[0, 0]).all(axis=(1, 2))
    return len(alike) if alike.all() else int(alike.argmin())


_EARLY_ENDS = (
    "truncated",
    "premature end of jpeg",
    "incomplete",
    "not enough data",
    "unexpected end",
    "no more images",
)
_UNSUPPORTED = (
    "unsupported",
    "not supported",
    "cannot handle",
    "unknown pixel mode",
    "unknown data organization",
)


def _decoder_reason(error: Exception) -> Reason:
    words = str(error).lower()
    # Pillow wraps these in a SyntaxError: a field was read that is not there.
    missing = isinstance(error.__cause__ or error, EOFError | IndexError | struct.error)
    if missing or any(word in words for word in _EARLY_ENDS):
        return Reason.TRUNCATED
    if any(word in words for word in _UNSUPPORTED):
        return Reason.UNSUPPORTED_FORMAT
    return Reason.CORRUPT_DATA


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
