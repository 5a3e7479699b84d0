"""Which image format a file's first bytes are, and what its header claims; no pixel is decoded.

The name of a file proves nothing, and no format of Pillow beyond these is ever tried.
"""

import importlib
import io
import re
import struct
from collections.abc import Iterator

from PIL import Image
from PIL.ImageFile import ImageFile

from recognizer.imaging.sources import Refused
from recognizer.status import Reason

SNIFF_BYTES = 512  # leading bytes for :func:`sniff`: an SVG may begin with a long comment

_ORIENTATION, _EXIF_DIRECTORY, _PAGE_KIND, _MORE_PAGES = 0x0112, 0x8769, 0xFE, 0x014A
_ALPHA, _ANIMATION = 0x10, 2  # flags of an extended WebP

OPENERS: dict[str, tuple[str, str]] = {
    "jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "png": ("PIL.PngImagePlugin", "PngImageFile"),
    "webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "tiff": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "avif": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "heic": ("pillow_heif", "HeifImageFile"),  # an extra; it applies the file's own rotation
}
"""Format that Pillow decodes -> module, imported with its first file, and class."""

_MAGIC = {
    "jpeg": (b"\xff\xd8\xff",),
    "png": (b"\x89PNG\r\n\x1a\n",),
    "gif": (b"GIF87a", b"GIF89a"),
    "tiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),  # the last two are BigTIFF
    # Known, so that the reason can say so, but not decoded here:
    "ico": (b"\0\0\1\0", b"\0\0\2\0"),  # a cursor is one, too
    "jxl": (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
    "jpeg2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
}

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_BMP_HEADERS = range(12, 125)  # sizes of the header after the file header, as browsers take them
_PLAIN_BMP = {12: 24, 40: 28}  # sizes of headers, and where bits for each pixel are said
_FRAME_ALPHA = re.compile(rb"ALPH|VP8L.{8}[\x10-\x1f]", re.DOTALL)  # in a WebP
# In an AVIF: HDR, primaries far from sRGB, cropped.
_UNUSUAL_AVIF = re.compile(rb"colrnclx(?!\0[\1\2\5\6\x0c]\0[\1\2\6\x0d-\x0f])|clap")
_SVG_STARTS = (b"<svg", b"<?xml", b"<!--", b"<!doctype svg")


def sniff(head: bytes) -> str | None:  # noqa: PLR0911 - a table with conditions
    """Return the format by the first :data:`SNIFF_BYTES` bytes, perhaps one not decoded here."""
    for name, magics in _MAGIC.items():
        if head.startswith(magics):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and len(head) >= 18:  # two letters alone may begin any text
        return "bmp" if int.from_bytes(head[14:18], "little") in _BMP_HEADERS else None
    if head[4:8] == b"ftyp":
        end = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4], "big")
        brands = {head[8:12], *(head[i : i + 4] for i in range(16, min(len(head), end) - 3, 4))}
        if brands & _AVIF_BRANDS:
            return "avif"
        if brands & _HEIF_BRANDS:
            return "heic"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(_SVG_STARTS) and b"<svg" in text and b"<html" not in text:
        return "svg"
    return None


def open_image(data: bytes, name: str) -> ImageFile:
    """Open an image by its format, reading headers only; a bad one raises errors of all kinds."""
    module, opener = OPENERS[name]
    try:
        plugin = importlib.import_module(module)
    except ImportError as error:
        words = f"{name} needs the extra: wildlife-product-recognizer[heif]"
        raise Refused(Reason.UNSUPPORTED_FORMAT, words) from error
    flags = data[20] if name == "webp" and data[12:16] == b"VP8X" else _ALPHA
    is_doubtful = flags & (_ALPHA | _ANIMATION) == _ANIMATION and bool(_FRAME_ALPHA.search(data))
    if flags & _ANIMATION:  # around frames, the canvas is transparent
        data = data[:20] + bytes([flags | _ALPHA]) + data[21:]
    image: ImageFile = getattr(plugin, opener)(io.BytesIO(data))
    # Lossless pixels that nothing announces are alone; behind them, browsers heed another alpha.
    end = 20 + int.from_bytes(data[16:20], "little")
    is_doubtful |= name == "webp" and data[12:16] == b"VP8L" and end + 1 < len(data)
    if is_doubtful or (image.mode == "RGBA" and not flags & (_ALPHA | _ANIMATION)):
        raise Refused(Reason.UNSUPPORTED_FORMAT, "a WebP whose header does not announce its alpha")
    # Of runs and palettes Pillow fills gaps in its own way; it ignores profiles and some alpha.
    if name == "bmp" and (data[14] not in _PLAIN_BMP or data[_PLAIN_BMP[data[14]]] < 16):
        raise Refused(Reason.UNSUPPORTED_FORMAT, "a BMP of a palette, or with a long header")
    if name == "avif" and _UNUSUAL_AVIF.search(data):
        raise Refused(Reason.UNSUPPORTED_FORMAT, "an AVIF in colors of its own, or cropped")
    if name == "jpeg":  # read in parts, fill bytes would cost the square of their number
        image.decodermaxblock = len(data)
    return image


