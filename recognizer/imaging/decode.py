"""From bytes to upright RGB frames, reduced where that costs nothing that the model would see.

JPEG goes through libjpeg-turbo (simplejpeg), which can decode at a fraction of the size and tells
damaged data from sound data; everything else goes through Pillow. Both end in the same three
steps: reduce, orient, RGB.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from recognizer.imaging.damage import check_recovered, decoder_reason, words_of
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
from recognizer.status import Reason, Status

_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_WIDE_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_MAX_SCANS = 100  # encoders write about ten
_SIXTEEN_TO_EIGHT = 257  # 65535 / 255: white stays white


MIN_SIDE = 16
"""An image with a short side under this many pixels is scored, but counts as degraded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One decoded frame, by its number from 0: uint8, (height, width, 3), RGB, perhaps reduced."""

    index: int
    rgb: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedImage:
    """An image on its way to the model.

    Attributes:
        status: ``ok``, ``degraded`` or ``failed``.
        reason: why it is not ``ok``, else None; ``detail`` says the same in words.
        frames: the sampled frames, upright RGB; empty if and only if ``failed``.
        sha256: of the encoded bytes, hexadecimal; None for arrays and where nothing was read.
        format: format name by magic bytes; None where unknown.
        width: of the upright image in pixels, before any reduction, as ``height``; None if unknown.
        frame_count: number of frames in the file; None where unknown.
    """

    status: Status
    reason: Reason | None = None
    detail: str | None = None
    frames: tuple[Frame, ...] = ()
    sha256: str | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    frame_count: int | None = None


def _loaded(
    header: Header,
    frames: Sequence[Frame],
    reason: Reason | None = None,
    detail: str | None = None,
) -> LoadedImage:
    """Return an image with at least one frame; ``reason``: why it is degraded."""
    width, height = header.width, header.height
    if header.orientation >= 5:
        width, height = height, width
    if reason is None and min(width, height) < MIN_SIDE:
        reason, detail = Reason.TOO_SMALL, f"{width}x{height} pixels"
    return LoadedImage(
        status=Status.OK if reason is None else Status.DEGRADED,
        reason=reason,
        detail=detail,
        frames=tuple(frames),
        format=header.format,
        width=width,
        height=height,
        frame_count=header.frames,
    )


def decode(data: bytes, *, min_side: int, limits: Limits) -> LoadedImage:
    """Decode an image, reduced only as far as its short side keeps ``min_side`` pixels.

    Raises:
        Refused: where no pixels can be had, with the reason.
    """
    header, image = _read_header(data, limits)
    with _refusing():
        if header.format == "jpeg":
            return _decode_jpeg(data, header, min_side)
        return _decode_frames(image, header, min_side, limits)


def decode_image(image: Image.Image, *, min_side: int, limits: Limits) -> LoadedImage:
    """Load a Pillow image, perhaps from a file that is open still, at its current frame.

    It may have any mode that Pillow converts to RGB. Of the limits, that on pixels applies.

    Raises:
        Refused: where no pixels can be had, with the reason.
    """
    _check_pixels(image.size, limits)
    with _refusing():
        image.load()
        width, height = image.size
        header = Header(width=width, height=height, orientation=orientation_of(image))
        rgb = orient(np.asarray(to_rgb(image, min_side)), header.orientation)
    return _loaded(header, [Frame(index=0, rgb=rgb)])


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """The one boundary to the decoders, which raise all kinds of errors."""
    try:
        yield
    except Refused:
        raise
    except MemoryError as error:
        raise Refused(Reason.OUT_OF_MEMORY, "the pixels do not fit") from error
    except Exception as error:
        raise Refused(decoder_reason(error), words_of(error)) from error


def _read_header(data: bytes, limits: Limits) -> tuple[Header, Any]:
    if not data:
        raise Refused(Reason.EMPTY, "zero bytes")
    name = sniff(data[:SNIFF_BYTES])
    if name is None:
        raise Refused(Reason.NOT_AN_IMAGE, "no known magic bytes")
    if name not in OPENERS and name != "heic":
        raise Refused(Reason.UNSUPPORTED_FORMAT, f"{name} is not decoded")
    _check_pixels(canvas_size(data, name), limits)
    try:
        image = _open_heif(data) if name == "heic" else OPENERS[name](io.BytesIO(data))
        _check_pixels(image.size, limits)
        frames = count_frames(data, name, image)
    except Refused:
        raise
    except MemoryError as error:
        raise Refused(Reason.OUT_OF_MEMORY, "the header does not fit") from error
    except Exception as error:  # headers break in as many ways as there are parsers
        raise Refused(_header_reason(error, data, name), words_of(error)) from error
    header = Header(
        format=name,
        width=image.size[0],
        height=image.size[1],
        frames=frames,
        orientation=orientation_of(image),
    )
    return header, image


def _header_reason(error: Exception, data: bytes, name: str) -> Reason:
    # A WebP decoder says no more than that it fails; the container tells its length.
    if name == "webp" and 8 + int.from_bytes(data[4:8], "little") > len(data):
        return Reason.TRUNCATED
    if name == "jpeg" and outline_jpeg(data, _MAX_SCANS) == (0, False):
        return Reason.TRUNCATED
    reason = decoder_reason(error)
    return Reason.CORRUPT_HEADER if reason is Reason.CORRUPT_DATA else reason


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


def _decode_jpeg(data: bytes, header: Header, min_side: int) -> LoadedImage:
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
        reason, detail = decoder_reason(error), words_of(error)
        if not ended and reason is Reason.CORRUPT_DATA:
            reason = Reason.TRUNCATED
        rgb = simplejpeg.decode_jpeg(data, "RGB", **want, strict=False)
        check_recovered(rgb, reason, detail)
    frame = Frame(index=0, rgb=orient(rgb, header.orientation))
    return _loaded(header, [frame], reason, detail)


# --- everything else --------------------------------------------------------------------------


def _decode_frames(
    image: Image.Image, header: Header, min_side: int, limits: Limits
) -> LoadedImage:
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
        reason, detail = decoder_reason(error), words_of(error)
        if not frames:
            salvaged = _salvage(image, min_side)
            if salvaged is None:
                raise
            check_recovered(salvaged, reason, detail)
            frames.append(Frame(index=0, rgb=orient(salvaged, header.orientation)))
    return _loaded(header, frames, reason, detail)


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
    """Reduce a Pillow image by a whole factor, as far as ``min_side`` allows, to 8-bit RGB.

    Transparent pixels become white. 16-bit values are divided by 257. Floating-point values are
    taken as 0 to 1 where none is larger than 1, else as 0 to 255; values outside are clipped.
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
    """Turn an array, as stored, upright, by its EXIF orientation (Exif 3.0, tag 0x0112)."""
    if orientation >= 5:
        rgb = np.swapaxes(rgb, 0, 1)
    if orientation in {3, 4, 7, 8}:
        rgb = rgb[::-1]
    if orientation in {2, 3, 6, 7}:
        rgb = rgb[:, ::-1]
    return np.ascontiguousarray(rgb)
