"""Inputs that break programs, each with what must become of it.

The table serves the tests of imaging and of scan alike: ``entry.make(folder)`` puts the input into
a folder of its own and returns its path; ``entry.status`` and ``entry.reasons`` say what a row
about it may say. Where ``entry.skip`` holds words, the input cannot be made or bites nobody here.
"""

from __future__ import annotations

import importlib.util
import io
import os
import socket
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from recognizer.status import Reason, Status


@dataclass(frozen=True)
class Hostile:
    """One hostile input.

    Attributes:
        name: unique, usable in test ids and folder names.
        build: puts the input into an existing folder and returns its path.
        status: the one that it must get.
        reasons: those that it may get (None goes with ``ok``).
        skip: why it cannot be tried here, else None.
    """

    name: str
    build: Callable[[Path], Path | str]
    status: Status
    reasons: tuple[Reason | None, ...]
    skip: str | None = None

    def make(self, folder: Path) -> str:
        """Put the input into ``folder``, which is made, and return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        return os.fspath(self.build(folder))


# --- pictures ---------------------------------------------------------------------------------


def photo(width: int = 96, height: int = 64) -> Image.Image:
    """A picture with structure in all channels and at all scales, always the same."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    noise = np.random.default_rng(7).normal(0, 12, (height, width, 3))
    waves = np.stack([np.sin(9 * x + 3 * y), np.cos(7 * y), np.sin(25 * x * y)], -1)
    return Image.fromarray(np.clip(128 + 90 * waves + noise, 0, 255).astype(np.uint8))


def encode(image: Image.Image, format: str, **options: object) -> bytes:  # noqa: A002
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def frames(count: int = 4, size: tuple[int, int] = (48, 32)) -> list[Image.Image]:
    """Different pictures for an animation."""
    return [Image.fromarray(np.roll(np.array(photo(*size)), 7 * i, 1)) for i in range(count)]


