"""Which image format a file's first bytes are, and what its header claims; no pixel is decoded.

The name of a file proves nothing, and no format of Pillow beyond these is ever tried.
"""

import importlib
import io
import struct

from PIL import Image
from PIL.ImageFile import ImageFile

from recognizer.imaging.sources import Refused
from recognizer.status import Reason

SNIFF_BYTES = 512  # leading bytes for :func:`sniff`: an SVG may begin with a long comment

EXIF_ORIENTATION = 0x0112

OPENERS: dict[str, tuple[str, str]] = {
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
    "jxl": (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
    "jpeg2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "psd": (b"8BPS",),
    "exr": (b"\x76\x2f\x31\x01",),
    "qoi": (b"qoif",),
}

_ICONS = (b"\0\0\1\0", b"\0\0\2\0")  # a cursor is one, too
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}  # sizes of the header after the file header
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
    """Open an image by its format, reading headers only; a bad one raises errors of all kinds."""
    module, opener = OPENERS[name]
    try:
        plugin = importlib.import_module(module)
    except ImportError as error:
        words = f"{name} needs the extra: wildlife-product-recognizer[heif]"
        raise Refused(Reason.UNSUPPORTED_FORMAT, words) from error
    image: ImageFile = getattr(plugin, opener)(io.BytesIO(data))
    return image


def canvas_size(data: bytes, name: str) -> tuple[int, int] | None:
    """Return width and height where Pillow would say them too late; else None.

    Its WebP class builds an animation decoder, two canvases of four bytes a pixel, when it opens
    a file (RFC 9649, sections 2.5 to 2.7); its GIF class gives the size of the first frame.
    """
    if name == "gif":
        outline = outline_gif(data)
        return outline and outline[:2]
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
    if name == "gif":
        outline = outline_gif(data)
        return max(1, outline[2] if outline else 1)
    if name == "tiff":
        return count_tiff_pages(data)
    return max(1, int(getattr(image, "n_frames", 1)))


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 if it is missing or out of range.

    A TIFF counts as upright: Pillow turns it while loading. A PNG that may carry its EXIF behind
    the pixels is not asked before it is loaded.
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


# --- frames -----------------------------------------------------------------------------
#
# Pillow counts them only by seeking through the file: for GIF it lets a later frame enlarge the
# canvas unasked, and for TIFF its search for cycles grows with the square of the number of pages.

MAX_PAGES = 4096  # pages of a TIFF that are counted, frames of any animation that are decoded

# In all pages of a TIFF: pages may overlap, so the size of the file does not bound them.
_MAX_TAGS = 200_000


def outline_gif(data: bytes) -> tuple[int, int, int] | None:
    """Return the width and height of the largest canvas of any frame, and the number of frames.

    Return None if the logical screen descriptor is cut off.

    Source: GIF89a specification, sections 17 to 27. As in all decoders, a frame that reaches
    beyond the logical screen enlarges it.
    """
    if len(data) < 13:
        return None
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position, frames = 13 + _palette_bytes(flags), 0
    while position < len(data):
        block = data[position : position + 1]
        if block == b";":
            break
        if block == b"!":
            position = _past_sub_blocks(data, position + 2)
        elif block == b",":
            if position + 10 > len(data):
                break
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", data, position + 1)
            width, height = max(width, left + wide), max(height, top + high)
            frames += 1
            # After the palette comes one byte, the initial code size.
            position = _past_sub_blocks(data, position + 11 + _palette_bytes(flags))
        else:
            position += 1  # stray bytes between blocks are skipped
    return width, height, frames


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _past_sub_blocks(data: bytes, position: int) -> int:
    while position < len(data) and (length := data[position]):
        position += 1 + length
    return position + 1


def count_tiff_pages(data: bytes) -> int:
    """Follow the chain of image file directories, to :data:`MAX_PAGES` + 1 at most.

    Source: TIFF 6.0, section 2; BigTIFF as in libtiff. A chain that ends in a circle or outside
    the file ends there. Directories with more tags than any photo has raise a ValueError.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\x00", b"\x00+"}
    count_format, offset_format, tag_bytes = ("Q", "Q", 20) if big else ("H", "I", 12)
    count_bytes = struct.calcsize(order + count_format)
    seen: set[int] = set()
    tags = 0
    position = 8 if big else 4
    try:
        while len(seen) <= MAX_PAGES:
            (page,) = struct.unpack_from(order + offset_format, data, position)
            if page == 0 or page in seen:
                break
            (entries,) = struct.unpack_from(order + count_format, data, page)
            seen.add(page)
            tags += entries
            if tags > _MAX_TAGS:
                raise ValueError(f"more than {_MAX_TAGS} tags")
            position = page + count_bytes + tag_bytes * entries
    except struct.error:  # the chain leaves the file
        pass
    return max(1, len(seen))