def canvas_size(data: bytes, name: str) -> tuple[int, int] | None:
    """Return width and height where Pillow would say them too late; else None.

    Its WebP class builds an animation decoder, two canvases of four bytes a pixel, when it opens
    a file (RFC 9649, sections 2.5 to 2.7); its GIF class learns sizes frame by frame.
    """
    if name == "gif":
        return outline_gif(data)[0]
    if name != "webp" or len(data) < 30:
        return None
    chunk = data[12:16]
    if chunk == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return 1 + width, 1 + height
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + ((bits >> 14) & 0x3FFF)
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def count_frames(data: bytes, name: str, image: Image.Image) -> int:
    """Return how many frames an opened image has, at least 1; of a TIFF of several pages 2.

    For TIFF, Pillow's search for cycles grows with the square of the number of pages.
    """
    if name == "gif":
        return max(1, outline_gif(data)[1])
    if name == "tiff":
        tags = image.tag_v2  # type: ignore[attr-defined]
        is_part = _MORE_PAGES in tags or tags.get(_PAGE_KIND, 0) & 1
        return 2 if tags.next or is_part or image.mode[-1] == "A" else 1  # viewers ignore alpha
    return max(1, int(getattr(image, "n_frames", 1)))


def outline_gif(data: bytes) -> tuple[tuple[int, int], int, bool]:
    """Return the size of a canvas that holds all frames of a GIF, their number, and a doubt.

    The doubt is whether Pillow composes them as browsers do: a frame is cleared or restored, has
    two descriptions, or is the first one and not whole.

    In the logical screen descriptor, a size may be too small (GIF89a, section 18): Pillow enlarges
    the canvas with each frame, unasked.
    """
    if len(data) < 13:
        return (0, 0), 0, False
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position, count = 13 + _palette_bytes(flags), 0
    first, control, is_cleared, is_other = None, b"", False, False
    while position < len(data) and (block := data[position : position + 1]) != b";":
        if block == b"!":
            if data[position + 1 : position + 2] == b"\xf9":
                is_other |= bool(control) or data[position + 2 : position + 3] != b"\4"
                control = data[position + 3 : position + 4]
            position = _past_sub_blocks(data, position + 2)
        elif block == b",":
            if position + 10 > len(data):
                break
            left, top, wide, high, flags = struct.unpack_from("<4HB", data, position + 1)
            width, height, count = max(width, left + wide), max(height, top + high), count + 1
            first = first or (left, top, wide, high)
            is_other |= is_cleared  # after the frame before
            is_cleared, control = bool(control) and control[0] >> 2 & 7 >= 2, b""
            # After the palette comes one byte, the initial code size.
            position = _past_sub_blocks(data, position + 11 + _palette_bytes(flags))
        else:
            position += 1  # stray bytes between blocks are skipped
    return (width, height), count, is_other or first != (0, 0, width, height)


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _past_sub_blocks(data: bytes, position: int) -> int:
    while position < len(data) and (length := data[position]):
        position += 1 + length
    return position + 1


def orientation_of(exif: bytes) -> int:
    """Return the orientation by EXIF tags as Chromium heeds it, 1 if there is none.

    It takes the first that is in range, of the first directory or the one of EXIF within it, and
    only of the type that Exif 3.0 demands.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if not order or len(exif) < 8:
        return 1

    def values(start: int, *, is_first: bool) -> Iterator[int]:
        count = int.from_bytes(exif[start : start + 2], "little" if order == "<" else "big")
        for at in range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12):
            tag, value = exif[at : at + 8], at + 8
            if tag == struct.pack(f"{order}HHI", _ORIENTATION, 3, 1):
                yield struct.unpack_from(f"{order}H", exif, value)[0]
            elif is_first and tag == struct.pack(f"{order}HHI", _EXIF_DIRECTORY, 4, 1):
                is_first = False  # files have one
                yield from values(struct.unpack_from(f"{order}I", exif, value)[0], is_first=False)

    start = struct.unpack_from(f"{order}I", exif, 4)[0]
    return next((value for value in values(start, is_first=True) if 1 <= value <= 8), 1)
