"""From bytes to upright RGB frames, reduced where that costs nothing that the model would see.

JPEG goes through simplejpeg, which decodes at a fraction of the size and reports damage; the rest
through Pillow. An image of which no pixels can be had raises :class:`Refused`.
"""

import contextlib
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from recognizer._messages import MESSAGES
from recognizer.imaging.bare import PNG_PARTS, bare_png, check_chunks, image_of_icon
from recognizer.imaging.formats import (
    MAX_PAGES,
    OPENERS,
    SNIFF_BYTES,
    canvas_size,
    count_frames,
    open_image,
    orientation_of,
    sniff,
)
from recognizer.imaging.jpeg import MAX_SCANS, bare_jpeg, outline_jpeg
from recognizer.imaging.pixels import (
    check_bytes,
    check_memory,
    check_size,
    kept_frames,
    orient,
    to_rgb,
)
from recognizer.imaging.sources import Limits, Refused
from recognizer.status import Reason, Status

_DAMAGED = frozenset({Reason.CORRUPT_HEADER, Reason.CORRUPT_DATA, Reason.TRUNCATED})
_WEBP_BYTES = 16  # a pixel, with the canvases of an animation
_COEFFICIENT_BYTES = 2
_MAX_JPEG_HEADER = 1 << 20  # bytes; libjpeg takes a hundred for each segment of a colour profile
_HUFFMAN_TABLE, _END_OF_IMAGE = b"\xff\xc4", b"\xff\xd9"  # markers of JPEG

MIN_SIDE = 16  # an image with a short side under this many pixels is scored, but counts as degraded


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One decoded frame, by its number from 0: uint8, (height, width, 3), RGB, perhaps reduced."""

    index: int
    rgb: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedImage:
    """An image on its way to the model.

    ``reason`` and ``detail`` say why the status is not ``ok``. The sampled ``frames`` are empty if
    and only if it is ``failed``. ``sha256`` is of the encoded bytes; ``width`` and ``height`` are
    of the upright image in pixels, before any reduction. None stands for what is unknown.
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
    frames: Sequence[Frame],
    size: tuple[int, int],
    orientation: int,
    name: str | None = None,
    count: int = 1,
    reason: Reason | None = None,
    detail: str | None = None,
) -> LoadedImage:
    width, height = size[::-1] if orientation >= 5 else size
    if reason is None and min(width, height) < MIN_SIDE:
        reason, detail = Reason.TOO_SMALL, f"{width}x{height} pixels"
    return LoadedImage(
        status=Status.OK if reason is None else Status.DEGRADED,
        reason=reason,
        detail=detail,
        frames=tuple(frames),
        format=name,
        width=width,
        height=height,
        frame_count=count,
    )


def decode(data: bytes, *, min_side: int, limits: Limits) -> LoadedImage:
    """Decode an image, reduced only as far as its short side keeps ``min_side`` pixels.

    If something in the header of a PNG keeps it from being decoded, it is tried without its
    metadata.
    """
    if not data:
        raise Refused(Reason.EMPTY, "zero bytes")
    name = sniff(data[:SNIFF_BYTES])
    if name is None:
        raise Refused(Reason.NOT_AN_IMAGE, "no known magic bytes")
    if name == "ico":
        return replace(decode(image_of_icon(data), min_side=min_side, limits=limits), format=name)
    if name == "jpeg":
        return _decode_jpeg(data, min_side, limits)
    if name not in OPENERS:
        raise Refused(Reason.UNSUPPORTED_FORMAT, f"{name} is not decoded")
    try:
        return _decode(data, name, min_side, limits)
    except Refused as refused:
        if name != "png" or refused.reason not in _DAMAGED:
            raise
        for kept in PNG_PARTS:
            with contextlib.suppress(Refused):
                image = _decode(bare_png(data, kept), name, min_side, limits)
                reason, detail = image.reason or refused.reason, image.detail or refused.detail
                return replace(image, status=Status.DEGRADED, reason=reason, detail=detail)
        raise


def _decode(data: bytes, name: str, min_side: int, limits: Limits) -> LoadedImage:
    MESSAGES.take()  # of another image
    if name == "png":
        check_chunks(data)
    if canvas := canvas_size(data, name):
        check_size(canvas, limits)
        if name == "webp":  # before it is opened: that makes the canvases
            check_bytes(canvas[0] * canvas[1] * _WEBP_BYTES, canvas, "of a WebP", limits)
    with _refusing(data, name):
        image = open_image(data, name)
        check_size(image.size, limits)
        count = count_frames(data, name, image)
    with _refusing():
        check_memory(image, name, count, limits)
        loaded = _decode_frames(image, name, count, min_side, limits)
    # What libtiff has printed is an error that it returned as success.
    damage = find_damage(MESSAGES.take()) if name == "tiff" else None
    if damage is None or loaded.reason not in {None, Reason.TOO_SMALL}:
        return loaded
    reason = decoder_reason(ValueError(damage))
    return replace(loaded, status=Status.DEGRADED, reason=reason, detail=f"libtiff: {damage}")


