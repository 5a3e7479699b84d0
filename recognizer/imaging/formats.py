"""Which image format a file's first bytes are, and what its header claims.

The name of a file proves nothing: only magic bytes are looked at. Header parsing is left to
Pillow's format classes, called directly, so that no format beyond these is ever tried and so
that the pixel limit is ours alone; nothing here decodes a pixel.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image
    from PIL.ImageFile import ImageFile

SNIFF_BYTES = 32
"""How many leading bytes :func:`sniff` wants."""

EXIF_ORIENTATION = 0x0112

_OPENERS: dict[str, Callable[[io.BytesIO], ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
}

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
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
    (b"\x00\x00\x01\x00", "ico"),
    (b"\x76\x2f\x31\x01", "exr"),
    (b"qoif", "qoi"),
)

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}


@dataclass(frozen=True, slots=True)
class Header:
    """What an image file says of itself.

    Attributes:
        format: lower-case format name (``"jpeg"``, ``"png"``, ...).
        width: width in pixels, before the EXIF orientation is applied.
        height: height in pixels, before the EXIF orientation is applied.
        frames: number of frames or pages, 1 for a still picture.
        orientation: EXIF orientation, 1 to 8 (1: upright).
    """

    format: str
    width: int
    height: int
    frames: int = 1
    orientation: int = 1


def sniff(head: bytes) -> str | None:
    """Tell the image format from the first :data:`SNIFF_BYTES` bytes.

    Returns:
        A lower-case format name, which may be one that is not decoded here (``"heic"``,
        ``"svg"``, ``"jxl"``, ...), or None where the bytes are no known image format.
    """
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        brands = {head[8:12], *(head[i : i + 4] for i in range(16, len(head) - 3, 4))}
        if brands & _AVIF_BRANDS:
            return "avif"
        if brands & _HEIF_BRANDS:
            return "heic"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<svg"):
        return "svg"
    return None


def is_decodable(name: str) -> bool:
    """Whether this module opens the format ``name`` without an optional dependency."""
    return name in _OPENERS


def canvas_size(data: bytes, name: str) -> tuple[int, int] | None:
    """Return width and height for the one format whose opening already allocates pixels.

    Pillow's WebP class builds its animation decoder, two canvases of four bytes a pixel, when it
    opens a file. The size therefore has to be known before that.

    Source: RFC 9649, sections 2.5 to 2.7.

    Returns:
        The size, or None for other formats or a header that is too short.
    """
    if name != "webp" or len(data) < 30:
        return None
    chunk = data[12:16]
    if chunk == b"VP8X":
        return (
            1 + int.from_bytes(data[24:27], "little"),
            1 + int.from_bytes(data[27:30], "little"),
        )
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + ((bits >> 14) & 0x3FFF)
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def open_header(data: bytes, name: str) -> ImageFile:
    """Open ``data`` as format ``name``, reading headers only.

    Raises:
        Exception: whatever Pillow raises on a header that makes no sense (OSError, SyntaxError,
            ValueError, struct.error and others): the caller maps it to a reason.
    """
    return _OPENERS[name](io.BytesIO(data))


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none or where it is out of range."""
    try:
        value = image.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - a broken EXIF block does not spoil a good picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
