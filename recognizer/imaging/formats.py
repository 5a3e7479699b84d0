"""Which image format a file's first bytes are, and what its header claims.

The name of a file proves nothing: only magic bytes are looked at. Header parsing is left to
Pillow's format classes, called directly, so that no format beyond these is ever tried and so
that the pixel limit is ours alone; nothing here decodes a pixel.
"""

from __future__ import annotations

import importlib
import io
import struct
from dataclasses import dataclass

from PIL import Image
from PIL.ImageFile import ImageFile

from recognizer.imaging.frames import count_tiff_pages, outline_gif

SNIFF_BYTES = 512
"""How many leading bytes :func:`sniff` wants: an SVG may begin with a long comment."""

EXIF_ORIENTATION = 0x0112

OPENERS: dict[str, tuple[str, str]] = {
    "jpeg": ("JpegImagePlugin", "JpegImageFile"),
    "png": ("PngImagePlugin", "PngImageFile"),
    "webp": ("WebPImagePlugin", "WebPImageFile"),
    "gif": ("GifImagePlugin", "GifImageFile"),
    "bmp": ("BmpImagePlugin", "BmpImageFile"),
    "tiff": ("TiffImagePlugin", "TiffImageFile"),
    "avif": ("AvifImagePlugin", "AvifImageFile"),
}
"""Format that is decoded without an optional dependency -> Pillow's module and class for it.

Most processes see JPEGs alone, so a module is imported with the first file of its format.
"""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),  # BigTIFF
    (b"MM\x00+", "tiff"),
    # Known, so that the reason can say so, but not decoded here:
    (b"\xff\x0a", "jxl"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jxl"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"8BPS", "psd"),
    (b"\x76\x2f\x31\x01", "exr"),
    (b"qoif", "qoi"),
)

_ICONS = (b"\0\0\1\0", b"\0\0\2\0")  # a cursor is one, too
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}  # sizes of the header after the file header
_SVG_STARTS = (b"<svg", b"<?xml", b"<!--", b"<!doctype svg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What an image file says of itself.

    ``format`` is a lower-case name, None for pixels of no file; width and height, in pixels, are
    before the EXIF orientation (1 to 8; 1: upright) is applied; a still image has one frame.
    """

    format: str | None = None
    width: int
    height: int
    frames: int = 1
    orientation: int = 1


def sniff(head: bytes) -> str | None:  # noqa: PLR0911 - a table with conditions
    """Return the image format by the first :data:`SNIFF_BYTES` bytes; None if it is unknown.

    It is a lower-case name, perhaps of a format that is not decoded here (``"svg"``, ``"jxl"``).
    """
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and len(head) >= 18:  # two letters alone may begin any text
        return "bmp" if int.from_bytes(head[14:18], "little") in _BMP_HEADERS else None
    if head[:4] in _ICONS and head[4:6] != b"\0\0" and head[9:10] == b"\0":  # of its first image
        return "ico"
    if head[4:8] == b"ftyp":
        end = min(len(head), int.from_bytes(head[:4], "big"))
        brands = {head[8:12], *(head[i : i + 4] for i in range(16, end - 3, 4))}
        if brands & _AVIF_BRANDS:
            return "avif"
        if brands & _HEIF_BRANDS:
            return "heic"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(_SVG_STARTS) and b"<svg" in text and b"<html" not in text:
        return "svg"
    return None


def open_image(data: bytes, name: str) -> ImageFile:
    """Open an image by its format, one of :data:`OPENERS`, reading headers only.

    On a header that makes no sense it raises all kinds of things: OSError, SyntaxError, ValueError,
    struct.error and others.
    """
    module, opener = OPENERS[name]
    image: ImageFile = getattr(importlib.import_module(f"PIL.{module}"), opener)(io.BytesIO(data))
    return image


def canvas_size(data: bytes, name: str) -> tuple[int, int] | None:
    """Return width and height where Pillow would say them too late; else None.

    Its WebP class builds an animation decoder, two canvases of four bytes a pixel, when it opens
    a file; its GIF class gives the size of the first frame, which later ones may exceed.

    Source: RFC 9649, sections 2.5 to 2.7.
    """
    if name == "gif":
        outline = outline_gif(data)
        return outline and (outline.width, outline.height)
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
    """Return how many frames or pages an opened image has, at least 1."""
    if name == "jpeg":
        # Its further images (MPO) are previews or the other eye: the first one is the photo.
        return 1
    if name == "gif":
        outline = outline_gif(data)
        return max(1, outline.frames if outline else 1)
    if name == "tiff":
        return count_tiff_pages(data)
    return max(1, int(getattr(image, "n_frames", 1)))


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none or where it is out of range.

    A TIFF counts as upright: Pillow turns it while loading. A PNG may carry its EXIF behind the
    pixels; one that is not loaded yet is not asked, for Pillow would decode it.
    """
    if image.format == "TIFF":
        return 1
    if image.format == "PNG" and getattr(image, "tile", None) and "exif" not in image.info:
        return 1
    try:
        value = image.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