def decode_image(image: Image.Image, *, min_side: int, limits: Limits) -> LoadedImage:
    """Load the current frame of a Pillow image of any mode; of limits, that on pixels applies."""
    check_size(image.size, limits)
    with _refusing():
        image.load()
        orientation = orientation_of(image)
        rgb = orient(np.asarray(to_rgb(image, min_side)), orientation)
    return _loaded([Frame(index=0, rgb=rgb)], image.size, orientation)


@contextlib.contextmanager
def _refusing(data: bytes = b"", name: str = "") -> Iterator[None]:
    # The one boundary to the decoders, which raise all kinds of errors; with data, on its header.
    try:
        yield
    except Refused:
        raise
    except MemoryError as error:
        raise Refused(Reason.OUT_OF_MEMORY, "the image does not fit") from error
    except Exception as error:
        reason = _header_reason(error, data, name) if data else decoder_reason(error)
        raise Refused(reason, words_of(error)) from error


def _header_reason(error: Exception, data: bytes, name: str) -> Reason:
    # A WebP decoder says no more than that it fails; the container tells its length.
    if name == "webp" and 8 + int.from_bytes(data[4:8], "little") > len(data):
        return Reason.TRUNCATED
    reason = _jpeg_reason(error, data) if name == "jpeg" else decoder_reason(error)
    return Reason.CORRUPT_HEADER if reason is Reason.CORRUPT_DATA else reason


def _jpeg_reason(error: Exception, data: bytes) -> Reason:
    reason = decoder_reason(error)
    is_cut = reason is Reason.CORRUPT_DATA and outline_jpeg(data, is_whole=True).is_cut
    return Reason.TRUNCATED if is_cut else reason


def _decode_jpeg(data: bytes, min_side: int, limits: Limits) -> LoadedImage:
    outline = outline_jpeg(data)
    if outline.is_unusual:  # reduced, a lossless one would be written beyond the pixels' memory
        raise Refused(Reason.UNSUPPORTED_FORMAT, "a lossless or hierarchical JPEG")
    if outline.scans > MAX_SCANS:
        raise Refused(Reason.UNSUPPORTED_FORMAT, f"a JPEG of more than {MAX_SCANS} scans")
    whole = data
    if outline.header_bytes > _MAX_JPEG_HEADER:
        data = bare_jpeg(whole, outline)
    with _refusing(data, "jpeg"):
        height, width, *_ = simplejpeg.decode_jpeg_header(data, strict=False)
    check_size((width, height), limits)
    if outline.scans > 1:  # held whole, as coefficients
        needed = width * height * outline.components * _COEFFICIENT_BYTES
        check_bytes(needed, (width, height), f"in {outline.scans} scans", limits)
    want = {"min_height": min(min_side, height), "min_width": min(min_side, width)}
    reason, detail = None, None
    with _refusing():
        try:
            rgb = simplejpeg.decode_jpeg(data, "RGB", **want, strict=True)
        except ValueError as error:
            # libjpeg's warnings: try again without those of the header, and take what it gives.
            reason, detail = _jpeg_reason(error, data), words_of(error)
            rgb = _recover_jpeg(bare_jpeg(whole, outline), want)
            check_recovered(rgb, reason, detail)
    # Its further images (MPO) are previews or the other eye: the first one is the photo.
    frame = Frame(index=0, rgb=orient(rgb, outline.orientation))
    return _loaded([frame], (width, height), outline.orientation, "jpeg", 1, reason, detail)


def _recover_jpeg(data: bytes, want: Mapping[str, int]) -> NDArray[np.uint8]:
    height, width, *_ = simplejpeg.decode_jpeg_header(data, **want, strict=False)
    # After a fatal error, as in a table that was cut off, libjpeg leaves the memory that it was
    # given as it was; the scans before that table can still be decoded.
    before_table = data[: max(data.rfind(_HUFFMAN_TABLE), 0)] + _END_OF_IMAGE
    for part in (data, before_table):
        rgb: NDArray[np.uint8] = np.zeros((height, width, 3), np.uint8)
        with contextlib.suppress(ValueError):
            simplejpeg.decode_jpeg(part, "RGB", **want, strict=False, buffer=rgb)
        if rgb.any():
            break
    return rgb


