"""Inputs that break programs, each with what must become of it.

The table serves the tests of imaging and of scan alike: ``entry.make(folder)`` puts the input into
a folder of its own and returns its path; ``entry.status`` and ``entry.reason`` say what a row
about it may say. Where ``entry.skip`` holds words, the input cannot be made or is harmless here.
"""

import contextlib
import importlib.util
import itertools
import os
import socket
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from recognizer.status import Reason, Status
from tests.pictures import (
    animation,
    exif,
    gif,
    gif_frame,
    jpeg,
    jpeg_claiming,
    lossless_jpeg,
    many_scans,
    photo,
    png,
    png_chunk,
    tiff,
    webp_canvas,
)
from tests.pictures import encoded as encode


@dataclass(frozen=True)
class Hostile:
    """One hostile input: a file of ``data()``, or what :func:`_place` makes of the name."""

    name: str
    status: Status
    reason: Reason | None
    data: Callable[[], bytes] | None = None
    filename: str = ""
    skip: str | None = None

    def make(self, folder):
        """Put the input into ``folder``, which is made, and return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.data is None:
            return os.fspath(_place(self.name, folder))
        path = folder / (self.filename or f"{self.name}.jpg")
        path.write_bytes(self.data())
        return os.fspath(path)


def _jpeg_cuts(data):
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


def _place(name, folder):
    """Put what is not a regular file, or cannot be read, into a folder."""
    path = folder / f"{name}.jpg"
    match name:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "device":
            return "/dev/zero"
        case "unix_socket":
            # The address of a socket has little room, less than a test's folder may take.
            with contextlib.chdir(folder), socket.socket(socket.AF_UNIX) as end:
                end.bind(path.name)
        case "dangling_symlink":
            path.symlink_to(folder / "nothing.jpg")
        case "symlink_loop":
            path.symlink_to(folder / "b.jpg")
            (folder / "b.jpg").symlink_to(path)
        case "no_permission":
            path.write_bytes(jpeg())
            path.chmod(0)
        case "name_too_long":
            return f"{folder}/{'n' * 300}.jpg"
        case "huge_file":
            path.write_bytes(jpeg())
            os.truncate(path, 65 * 1024 * 1024)  # sparse: it takes no room
    return path


_ROOT = "root may read everything" if getattr(os, "geteuid", lambda: 0)() == 0 else None
_BYTE_NAMES = None if sys.platform == "linux" else "file names are Unicode here"
_HEIF = importlib.util.find_spec("pillow_heif") is not None


def _files(status, reason, **named):
    return (Hostile(name, status, reason, data) for name, data in named.items())


def _other(name, reason, skip=None):
    return Hostile(name, Status.FAILED, reason, skip=skip)


def _cut_jpeg(place, progressive):
    whole = jpeg(progressive=progressive)
    return whole[: _jpeg_cuts(whole)[place]]


def _cut_other(name, share):
    whole = encode(photo(), name)
    return whole[: max(26, int(share * len(whole)))]


def _truncated():
    for progressive, place in itertools.product((False, True), _jpeg_cuts(jpeg())):
        # Where it breaks off in a table, libjpeg gives up.
        had = place in {"early", "last_bytes"} or (place == "half" and not progressive)
        status = Status.DEGRADED if had else Status.FAILED
        kind = "progressive" if progressive else "baseline"
        data = partial(_cut_jpeg, place, progressive)
        yield Hostile(f"jpeg_{kind}_cut_{place}", status, Reason.TRUNCATED, data)
    for name in ("PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"):
        for place, share in (("head", 0.012), ("half", 0.5)):
            # An AVIF is boxes within boxes: where one breaks off, the parser cannot tell why.
            is_vague = (name, place) == ("AVIF", "half")
            reason = Reason.CORRUPT_HEADER if is_vague else Reason.TRUNCATED
            data = partial(_cut_other, name, share)
            yield Hostile(f"{name.lower()}_cut_{place}", Status.FAILED, reason, data)


def _chunk_png(chunk, body, place=33):
    whole = encode(photo(), "PNG")
    return whole[:place] + png_chunk(chunk, body) + whole[place:]


def _profile_bomb():
    return _chunk_png(b"iCCP", b"icc\0\0" + _ZIPPED)


def _zeroed_scan():
    data = jpeg()
    start = data.index(b"\xff\xda") + 200
    return data[:start] + bytes(len(data) - start - 2) + data[-2:]


def _noise(magic, count=4000):
    return magic + np.random.default_rng(1).bytes(count)


def _wrong_crc(chunk):
    data = bytearray(encode(photo(), "PNG"))
    start = data.index(chunk)
    data[start + 4 + int.from_bytes(data[start - 4 : start], "big")] ^= 0xFF
    return bytes(data)


def _broken_later_frame():
    data = animation("GIF")
    last = data.rindex(b"\0,")  # the last frame's descriptor, behind its control block
    return data[: last + 20]


def _bomb_with_bad_filter():
    # The first row is sound, the second has a filter that does not exist; then 80 MB of zeros.
    return png(32, 32, b"\0" + bytes(range(96)) + b"\x09" + bytes(80 * 1024 * 1024))


def _bottom_up():
    data = bytearray(encode(photo(), "BMP"))
    struct.pack_into("<i", data, 22, -struct.unpack_from("<i", data, 22)[0])
    return bytes(data)


def _renamed_frame(header):
    """A JPEG whose frame claims to be of another coding or depth."""
    return jpeg().replace(b"\xff\xc0\0\x11\x08", header)


def _brand(content):
    return b"\0\0\0\x18ftyp" + content + bytes(200)


def _many_pages():
    """Pages without end: each directory has one tag, and the first is a sound one."""
    pages = bytearray(tiff(np.array(photo(32, 32))))
    place = 8 + 2 + 12 * 11
    for _ in range(20_000):
        struct.pack_into("<I", pages, place, len(pages))
        pages += struct.pack("<HHHIII", 1, 256, 4, 1, 1, 0)
        place = len(pages) - 4
    return bytes(pages)


_BIG_TEXT = b"Comment\0" + b"x" * (2 * 1024 * 1024)
_ZIPPED = zlib.compress(bytes(80 * 1024 * 1024), 9)
_ZIPPED_TEXT = b"Comment\0\0" + _ZIPPED
_BAD_EXIF = b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 40
_HTML = b"<!DOCTYPE html><html><body><svg></svg>404 not found</body></html>"
_SVG = b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"
_NO_HEIF = Reason.CORRUPT_HEADER if _HEIF else Reason.UNSUPPORTED_FORMAT
_PNG_BOMB = png(30_000, 30_000, bytes(100))
_TIFF_BOMB = tiff(np.array(photo()), claimed=(100_000, 100_000))
_BIG_FRAME = gif((32, 32), gif_frame(32, 32), gif_frame(12_000, 12_000))

_FAILED, _DEGRADED, _OK = Status.FAILED, Status.DEGRADED, Status.OK

HOSTILE: tuple[Hostile, ...] = (
    *_truncated(),
    *_files(_FAILED, Reason.EMPTY, zero_bytes=lambda: b""),
    *_files(
        *(_FAILED, Reason.NOT_AN_IMAGE),
        one_byte=lambda: b"\xff",
        html_named_jpg=lambda: _HTML,
        pdf=lambda: b"%PDF-1.7\n" + bytes(200),
        text=lambda: b"BMW for sale, hardly used, with ivory seats",
        mp4=lambda: _brand(b"isom\0\0\2\0isommp42"),
    ),
    *_files(
        *(_FAILED, Reason.TOO_MANY_PIXELS),
        png_bomb=lambda: _PNG_BOMB,
        jpeg_bomb=lambda: jpeg_claiming(65_500, 65_500),
        webp_bomb=lambda: webp_canvas(16_384, 16_384),
        gif_bomb=lambda: gif((65_535, 65_535), gif_frame()),
        gif_frame_outgrows_screen=lambda: _BIG_FRAME,
        tiff_bomb=lambda: _TIFF_BOMB,
    ),
    *_files(
        *(_FAILED, Reason.CORRUPT_HEADER),
        png_zero_width=lambda: png(0, 10, b"\0"),
        jpeg_zero_height=lambda: jpeg_claiming(96, 0),
        webp_without_frames=lambda: webp_canvas(64, 64),
        noise_after_png_magic=lambda: _noise(b"\x89PNG\r\n\x1a\n"),
        png_wrong_header_crc=lambda: _wrong_crc(b"IHDR"),
    ),
    *_files(
        *(_FAILED, Reason.TRUNCATED),
        png_claims_more_than_it_has=lambda: png(9000, 9000, bytes(40)),
        gif_without_frames=lambda: gif((16, 16)),
        noise_after_jpeg_magic=lambda: _noise(b"\xff\xd8\xff\xe0"),
    ),
    *_files(_FAILED, Reason.CORRUPT_DATA, png_bomb_behind_damage=_bomb_with_bad_filter),
    *_files(
        *(_FAILED, Reason.UNSUPPORTED_FORMAT),
        jpeg_many_scans=many_scans,
        # Reduced, it was written beyond the memory of its pixels.
        jpeg_lossless=lambda: lossless_jpeg(400, 400),
        jpeg_lossless_claimed=lambda: _renamed_frame(b"\xff\xc3\0\x11\x08"),
        jpeg_12_bit=lambda: _renamed_frame(b"\xff\xc1\0\x11\x0c"),
        svg=lambda: _SVG,
        jxl=lambda: b"\xff\x0a" + bytes(200),
    ),
    *_files(_FAILED, _NO_HEIF, heic_header=lambda: _brand(b"heic\0\0\0\0mif1heic")),
    *_files(
        *(_DEGRADED, Reason.TOO_SMALL),
        one_pixel=lambda: encode(photo(1, 1), "PNG"),
        wide=lambda: encode(photo(20_000, 2), "PNG"),
        high=lambda: encode(photo(2, 20_000), "JPEG"),
    ),
    *_files(_DEGRADED, Reason.CORRUPT_DATA, jpeg_zeroed_scan=_zeroed_scan),
    *_files(
        *(_OK, None),
        png_zipped_text_bomb=lambda: _chunk_png(b"zTXt", _ZIPPED_TEXT),
        png_zipped_text_bomb_behind_pixels=lambda: _chunk_png(b"zTXt", _ZIPPED_TEXT, -12),
    ),
    *_files(
        *(_DEGRADED, Reason.FRAMES_SKIPPED),
        gif_thousands_of_frames=lambda: gif((1, 1), gif_frame() * 5000),
        tiff_thousands_of_pages=_many_pages,
        tiff_ring_of_pages=lambda: tiff(np.array(photo()), next_page=8),
    ),
    *_files(_DEGRADED, Reason.CORRUPT_HEADER, png_zipped_profile_bomb=_profile_bomb),
    *_files(_DEGRADED, Reason.TRUNCATED, gif_broken_later_frame=_broken_later_frame),
    *_files(
        *(_OK, None),
        png_pixels_without_end=lambda: png(32, 32, bytes(80 * 1024 * 1024)),
        tiff_lab=lambda: encode(Image.new("LAB", (32, 32), (50, 3, 4)), "TIFF"),
        png_named_jpg=lambda: encode(photo(), "PNG"),
        jpeg_trailing_garbage=lambda: _noise(jpeg(), 500),
        jpeg_twice=lambda: jpeg() + jpeg(),
        jpeg_broken_exif=lambda: jpeg(exif=_BAD_EXIF),
        jpeg_orientation_99=lambda: jpeg(exif=exif(99)),
        png_wrong_data_crc=lambda: _wrong_crc(b"IDAT"),
        png_giant_text=lambda: _chunk_png(b"tEXt", _BIG_TEXT),
        bmp_negative_height=_bottom_up,
    ),
    # The file system
    Hostile("undecodable_name", _OK, None, jpeg, os.fsdecode(b"\xff\xfe.jpg"), _BYTE_NAMES),
    Hostile("newline_in_name", _OK, None, jpeg, "two\nlines.jpg"),
    *(_other(name, Reason.NOT_A_FILE) for name in ("fifo", "directory", "device", "unix_socket")),
    *(_other(name, Reason.NOT_FOUND) for name in ("vanished", "dangling_symlink", "symlink_loop")),
    _other("no_permission", Reason.PERMISSION_DENIED, _ROOT),
    _other("name_too_long", Reason.NOT_FOUND),
    _other("huge_file", Reason.TOO_MANY_BYTES),
)
