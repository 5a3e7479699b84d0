"""From bytes to upright RGB frames, reduced where that costs nothing that the model would see.

JPEG goes through simplejpeg, which is fast and reports damage; the rest through Pillow. An image of
which no pixels can be had raises :class:`Refused`.
"""

import contextlib
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImagePalette

from recognizer.errors import words_of
from recognizer.imaging import color
from recognizer.imaging.color import Conversion
from recognizer.imaging.formats import (
    OPENERS,
    SNIFF_BYTES,
    ambiguity,
    canvas_size,
    count_frames,
    open_image,
    orientation_of,
    sniff,
)
from recognizer.imaging.frames import MAX_FRAMES, Chosen, canvases
from recognizer.imaging.jpeg import MAX_SCANS, JpegOutline, outline_jpeg
from recognizer.imaging.pixels import (
    averaged,
    check_bytes,
    check_memory,
    check_size,
    kept_frames,
    orient,
    reduction,
    renderings,
)
from recognizer.imaging.png import PNG_PARTS, bare_png, png_chunks
from recognizer.imaging.regions import Box
from recognizer.imaging.sources import Limits, Refused
from recognizer.status import Reason, Status

Chunks: TypeAlias = Mapping[bytes, bytes]  # of a PNG
_DAMAGED = frozenset({Reason.CORRUPT_HEADER, Reason.CORRUPT_DATA, Reason.TRUNCATED})
_COPIED_BYTES = 16  # a pixel of which there are copies: canvases of a WebP, its true colors
_COEFFICIENT_BYTES = 2
_NCLX = re.compile(rb"(?s)\0\0\0\x13colrnclx(.{4})")  # ISO/IEC 14496-12, section 12.1.5
_HUFFMAN_TABLE, _END_OF_IMAGE = b"\xff\xc4", b"\xff\xd9"  # markers of JPEG
_TAIL = 4096  # bytes, in which the end of a JPEG is looked for

MIN_SIDE = 16  # an image with a short side under this many pixels is scored, but counts as degraded


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One decoded frame, by its number from 0: uint8, (height, width, 3), RGB, perhaps reduced.

    One that viewers show in different ways is there once for each ``rendering``, from 0.
    A part of one has its ``box``: left, top, right, bottom in pixels of the whole upright image.
    """

    index: int
    rgb: NDArray[np.uint8]
    rendering: int = 0
    box: Box | None = None

    @property
    def place(self) -> tuple[int, int]:
        """The number of the frame, and that of the rendering."""
        return self.index, self.rendering


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedImage:
    """An image on its way to the model.

    ``reason`` and ``detail`` say why the status is not ``ok``. The sampled ``frames`` are empty if
    and only if it is ``failed``. ``views`` are what a model looks at, if it was asked for: the
    frames and their parts. ``sha256`` is of the encoded bytes; ``width`` and ``height`` are of the
    upright image in pixels, before any reduction. None stands for what is unknown.
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


def _loaded(
    ways: Mapping[int, Sequence[NDArray[np.uint8]]],
    size: tuple[int, int],
    orientation: int,
    name: str | None = None,
    count: int | None = 1,
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
        frames=tuple(
            Frame(index=index, rendering=rendering, rgb=rgb)
            for index, shown in ways.items()
            for rendering, rgb in enumerate(shown)
        ),
        format=name,
        width=width,
        height=height,
        frame_count=count,
    )


def decode(data: bytes, *, min_side: int, limits: Limits) -> LoadedImage:
    """Decode an image, reduced only as far as its short side keeps ``min_side`` pixels.

    A PNG that something in its header keeps from being decoded is tried without its metadata.
    """
    if not data:
        raise Refused(Reason.EMPTY, "zero bytes")
    name = sniff(data[:SNIFF_BYTES])
    if name is None:
        raise Refused(Reason.NOT_AN_IMAGE, "no known magic bytes")
    if name == "jpeg":
        return _decode_jpeg(data, min_side, limits)
    if name not in OPENERS:
        raise Refused(Reason.UNSUPPORTED_FORMAT, f"{name} is not decoded")
    chunks = png_chunks(data) if name == "png" else {}
    try:
        return _decode(data, name, min_side, limits, chunks, None)
    except Refused as refused:
        if name != "png" or refused.reason not in _DAMAGED:
            raise
        for kept in PNG_PARTS:
            with contextlib.suppress(Refused):
                image = _decode(bare_png(data, kept), name, min_side, limits, chunks, None)
                reason, detail = image.reason or refused.reason, image.detail or refused.detail
                return replace(image, status=Status.DEGRADED, reason=reason, detail=detail)
        raise