def _decode_frames(
    image: Image.Image, name: str, count: int, min_side: int, limits: Limits
) -> LoadedImage:
    reason, detail = None, None
    frames: list[Frame] = []
    size, orientation = image.size, orientation_of(image)
    # Frames from the first on: later ones build on earlier ones.
    budget = limits.max_pixels * limits.max_frames
    reachable = min(count, MAX_PAGES, max(1, budget // (size[0] * size[1])))
    wanted = kept_frames(size, min_side, limits)
    if reachable < count:
        reason, detail = Reason.FRAMES_SKIPPED, f"sampled {reachable} of {count} frames"
    elif wanted < min(reachable, limits.max_frames):
        reason, detail = Reason.FRAMES_SKIPPED, f"sampled {wanted} large frames"
    taken = min(reachable, wanted)  # evenly, from the first to the last
    try:
        for index in (round(i * (reachable - 1) / max(1, taken - 1)) for i in range(taken)):
            if count > 1:
                image.seek(index)
            if index:  # a page of a TIFF may be of any size and mode
                check_size(image.size, limits)
                check_memory(image, name, count, limits)
            rgb = np.asarray(to_rgb(image, min_side))
            if index == 0:  # by now an orientation behind the pixels of a PNG was read
                orientation = orientation_of(image)
            frames.append(Frame(index=index, rgb=orient(rgb, orientation)))
    except MemoryError:
        raise
    except Refused as refused:  # a later frame
        reason, detail = refused.reason, refused.detail
    except Exception as error:  # the decoders again; what came before it still counts
        reason, detail = decoder_reason(error), words_of(error)
        if not frames:
            salvaged = _salvage(image, min_side)
            if salvaged is None:
                raise
            check_recovered(salvaged, reason, detail)
            frames.append(Frame(index=0, rgb=orient(salvaged, orientation)))
    return _loaded(frames, size, orientation, name, count, reason, detail)


def _salvage(image: Image.Image, min_side: int) -> NDArray[np.uint8] | None:
    # What Pillow had decoded when it gave up. It does this itself only by a switch of the process.
    image.tile = []  # type: ignore[attr-defined]  # nothing is left to load: what is there stays
    try:
        return np.asarray(to_rgb(image, min_side))
    except MemoryError:
        raise
    except Exception:
        return None


_EARLY_END = re.compile(
    "truncated|premature end of jpeg|incomplete|not enough data|unexpected end|no more images"
)
_UNSUPPORTED = re.compile(
    "unsupported|not supported|cannot handle|unknown (?:pixel mode|data organization)"
)
_TIFF_ERROR = re.compile(r"JPEGLib: |[\w.]+: (?!Warning, )")

MIN_RECOVERED = 0.5
"""Share of its rows that a damaged image must have to be scored at all.

With less, a model sees mostly filling: the image would pass as clear for what it does not show.
"""


def check_recovered(rgb: NDArray[np.uint8], reason: Reason, detail: str) -> None:
    """Refuse an image of which a decoder came to too few rows, as stored, before it gave up.

    What it did not come to is of one colour, and lies at the end; in a BMP, at the beginning. An
    image that ends in one colour by itself is rather looked at than cleared.
    """
    alike = [(part == part[0, 0]).all(axis=(1, 2)) for part in (rgb, rgb[::-1])]
    missing = max(len(rows) if rows.all() else int(rows.argmin()) for rows in alike)
    share = 1 - missing / len(rgb)
    if share == 0:
        raise Refused(reason, detail)
    if share < MIN_RECOVERED:
        raise Refused(reason, f"only {share:.0%} of the rows could be decoded ({detail})")


def decoder_reason(error: Exception) -> Reason:
    words = str(error).lower()
    # Pillow wraps these in a SyntaxError: a field was read that is not there.
    missing = isinstance(error.__cause__ or error, EOFError | IndexError | struct.error)
    if missing or _EARLY_END.search(words):
        return Reason.TRUNCATED
    if _UNSUPPORTED.search(words):
        return Reason.UNSUPPORTED_FORMAT
    return Reason.CORRUPT_DATA


def find_damage(messages: str) -> str | None:
    """Return the first error among what libtiff has printed, or warning of libjpeg."""
    return next((line[:200] for line in messages.splitlines() if _TIFF_ERROR.match(line)), None)


def words_of(error: Exception) -> str:
    """Return the class and the message of an error, not too long."""
    return f"{type(error).__name__}: {error}"[:200]
