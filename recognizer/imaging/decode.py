"""From bytes to upright RGB frames, reduced where that costs nothing that the model would see.

JPEG goes through simplejpeg, which is fast and reports damage; the rest through Pillow. An image of
which no pixels can be had raises :class:`Refused`.
"""

import contextlib
import math
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from recognizer.errors import words_of
from recognizer.imaging.color import Conversion, conversion_of
from recognizer.imaging.formats import (
    OPENERS,
    SNIFF_BYTES,
    canvas_size,
    count_frames,
    open_image,
    orientation_of,
    outline_gif,
    sniff,
)
from recognizer.imaging.jpeg import MAX_SCANS, outline_jpeg
from recognizer.imaging.pixels import (
    WIDE_MODES,
    averaged,
    check_decoded,
    check_memory,
    check_range,
    check_size,
    check_time,
    orient,
    reduction,
    time_of_decoding,
    to_rgb,
)
from recognizer.imaging.png import read_png
from recognizer.imaging.regions import Box, find_parts
from recognizer.imaging.sources import Limits, Refused
from recognizer.status import Reason, Status

_COPIED_BYTES = 16  # a pixel of which there are copies: canvases of a WebP, bent colors
_COEFFICIENT_BYTES = 2
_AV1_FLAGS, _MONOCHROME = re.compile(rb"av1C..(.)", re.DOTALL), 0x10  # of an AVIF
_TAIL = 4096  # bytes, in which the marker of the end of a JPEG is looked for

_MAX_FRAMES = 4096  # that are decoded of an animation, within the limits
_TRIES = 2  # of which each may take as long, to decode a damaged JPEG
_FRAME_MS = 0.5  # more for each later frame of an animation, however small
_TOO_SHORT, _INSTEAD = 10, 100  # milliseconds: how long browsers show frames that say less

_MAX_ENLARGED = 6  # times the detail of the whole, in which a part is looked at