def _decode(
    data: bytes, name: str, min_side: int, limits: Limits, chunks: Chunks, jpeg: JpegOutline | None
) -> LoadedImage:
    if canvas := canvas_size(data, name):
        check_size(canvas, limits)
        if name == "webp":  # before it is opened: that makes the canvases
            check_bytes(canvas[0] * canvas[1] * _COPIED_BYTES, canvas, "of a WebP", limits)
    if unusual := ambiguity(data, name):
        raise Refused(Reason.UNSUPPORTED_FORMAT, unusual)
    with _refusing(data, name):
        image = open_image(data, name)
        check_size(size := image.size, limits)
        count = count_frames(data, name, image)
    with _refusing():
        check_memory(image, name, count, limits)
        profile = jpeg.profile if jpeg else _profile_of(image, name)
        conversion, flaw = _conversion(data, name, profile, chunks)
        if conversion and conversion.is_bent:
            check_bytes(size[0] * size[1] * _COPIED_BYTES, size, "in their colors", limits)
            if chunks.get(b"IHDR", b"")[8:9] == b"\x10":  # of which Pillow keeps eight
                raise Refused(Reason.UNSUPPORTED_FORMAT, "16 bits, and colors far from sRGB")
        exif = chunks.get(b"eXIf", b"") if chunks else _exif_of(image)
        way = jpeg.orientation if jpeg else orientation_of(exif), conversion
        if name == "png" and image.mode == "P":  # values beyond it are its last color
            palette = chunks.get(b"PLTE", b"")
            image.palette = ImagePalette.raw("RGB", (palette + palette[-3:] * 255)[:768])
        loaded = _decode_frames(data, image, name, count, min_side, limits, way)
    if flaw and loaded.reason in {None, Reason.TOO_SMALL}:
        return replace(loaded, status=Status.DEGRADED, reason=Reason.CORRUPT_HEADER, detail=flaw)
    return loaded


def _conversion(
    data: bytes, name: str, profile: bytes | None, chunks: Chunks
) -> tuple[Conversion | None, str | None]:
    # What makes colors those that are shown; or what is wrong with their profile.
    try:
        if name == "png":
            return color.of_png(chunks), None
        if profile is not None:
            return color.of_profile(profile), None
        codes = _NCLX.findall(data) if name in {"avif", "heic"} else []
        if name == "avif" and len({*codes}) != 1:  # that of its stream counts, or which one does?
            return None, f"{len({*codes})} color spaces"
        return (color.of_code(*struct.unpack(">HH", codes[0])) if codes else None), None
    except (ValueError, zlib.error) as error:
        return None, f"color profile: {error}"


def _profile_of(image: Image.Image, name: str) -> bytes | None:
    # Browsers ignore that of a GIF; of one that cannot be unpacked Pillow gives None.
    is_there = "icc_profile" in image.info and name != "gif"
    return (image.info["icc_profile"] or b"") if is_there else None


def _exif_of(image: Image.Image) -> bytes:
    # Browsers ignore that of a WebP; Pillow turns a TIFF, and puts what counts of an AVIF there.
    exif = image.info.get("exif") if image.format not in {"TIFF", "WEBP"} else None
    return exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""


def decode_image(image: Image.Image, *, min_side: int, limits: Limits) -> LoadedImage:
    """Load the current frame of a Pillow image of any mode; of limits, that on pixels applies."""
    check_size(image.size, limits)
    with _refusing():
        image.load()
        orientation = orientation_of(_exif_of(image))
        conversion, _ = _conversion(b"", "", _profile_of(image, ""), {})
        shown = [orient(rgb, orientation) for rgb in renderings(image, min_side, conversion)]
    return _loaded({0: shown}, image.size, orientation)


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
    is_cut |= name == "jpeg" and _END_OF_IMAGE not in data[-_TAIL:]
    return Reason.TRUNCATED if is_cut and reason is Reason.CORRUPT_DATA else reason


def _decode_jpeg(data: bytes, min_side: int, limits: Limits) -> LoadedImage:
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
            return _decode(outline.bare(data), "jpeg", min_side, limits, {}, outline)
    check_size((width, height), limits)
    conversion, detail = _conversion(data, "jpeg", outline.profile, {})
    reason = Reason.CORRUPT_HEADER if detail else None
    if conversion and conversion.mode == "CMYK" and space not in {"CMYK", "YCCK"}:
        conversion = None  # browsers ignore it, too; some heed one of light for inks
    mode = "CMYK" if conversion and conversion.mode == "CMYK" else "RGB"
    # Whole: values beyond 0 to 255 would make another image of it at a fraction of its size.
    halvings = min(3, reduction((width, height), min_side).bit_length() - 1)
    a_pixel = len(mode)
    if outline.scans > 1:  # held as coefficients
        a_pixel += outline.components * _COEFFICIENT_BYTES
    if conversion and conversion.is_bent:  # and reduced in the end
        a_pixel, halvings = max(a_pixel, _COPIED_BYTES), 0
    check_bytes(height * width * a_pixel, (width, height), f"in {outline.scans} scans", limits)
    with _refusing():
        try:  # colors that are averaged next are not interpolated first
            pixels = simplejpeg.decode_jpeg(data, mode, fastupsample=halvings > 0, strict=True)
        except ValueError as error:
            # libjpeg's warnings: try again without those of the header, and take what it gives.
            reason, detail = _reason(error, data, "jpeg"), words_of(error)
            pixels = _recover_jpeg(outline.bare(data), (height, width, len(mode)), mode)
            check_recovered(pixels, reason, detail)
        for _ in range(halvings):
            pixels = averaged(pixels, 2)
        shown = [pixels]
        if conversion:
            shown = renderings(_jpeg_image(pixels, space), min_side, conversion)
    # Its further images (MPO) are previews or the other eye: browsers show the first one.
    ways = {0: [orient(rgb, outline.orientation) for rgb in shown]}
    return _loaded(ways, (width, height), outline.orientation, "jpeg", 1, reason, detail)