def animation(format: str, count: int = 4) -> bytes:  # noqa: A002
    first, *rest = frames(count)
    options: dict[str, object] = {"lossless": True} if format == "WEBP" else {}
    return encode(first, format, save_all=True, append_images=rest, duration=40, **options)


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    width: int,
    height: int,
    pixels: bytes,
    *,
    depth: int = 8,
    color: int = 2,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """A PNG from the unfiltered pixel data; ``before`` and ``after`` it come further chunks."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            before,
            png_chunk(b"IDAT", zlib.compress(pixels, 9)),
            after,
            png_chunk(b"IEND", b""),
        ]
    )


def sixteen_bit_rgb_png() -> bytes:
    wide = np.array(photo(), np.uint16) * 257
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)
    return png(wide.shape[1], wide.shape[0], rows, depth=16)


def tiff(array: np.ndarray, *, claimed: tuple[int, int] | None = None, next_page: int = 0) -> bytes:
    """An uncompressed little-endian TIFF with its directory at byte 8."""
    height, width = array.shape[:2]
    samples = array.shape[2] if array.ndim == 3 else 1
    bits = 8 * array.itemsize
    pixels = array.tobytes()
    end = 8 + 2 + 12 * 11 + 4
    width, height = claimed or (width, height)
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, samples, end if samples > 2 else bits | bits << 16),
        (259, 3, 1, 1),
        (262, 3, 1, 2 if samples == 3 else 1),
        (273, 4, 1, end + 8),
        (277, 3, 1, samples),
        (278, 4, 1, height),
        (279, 4, 1, len(pixels)),
        (284, 3, 1, 1),
        (339, 3, 1, 3 if array.dtype.kind == "f" else 1),
    ]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", next_page)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<4H", *[bits] * 4) + pixels


def gif(screen: tuple[int, int], *parts: bytes) -> bytes:
    """A GIF of two colours: a logical screen, then frames as :func:`gif_frame` makes them."""
    header = struct.pack("<HHBBB", *screen, 0x80, 0, 0)
    return b"GIF89a" + header + b"\xff\0\0\0\0\xff" + b"".join(parts) + b";"


def gif_frame(width: int = 1, height: int = 1) -> bytes:
    """A frame of which one pixel is there."""
    return b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"


def webp_canvas(width: int, height: int) -> bytes:
    body = b"\x02\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = b"VP8X" + struct.pack("<I", len(body)) + body
    chunks += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def jpeg(**options: object) -> bytes:
    return encode(photo(), "JPEG", quality=85, **options)


def jpeg_claiming(width: int, height: int, data: bytes | None = None) -> bytes:
    """A JPEG whose header tells another size than its data."""
    data = data or jpeg()
    start = data.index(b"\xff\xc0" if b"\xff\xc0" in data else b"\xff\xc2")
    return data[: start + 5] + struct.pack(">HH", height, width) + data[start + 9 :]


def many_scans() -> bytes:
    """A progressive JPEG whose last scan is repeated: little data, endless work."""
    data = jpeg(progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 500 + data[-2:]


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def cmyk_jpeg(*, adobe: bool) -> bytes:
    """CMYK, inverted as Adobe does it and said so in an APP14 segment, or neither."""
    data = encode(Image.new("CMYK", (64, 48), (0, 200, 200, 20)), "JPEG", quality=95)
    start = data.find(b"\xff\xee")
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    return data if adobe else data[:start] + data[start + 2 + length :]


def _jpeg_cuts(data: bytes) -> dict[str, int]:
    scan = data.index(b"\xff\xda")
    head = scan + 2 + int.from_bytes(data[scan + 2 : scan + 4], "big")
    return {
        "after_magic": 3,
        "in_first_segment": 11,
        "in_tables": 100,
        "before_scan": scan,
        "in_scan_header": scan + 6,
        "early": head + (len(data) - head) // 5,
        "half": (head + len(data)) // 2,
        "last_bytes": len(data) - 2,
    }


# --- things that are no regular files ---------------------------------------------------------


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.jpg")
    return folder / "pipe.jpg"


def _directory(folder: Path) -> Path:
    (folder / "album.jpg").mkdir()
    return folder / "album.jpg"


def _socket(folder: Path) -> Path:
    # The address of a socket has little room, less than a test's folder may take.
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        with socket.socket(socket.AF_UNIX) as end:
            end.bind("socket.jpg")
    finally:
        os.fchdir(here)
        os.close(here)
    return folder / "socket.jpg"


def _vanished(folder: Path) -> Path:
    path = folder / "gone.jpg"
    path.write_bytes(jpeg())
    path.unlink()
    return path


def _dangling(folder: Path) -> Path:
    (folder / "link.jpg").symlink_to(folder / "nothing.jpg")
    return folder / "link.jpg"


def _loop(folder: Path) -> Path:
    (folder / "a.jpg").symlink_to(folder / "b.jpg")
    (folder / "b.jpg").symlink_to(folder / "a.jpg")
    return folder / "a.jpg"


def _forbidden(folder: Path) -> Path:
    path = folder / "forbidden.jpg"
    path.write_bytes(jpeg())
    path.chmod(0)
    return path


def _huge_file(folder: Path) -> Path:
    path = folder / "huge.jpg"
    with path.open("wb") as file:
        file.write(jpeg())
        file.truncate(65 * 1024 * 1024)  # sparse: it takes no room
    return path


# --- the table --------------------------------------------------------------------------------

_OK, _DEGRADED, _FAILED = Status.OK, Status.DEGRADED, Status.FAILED
_POSIX = None if hasattr(os, "mkfifo") else "POSIX only"
_ROOT = "root may read everything" if getattr(os, "geteuid", lambda: 0)() == 0 else None
_BYTE_NAMES = None if sys.platform == "linux" else "file names are Unicode here"
_HEIF = importlib.util.find_spec("pillow_heif") is not None


def _file(
    name: str,
    data: Callable[[], bytes],
    status: Status,
    *reasons: Reason,
    filename: str | None = None,
    skip: str | None = None,
) -> Hostile:
    def build(folder: Path) -> str:
        path = os.path.join(os.fspath(folder), filename or f"{name}.jpg")
        with open(path, "wb") as file:
            file.write(data())
        return path

    return Hostile(name, build, status, reasons or (None,), skip)


def _truncated_jpegs() -> Iterator[Hostile]:
    for kind, progressive in (("baseline", False), ("progressive", True)):
        for place in _jpeg_cuts(jpeg()):

            def data(progressive: bool = progressive, place: str = place) -> bytes:
                whole = jpeg(progressive=progressive)
                return whole[: _jpeg_cuts(whole)[place]]

            # The first scan of a progressive one holds all rows, coarsely.
            had = place in {"half", "last_bytes"} or (progressive and place == "early")
            yield _file(
                f"jpeg_{kind}_cut_{place}",
                data,
                _DEGRADED if had else _FAILED,
                Reason.TRUNCATED,
            )


def _truncated_others() -> Iterator[Hostile]:
    # Where half a file gives pixels, and where the decoder wants it whole.
    partial = {"PNG": True, "GIF": True, "BMP": True, "TIFF": True, "WEBP": False, "AVIF": False}
    for name, had in partial.items():
        for place, share in (("head", 0.012), ("half", 0.5)):

            def data(name: str = name, share: float = share) -> bytes:
                whole = encode(photo(), name)
                return whole[: max(26, int(share * len(whole)))]

            pixels = had and place == "half"
            yield _file(
                f"{name.lower()}_cut_{place}",
                data,
                _DEGRADED if pixels else _FAILED,
                # An AVIF is boxes within boxes: where one breaks off, the parser cannot tell why.
                Reason.CORRUPT_HEADER if (name, place) == ("AVIF", "half") else Reason.TRUNCATED,
            )


def _text_png(chunk: bytes, body: bytes) -> bytes:
    return encode(photo(), "PNG").replace(b"\0\0\0\0IEND", png_chunk(chunk, body) + b"\0\0\0\0IEND")


def _early_chunk_png(chunk: bytes, body: bytes) -> bytes:
    whole = encode(photo(), "PNG")
    return whole[:33] + png_chunk(chunk, body) + whole[33:]


def _zeroed_scan() -> bytes:
    data = jpeg()
    start = data.index(b"\xff\xda") + 200
    return data[:start] + bytes(len(data) - start - 2) + data[-2:]


def _noise(magic: bytes, count: int = 4000) -> bytes:
    return magic + np.random.default_rng(1).bytes(count)


def _bad_exif() -> bytes:
    return jpeg(exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 40)


def _wrong_crc(chunk: bytes) -> bytes:
    data = bytearray(encode(photo(), "PNG"))
    start = data.index(chunk)
    end = start + 4 + int.from_bytes(data[start - 4 : start], "big")
    data[end] ^= 0xFF
    return bytes(data)


def _broken_later_frame() -> bytes:
    data = animation("GIF")
    last = data.rindex(b"\0,")  # the last frame's descriptor, behind its control block
    return data[: last + 20]


def _bomb_with_bad_filter() -> bytes:
    # The first row is sound, the second has a filter that does not exist; then 80 MB of zeros.
    rows = b"\0" + bytes(range(96)) + b"\x09" + bytes(80 * 1024 * 1024)
    return png(32, 32, rows)


def _bottom_up() -> bytes:
    data = bytearray(encode(photo(), "BMP"))
    height = struct.unpack_from("<i", data, 22)[0]
    struct.pack_into("<i", data, 22, -height)
    return bytes(data)


def _ring_of_pages() -> bytes:
    return tiff(np.array(photo()), next_page=8)


def _many_pages() -> bytes:
    """Pages without end: each directory has one tag, and the first is a sound one."""
    whole = tiff(np.array(photo(32, 32)))
    pages = bytearray(whole)
    place = 8 + 2 + 12 * 11
    for _ in range(20_000):
        struct.pack_into("<I", pages, place, len(pages))
        pages += struct.pack("<HHHIII", 1, 256, 4, 1, 1, 0)
        place = len(pages) - 4
    return bytes(pages)


_FLOAT = np.linspace(0, 1, 64 * 48, dtype=np.float32).reshape(48, 64)
_BIG_TEXT = b"Comment\0" + b"x" * (2 * 1024 * 1024)
_ZIPPED = zlib.compress(bytes(80 * 1024 * 1024), 9)

HOSTILE: tuple[Hostile, ...] = (
    _file("zero_bytes", lambda: b"", _FAILED, Reason.EMPTY),
    _file("one_byte", lambda: b"\xff", _FAILED, Reason.NOT_AN_IMAGE),
    *_truncated_jpegs(),
    *_truncated_others(),
    # Claims
    _file(
        "png_bomb",
        lambda: png(30_000, 30_000, bytes(100)),
        _FAILED,
        Reason.TOO_MANY_PIXELS,
        filename="bomb.png",
    ),
    _file("png_zero_width", lambda: png(0, 10, b"\0"), _FAILED, Reason.CORRUPT_HEADER),
    _file(
        "png_claims_more_than_it_has",
        lambda: png(9000, 9000, bytes(40)),
        _FAILED,
        Reason.TRUNCATED,
    ),
    _file("png_pixels_without_end", lambda: png(32, 32, bytes(80 * 1024 * 1024)), _OK),
    _file("png_bomb_behind_damage", _bomb_with_bad_filter, _FAILED, Reason.CORRUPT_DATA),
    _file("jpeg_bomb", lambda: jpeg_claiming(65_500, 65_500), _FAILED, Reason.TOO_MANY_PIXELS),
    _file("jpeg_zero_height", lambda: jpeg_claiming(96, 0), _FAILED, Reason.CORRUPT_HEADER),
    _file("jpeg_many_scans", many_scans, _FAILED, Reason.UNSUPPORTED_FORMAT),
    _file("webp_bomb", lambda: webp_canvas(16_384, 16_384), _FAILED, Reason.TOO_MANY_PIXELS),
    _file("webp_without_frames", lambda: webp_canvas(64, 64), _FAILED, Reason.CORRUPT_HEADER),
    _file("gif_bomb", lambda: gif((65_535, 65_535), gif_frame()), _FAILED, Reason.TOO_MANY_PIXELS),
    _file(
        "gif_frame_outgrows_screen",
        lambda: gif((32, 32), gif_frame(32, 32), gif_frame(12_000, 12_000)),
        _FAILED,
        Reason.TOO_MANY_PIXELS,
    ),
    _file(
        "gif_thousands_of_frames",
        lambda: gif((1, 1), gif_frame() * 5000),
        _DEGRADED,
        Reason.FRAMES_SKIPPED,
    ),
    _file("gif_without_frames", lambda: gif((16, 16)), _FAILED, Reason.TRUNCATED),
    _file(
        "tiff_bomb",
        lambda: tiff(np.array(photo()), claimed=(100_000, 100_000)),
        _FAILED,
        Reason.TOO_MANY_PIXELS,
    ),
    _file("tiff_ring_of_pages", _ring_of_pages, _OK),
    _file(
        "tiff_thousands_of_pages",
        _many_pages,
        _DEGRADED,
        Reason.CORRUPT_DATA,
    ),
    # Modes
    _file("jpeg_cmyk_adobe", lambda: cmyk_jpeg(adobe=True), _OK),
    _file("jpeg_cmyk_plain", lambda: cmyk_jpeg(adobe=False), _OK),
    _file("jpeg_grey", lambda: encode(photo().convert("L"), "JPEG"), _OK),
    _file(
        "jpeg_lossless",
        lambda: jpeg().replace(b"\xff\xc0", b"\xff\xc3"),
        _FAILED,
        Reason.UNSUPPORTED_FORMAT,
    ),
    _file(
        "jpeg_12_bit",
        lambda: jpeg().replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"),
        _FAILED,
        Reason.UNSUPPORTED_FORMAT,
    ),
    _file(
        "png_16_bit_grey",
        lambda: encode(
            Image.fromarray(np.linspace(0, 65_535, 3072).reshape(48, 64).astype(np.uint16)), "PNG"
        ),
        _OK,
    ),
    _file("png_16_bit_rgb", sixteen_bit_rgb_png, _OK),
    _file("tiff_16_bit_rgb", lambda: tiff(np.array(photo(), np.uint16) * 257), _OK),
    _file("tiff_float", lambda: tiff(_FLOAT), _OK),
    _file(
        "tiff_float_not_numbers",
        lambda: tiff(np.where(_FLOAT > 0.5, np.float32(np.nan), np.float32(-np.inf))),
        _OK,
    ),
    _file(
        "png_palette_transparent",
        lambda: encode(photo().convert("P"), "PNG", transparency=bytes(range(256))),
        _OK,
    ),
    _file("png_grey_alpha", lambda: encode(photo().convert("LA"), "PNG"), _OK),
    _file("png_1_bit", lambda: encode(photo().convert("1"), "PNG"), _OK),
    _file("tiff_cmyk", lambda: encode(photo().convert("CMYK"), "TIFF"), _OK),
    _file(
        "tiff_lab",
        lambda: encode(Image.new("LAB", (32, 32), (50, 3, 4)), "TIFF"),
        _OK,
    ),
    # Shapes
    _file("one_pixel", lambda: encode(photo(1, 1), "PNG"), _DEGRADED, Reason.TOO_SMALL),
    _file("wide", lambda: encode(photo(20_000, 2), "PNG"), _DEGRADED, Reason.TOO_SMALL),
    _file("high", lambda: encode(photo(2, 20_000), "JPEG"), _DEGRADED, Reason.TOO_SMALL),
    # Names and contents that disagree
    _file("png_named_jpg", lambda: encode(photo(), "PNG"), _OK),
    _file(
        "html_named_jpg",
        lambda: b"<!DOCTYPE html><html><body><svg></svg>404 not found</body></html>",
        _FAILED,
        Reason.NOT_AN_IMAGE,
    ),
    _file(
        "svg",
        lambda: b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>",
        _FAILED,
        Reason.UNSUPPORTED_FORMAT,
        filename="drawing.svg",
    ),
    _file("pdf", lambda: b"%PDF-1.7\n" + bytes(200), _FAILED, Reason.NOT_AN_IMAGE),
    _file(
        "text", lambda: b"BMW for sale, hardly used, with ivory seats", _FAILED, Reason.NOT_AN_IMAGE
    ),
    _file(
        "mp4",
        lambda: b"\0\0\0\x18ftypisom\0\0\2\0isommp42" + bytes(200),
        _FAILED,
        Reason.NOT_AN_IMAGE,
    ),
    _file(
        "heic_header",
        lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
        _FAILED,
        Reason.CORRUPT_HEADER if _HEIF else Reason.UNSUPPORTED_FORMAT,
        filename="photo.heic",
    ),
    _file("jxl", lambda: b"\xff\x0a" + bytes(200), _FAILED, Reason.UNSUPPORTED_FORMAT),
    # Damage
    _file(
        "noise_after_jpeg_magic",
        lambda: _noise(b"\xff\xd8\xff\xe0"),
        _FAILED,
        Reason.TRUNCATED,
    ),
    _file(
        "noise_after_png_magic",
        lambda: _noise(b"\x89PNG\r\n\x1a\n"),
        _FAILED,
        Reason.CORRUPT_HEADER,
    ),
    _file("jpeg_zeroed_scan", _zeroed_scan, _DEGRADED, Reason.CORRUPT_DATA),
    _file("jpeg_trailing_garbage", lambda: _noise(jpeg(), 500), _OK),
    _file("jpeg_twice", lambda: jpeg() + jpeg(), _OK),
    _file("jpeg_broken_exif", _bad_exif, _OK),
    _file("jpeg_orientation_99", lambda: jpeg(exif=exif(99)), _OK),
    _file("png_wrong_header_crc", lambda: _wrong_crc(b"IHDR"), _FAILED, Reason.CORRUPT_HEADER),
    _file("png_wrong_data_crc", lambda: _wrong_crc(b"IDAT"), _OK),
    _file(
        "png_giant_text",
        lambda: _early_chunk_png(b"tEXt", _BIG_TEXT),
        _OK,
    ),
    _file(
        "png_zipped_text_bomb",
        lambda: _early_chunk_png(b"zTXt", b"Comment\0\0" + _ZIPPED),
        _FAILED,
        Reason.CORRUPT_HEADER,
    ),
    _file(
        "png_zipped_text_bomb_behind_pixels",
        lambda: _text_png(b"zTXt", b"Comment\0\0" + _ZIPPED),
        _DEGRADED,
        Reason.CORRUPT_DATA,
    ),
    _file(
        "png_zipped_profile_bomb",
        lambda: _early_chunk_png(b"iCCP", b"icc\0\0" + _ZIPPED),
        _FAILED,
        Reason.CORRUPT_HEADER,
    ),
    _file("bmp_negative_height", _bottom_up, _OK),
    # Animations
    _file("apng", lambda: animation("PNG"), _OK),
    _file("webp_animated", lambda: animation("WEBP"), _OK),
    _file("gif_animated", lambda: animation("GIF"), _OK),
    _file(
        "gif_broken_later_frame",
        _broken_later_frame,
        _DEGRADED,
        Reason.TRUNCATED,
    ),
    # The file system
    Hostile("fifo", _fifo, _FAILED, (Reason.NOT_A_FILE,), _POSIX),
    Hostile("directory", _directory, _FAILED, (Reason.NOT_A_FILE,)),
    Hostile("device", lambda _: "/dev/zero", _FAILED, (Reason.NOT_A_FILE,), _POSIX),
    Hostile("unix_socket", _socket, _FAILED, (Reason.NOT_A_FILE,), _POSIX),
    Hostile("vanished", _vanished, _FAILED, (Reason.NOT_FOUND,)),
    Hostile("dangling_symlink", _dangling, _FAILED, (Reason.NOT_FOUND,), _POSIX),
    Hostile("symlink_loop", _loop, _FAILED, (Reason.NOT_FOUND,), _POSIX),
    Hostile("no_permission", _forbidden, _FAILED, (Reason.PERMISSION_DENIED,), _POSIX or _ROOT),
    Hostile("name_too_long", lambda f: f"{f}/{'n' * 300}.jpg", _FAILED, (Reason.NOT_FOUND,)),
    _file("undecodable_name", jpeg, _OK, filename=os.fsdecode(b"\xff\xfe.jpg"), skip=_BYTE_NAMES),
    _file("newline_in_name", jpeg, _OK, filename="two\nlines.jpg", skip=_POSIX),
    Hostile("huge_file", _huge_file, _FAILED, (Reason.TOO_MANY_BYTES,)),
)