MIN_SIDE = 16  # an image with a short side under this many pixels is scored, but counts as degraded


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One decoded frame, by its number from 0: uint8, (height, width, 3), RGB, perhaps reduced.

    A part of a frame has a ``box``: left, top, right, bottom in pixels of the whole upright image.
    """

    index: int
    rgb: NDArray[np.uint8]
    box: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedImage:
    """An image on its way to the model.

    ``reason`` and ``detail`` say why the status is not ``ok``. The sampled ``frames`` are empty if
    and only if it is ``failed``. ``views`` are what a model looks at, if it was asked for: the
    frames and their parts. ``sha256`` is of the encoded bytes; ``width`` and ``height`` are of the
    upright image in pixels, before any reduction. None stands for what is unknown. ``decode_ms``
    is the estimated time of decoding. ``encoded`` are the bytes if only a fraction was decoded of
    them, enough for a first look.
    """

    status: Status
    reason: Reason | None = None
    detail: str | None = None
    frames: tuple[Frame, ...] = ()
    views: tuple[Frame, ...] = ()
    sha256: str | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    frame_count: int | None = None
    decode_ms: float = 0.0
    encoded: bytes | None = None


Reduce: TypeAlias = Callable[[int], NDArray[np.uint8]]
"""Returns a decoded frame, as stored, reduced only as far as its short side keeps some pixels."""


@dataclass(frozen=True, slots=True)
class Detail:
    """The short side, in pixels, that frames keep; and whether their parts are views, too.

    Unless ``is_whole``, a JPEG is decoded at the smallest fraction of its size that has that side.
    """

    min_side: int
    parts: bool = False
    is_whole: bool = False

    def views(
        self, index: int, reduce: Reduce, size: tuple[int, int], orientation: int = 1
    ) -> tuple[Frame, ...]:
        """Return a frame, upright, and then its views if there are to be parts.

        These are the frame and its parts, or of a picture in a plain frame, the picture alone.
        ``size`` is as stored.
        """
        frame = Frame(index=index, rgb=orient(reduce(self.min_side), orientation))
        if not self.parts:
            return (frame,)
        found = find_parts(frame.rgb)
        whole = () if found.is_frame else (frame,)
        if not found.boxes:
            return frame, *whole
        boxes, sides = np.array(found.boxes), frame.rgb.shape[1::-1]
        enlarged = min(_MAX_ENLARGED, min(sides) / (boxes[:, 2:] - boxes[:, :2]).min())
        detailed, wanted = frame.rgb, int(self.min_side * enlarged)
        if min(sides) < min(*size, wanted):
            with contextlib.suppress(Refused, MemoryError):
                detailed = orient(reduce(wanted), orientation)
        upright = size[::-1] if orientation >= 5 else size
        scales = (np.tile(np.divide(to, sides), 2) for to in (detailed.shape[1::-1], upright))
        crops, scaled = (np.rint(boxes * scale).astype(int).tolist() for scale in scales)
        parts = []
        for (x1, y1, x2, y2), (a, b, c, d) in zip(crops, scaled, strict=True):
            factor = reduction((x2 - x1, y2 - y1), self.min_side)
            rgb = np.ascontiguousarray(averaged(detailed[y1:y2, x1:x2], factor))
            parts.append(Frame(index=index, rgb=rgb, box=(a, b, c, d)))
        return frame, *whole, *parts


def _loaded(
    frames: Iterable[tuple[Frame, ...]],
    size: tuple[int, int],
    orientation: int,
    name: str | None = None,
    count: int | None = 1,
    reason: Reason | None = None,
    detail: str | None = None,
    decode_ms: float = 0.0,
) -> LoadedImage:
    width, height = size[::-1] if orientation >= 5 else size
    if reason is None and min(width, height) < MIN_SIDE:
        reason, detail = Reason.TOO_SMALL, f"{width}x{height} pixels"
    return LoadedImage(
        status=Status.OK if reason is None else Status.DEGRADED,
        reason=reason,
        detail=detail,
        frames=tuple(frame for frame, *_ in frames),
        views=tuple(view for _, *views in frames for view in views),
        format=name,
        width=width,
        height=height,
        frame_count=count,
        decode_ms=decode_ms,
    )


def decode(data: bytes, wanted: Detail, limits: Limits) -> LoadedImage:
    """Decode an image, reduced only as far as the detail that is wanted."""
    if not data:
        raise Refused(Reason.EMPTY, "zero bytes")
    name = sniff(data[:SNIFF_BYTES])
    if name is None:
        raise Refused(Reason.NOT_AN_IMAGE, "no known magic bytes")
    if name not in OPENERS:
        raise Refused(Reason.UNSUPPORTED_FORMAT, f"{name} is not decoded")
    if name == "jpeg":
        return _decode_jpeg(data, wanted, limits)
    if name == "png":
        png = read_png(data)
        metadata, is_composed = (png.orientation, png.profile), png.is_animated
        loaded = _decode(png.data, name, wanted, limits, metadata, is_wide=png.is_wide)
        with _refusing():
            if not png.is_whole():
                raise Refused(Reason.TRUNCATED, "pixels are missing")
    else:
        loaded = _decode(data, name, wanted, limits)
        is_composed = name == "gif" and outline_gif(data)[2]
    # A header may say gray of a stream in colors, which some browsers show; and without a box for
    # colors they heed those of the stream.
    if name == "avif" and not np.ptp(loaded.frames[0].rgb, -1).any():
        is_composed = any(flags[0] & _MONOCHROME for flags in _AV1_FLAGS.findall(data))
    is_composed |= name == "avif" and b"colr" not in data
    if is_composed and loaded.status is Status.OK:
        words = "browsers may show it in another way"
        return replace(loaded, status=Status.DEGRADED, reason=Reason.FRAMES_SKIPPED, detail=words)
    return loaded


def _decode(
    data: bytes,
    name: str,
    wanted: Detail,
    limits: Limits,
    metadata: tuple[int, bytes | None] | None = None,
    *,
    is_wide: bool = False,
    scans: int = 0,
) -> LoadedImage:
    canvas = canvas_size(data, name)
    if canvas:
        check_size(canvas, limits)
        if name == "webp":  # before it is opened: that makes the canvases
            check_decoded(canvas[0] * canvas[1] * _COPIED_BYTES, canvas, "of a WebP", limits)
    with _refusing(data, name):
        image = open_image(data, name)
        check_size(image.size, limits)
        count = count_frames(data, name, image)
    with _refusing():
        check_memory(image, name, count, limits, canvas or image.size)
        orientation, profile = metadata or (orientation_of(_exif_of(image)), _profile_of(image))
        conversion, flaw = _conversion(profile)
        if conversion and conversion.is_bent:
            check_decoded(math.prod(image.size) * _COPIED_BYTES, image.size, "in colors", limits)
            if is_wide:  # Pillow keeps the upper half of the bits
                raise Refused(Reason.UNSUPPORTED_FORMAT, "16 bits, and colors far from sRGB")
        kind = "progressive JPEG" if scans > 1 else image.info.get("compression", name)
        pixel_bytes = len(image.getbands()) * (1 + is_wide) if name == "png" else 1
        time = time_of_decoding(kind, len(data), conversion, scans, pixel_bytes)
        check_time(time[0] + math.prod(image.size) * time[1], image.size, limits)
        reduce = partial(to_rgb, image, conversion=conversion)
        loaded = _decode_frames(image, name, count, wanted, limits, orientation, reduce, time)
    if flaw and loaded.reason in {None, Reason.TOO_SMALL}:
        return replace(loaded, status=Status.DEGRADED, reason=Reason.CORRUPT_HEADER, detail=flaw)
    return loaded


def _conversion(profile: bytes | None) -> tuple[Conversion | None, str | None]:
    # The conversion to sRGB, or what is wrong with the profile.
    try:
        conversion = None if profile is None else conversion_of(profile)
    except ValueError as error:
        return None, f"color profile: {error}"
    return conversion, "color profile: far from sRGB" if conversion and conversion.is_far else None


def _profile_of(image: Image.Image) -> bytes | None:
    # Browsers ignore that of a GIF; of a profile that cannot be unpacked Pillow gives None.
    is_there = "icc_profile" in image.info and image.format != "GIF"
    return (image.info["icc_profile"] or b"") if is_there else None


def _exif_of(image: Image.Image) -> bytes:
    # Browsers ignore that of a WebP; Pillow turns a TIFF, and puts what counts of an AVIF there.
    exif = image.info.get("exif") if image.format not in {"TIFF", "WEBP"} else None
    return exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""


def decode_image(image: Image.Image, wanted: Detail, limits: Limits) -> LoadedImage:
    """Load the current frame of a Pillow image of any mode; of limits, that on pixels applies.

    Values of 16 bits that do not reach from 0 to 65535 are a UsageError.
    """
    check_size(image.size, limits)
    with _refusing():
        image.load()
    if image.mode in WIDE_MODES - {"F"}:
        check_range(np.asarray(image))
    with _refusing():
        conversion, _ = _conversion(_profile_of(image))
        reduce = partial(to_rgb, image, conversion=conversion)
        orientation = orientation_of(_exif_of(image))
        views = wanted.views(0, reduce, image.size, orientation)
        return _loaded([views], image.size, orientation)


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
        reason = _reason(error, data, name)
        if data and reason is Reason.CORRUPT_DATA:
            reason = Reason.CORRUPT_HEADER
        raise Refused(reason, words_of(error)) from error


def _reason(error: Exception, data: bytes, name: str) -> Reason:
    # Some decoders say no more than that they fail.
    reason = decoder_reason(error)
    is_cut = name == "webp" and 8 + int.from_bytes(data[4:8], "little") > len(data)
    is_cut |= name == "jpeg" and b"\xff\xd9" not in data[-_TAIL:]
    return Reason.TRUNCATED if is_cut and reason is Reason.CORRUPT_DATA else reason


def _decode_jpeg(data: bytes, wanted: Detail, limits: Limits) -> LoadedImage:
    outline = outline_jpeg(data)
    if outline.is_unusual:  # browsers show none, simplejpeg may write beyond its memory
        raise Refused(Reason.UNSUPPORTED_FORMAT, "a lossless or hierarchical JPEG")
    if outline.scans > MAX_SCANS:
        raise Refused(Reason.UNSUPPORTED_FORMAT, f"a JPEG of more than {MAX_SCANS} scans")
    with _refusing(data, "jpeg"):
        try:
            height, width, space, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        except (KeyError, ValueError) as error:  # it does not know all sampling factors
            if not outline.scans:
                raise Refused(Reason.TRUNCATED, "it ends in front of its first scan") from error
            metadata, scans = (outline.orientation, outline.profile), outline.scans
            return _decode(outline.bare(data), "jpeg", wanted, limits, metadata, scans=scans)
    size = (width, height)
    check_size(size, limits)
    conversion, detail = _conversion(outline.profile)
    reason = Reason.CORRUPT_HEADER if detail else None
    if conversion and (conversion.mode == "CMYK") != (space in {"CMYK", "YCCK"}):
        conversion = None  # browsers ignore it, too
    mode = "CMYK" if conversion and conversion.mode == "CMYK" else "RGB"
    is_reduced = reduction((width, height), wanted.min_side) > 1
    a_pixel = len(mode)
    if outline.scans > 1:  # held as coefficients
        a_pixel += outline.components * _COEFFICIENT_BYTES
    if conversion and conversion.is_bent:  # and reduced in the end
        a_pixel, is_reduced = max(a_pixel, _COPIED_BYTES), False
    check_decoded(height * width * a_pixel, size, f"in {outline.scans} scans", limits)
    kind = "progressive JPEG" if outline.scans > 1 else "jpeg"
    bytes_ns, pixel_ns = time_of_decoding(kind, len(data), conversion, outline.scans)
    ms = check_time(bytes_ns + width * height * pixel_ns, size, limits)
    # Colors that are averaged next are not interpolated first.
    strictly = partial(simplejpeg.decode_jpeg, data, mode, fastupsample=is_reduced, strict=True)
    eighths = 8 if wanted.is_whole or not is_reduced else _eighths(min(size), wanted.min_side)
    with _refusing():
        try:
            least_high, least_wide = (-(-side * eighths // 8) for side in (height, width))
            pixels = strictly(min_height=least_high, min_width=least_wide)
        except ValueError as error:
            # libjpeg's warnings: try again without those of the header, and take what it gives.
            reason, detail = _reason(error, data, "jpeg"), words_of(error)
            if (ms := _TRIES * ms) > limits.max_ms:
                raise Refused(reason, f"{detail}; too large to be tried again") from error
            pixels, eighths = np.zeros((height, width, len(mode)), np.uint8), 8
            with contextlib.suppress(ValueError):  # a fatal one leaves the rest as it was
                simplejpeg.decode_jpeg(outline.bare(data), mode, strict=False, buffer=pixels)
            if not pixels.any():
                raise Refused(reason, detail) from error

        def reduce(min_side: int) -> NDArray[np.uint8]:
            if eighths == 8 or min(pixels.shape[:2]) >= min_side:
                return _reduced_jpeg(pixels, eighths, space, conversion, min_side)
            return _reduced_jpeg(strictly(), 8, space, conversion, min_side)

        views = wanted.views(0, reduce, size, outline.orientation)
    # Its further images (MPO) are previews or the other eye: browsers show the first one.
    loaded = _loaded([views], size, outline.orientation, "jpeg", 1, reason, detail, ms)
    return loaded if eighths == 8 else replace(loaded, encoded=data)


def _eighths(side: int, min_side: int) -> int:
    """Return at how many eighths of its size a JPEG keeps the pixels that are wanted."""
    return next((n for n in (1, 2, 4) if side * n // 8 >= min_side), 8)


def _reduced_jpeg(
    pixels: NDArray[np.uint8], most: int, space: str, conversion: Conversion | None, min_side: int
) -> NDArray[np.uint8]:
    height, width, inks = pixels.shape
    if not (conversion and conversion.is_bent):
        for _ in range(min(most, reduction((width, height), min_side)).bit_length() - 1):
            pixels = averaged(pixels, 2)
    if not conversion:
        return pixels
    if inks == 4:  # encoders invert them
        image = Image.frombytes("CMYK", pixels.shape[1::-1], np.ascontiguousarray(255 - pixels))
    else:
        image = Image.fromarray(pixels[..., 0] if space == "Gray" else pixels)
    return to_rgb(image, min_side, conversion)


def _decode_frames(
    image: Image.Image,
    name: str,
    count: int,
    wanted: Detail,
    limits: Limits,
    orientation: int,
    reduce: Reduce,
    time: tuple[float, float],
) -> LoadedImage:
    reason, detail, size = None, None, image.size
    # Frames from the first on: later ones build on earlier ones.
    # Viewers show the first page of a TIFF, and of a HEIC the image that is opened.
    reachable = 1 if name in {"tiff", "heic"} else min(count, _MAX_FRAMES)
    pixels_left, ms, pixel_ns = limits.max_pixels, time[0] / 1e6, time[1]
    frames: dict[int, tuple[Frame, ...]] = {}
    ranks: dict[int, tuple[float, int]] = {}
    try:
        for index in range(reachable):
            if index:
                image.seek(index)
            pixels_left -= math.prod(image.size)
            frame_ms = math.prod(image.size) * pixel_ns / 1e6 + (_FRAME_MS if index else 0)
            if index and (pixels_left < 0 or ms + frame_ms > limits.max_ms):
                break
            ms += frame_ms
            image.load()  # some formats say the duration no sooner
            ranks[index] = _rank(index, count, image.info.get("duration") or 0)
            if len(ranks) > limits.max_frames:
                del ranks[dropped := min(ranks, key=ranks.__getitem__)]
                frames.pop(dropped, None)
            if index in ranks:
                frames[index] = wanted.views(index, reduce, image.size, orientation)
    except MemoryError:
        raise
    except Refused as refused:  # a later frame
        if not frames:
            raise
        reason, detail = refused.reason, refused.detail
    except Exception as error:  # the decoders again; what came before it still counts
        if not frames:
            raise
        reason, detail = decoder_reason(error), words_of(error)
    if reason is None and len(frames) < count:
        reason, detail = Reason.FRAMES_SKIPPED, f"looked at {len(frames)} of {count} frames"
    total: int | None = count
    if name == "tiff" and count > 1:
        total, detail = None, "of several pages, or with alpha"
    return _loaded(frames.values(), size, orientation, name, total, reason, detail, ms)


def _rank(index: int, count: int, milliseconds: float) -> tuple[float, int]:
    # First comes the first frame, then the last one, which stays, then those shown longest; of
    # equally long ones, multiples of a higher power of two: they are spread evenly.
    if index in {0, count - 1}:
        return math.inf, count - index
    return (milliseconds if milliseconds > _TOO_SHORT else _INSTEAD), index & -index


_EARLY_END = re.compile(
    "truncated|premature end of jpeg|incomplete|not enough data|unexpected end|no more images"
)
_UNSUPPORTED = re.compile("unsupported|not supported|cannot handle|unknown (?:pixel mode|data org)")


def decoder_reason(error: Exception) -> Reason:
    words = str(error).lower()
    # Pillow wraps these in a SyntaxError: a field was read that is not there.
    missing = isinstance(error.__cause__ or error, EOFError | IndexError | struct.error)
    if missing or _EARLY_END.search(words):
        return Reason.TRUNCATED
    return Reason.UNSUPPORTED_FORMAT if _UNSUPPORTED.search(words) else Reason.CORRUPT_DATA