def _jpeg_image(pixels: NDArray[np.uint8], space: str) -> Image.Image:
    if pixels.shape[2] == 4:  # encoders invert inks
        return Image.frombytes("CMYK", pixels.shape[1::-1], np.ascontiguousarray(255 - pixels))
    return Image.fromarray(pixels[..., 0] if space == "Gray" else pixels)


def _recover_jpeg(data: bytes, shape: tuple[int, ...], mode: str) -> NDArray[np.uint8]:
    # After a fatal error, as in a table that was cut off, libjpeg leaves the memory that it was
    # given as it was; the scans before that table can still be decoded.
    before_table = data[: max(data.rfind(_HUFFMAN_TABLE), 0)] + _END_OF_IMAGE
    for part in (data, before_table):
        pixels: NDArray[np.uint8] = np.zeros(shape, np.uint8)
        with contextlib.suppress(ValueError):
            simplejpeg.decode_jpeg(part, mode, strict=False, buffer=pixels)
        if pixels.any():
            break
    return pixels


def _decode_frames(
    data: bytes,
    image: Image.Image,
    name: str,
    count: int,
    min_side: int,
    limits: Limits,
    way: tuple[int, Conversion | None],
) -> LoadedImage:
    reason, detail = None, None
    size, (orientation, conversion) = image.size, way
    # Frames from the first on: later ones build on earlier ones.
    budget = limits.max_pixels * limits.max_frames
    reachable = min(count, MAX_FRAMES, max(1, budget // (size[0] * size[1])))
    reachable = 1 if name == "tiff" else reachable  # viewers show the first page
    chosen = Chosen(count, kept_frames(size, min_side, limits))

    def render(canvas: Image.Image) -> list[NDArray[np.uint8]]:
        return [orient(rgb, orientation) for rgb in renderings(canvas, min_side, conversion)]

    try:
        for index, canvas in enumerate(canvases(data, image, name, reachable)):
            if index and name == "heic":  # the images of which may have any size
                check_size(canvas.size, limits)
                check_memory(canvas, name, count, limits)
            chosen.offer(index, canvas, render)
    except MemoryError:
        raise
    except Refused as refused:  # a later frame
        if not any(chosen.ways.values()):
            raise
        reason, detail = refused.reason, refused.detail
    except Exception as error:  # the decoders again; what came before it still counts
        reason, detail = decoder_reason(error), words_of(error)
        if not any(chosen.ways.values()):
            salvaged = _salvage(image, min_side)
            if salvaged is None:
                raise
            check_recovered(salvaged, reason, detail)
            chosen.ways = {0: [orient(salvaged, orientation)]}
    if reason is None and len(chosen.ways) < count:
        reason, detail = Reason.FRAMES_SKIPPED, f"looked at {len(chosen.ways)} of {count} frames"
    if name == "tiff" and count > 1:
        return _loaded(chosen.ways, size, orientation, name, None, reason, "of several pages")
    return _loaded(chosen.ways, size, orientation, name, count, reason, detail)


def _salvage(image: Image.Image, min_side: int) -> NDArray[np.uint8] | None:
    # What Pillow had decoded when it gave up. It does this itself only by a switch of the process.
    image.tile = []  # type: ignore[attr-defined]  # nothing is left to load: what is there stays
    try:
        return renderings(image, min_side)[0]
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

# Share of its rows that a damaged image must have to be scored: with less, a model sees filling.
MIN_RECOVERED = 0.5


def check_recovered(rgb: NDArray[np.uint8], reason: Reason, detail: str) -> None:
    """Refuse an image of which a decoder read too few rows, as stored, before it gave up.

    Rows that it did not read are of one color, and lie at the end; in a BMP, at the beginning. An
    image that ends in one color anyway is refused, too, rather than cleared.
    """
    alike = [(part == part[0, 0]).all(axis=(1, 2)) for part in (rgb, rgb[::-1])]
    missing = max(len(rows) if rows.all() else int(rows.argmin()) for rows in alike)
    share = 1 - missing / len(rgb)
    if share < MIN_RECOVERED:
        words = f"only {share:.0%} of the rows could be decoded ({detail})"
        raise Refused(reason, words if share else detail)


def decoder_reason(error: Exception) -> Reason:
    words = str(error).lower()
    # Pillow wraps these in a SyntaxError: a field was read that is not there.
    missing = isinstance(error.__cause__ or error, EOFError | IndexError | struct.error)
    if missing or _EARLY_END.search(words):
        return Reason.TRUNCATED
    return Reason.UNSUPPORTED_FORMAT if _UNSUPPORTED.search(words) else Reason.CORRUPT_DATA
