"""The chunks of a PNG (W3C, PNG third edition, section 5) that decide how its pixels are shown.

Pillow gets no others: it would let a later chunk replace the one that browsers heed, and give up,
or take minutes, on a comment that unpacks to gigabytes, a wrong checksum or a cut profile.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from recognizer.imaging.color import MAX_PROFILE
from recognizer.imaging.formats import orientation_of
from recognizer.imaging.sources import Refused
from recognizer.status import Reason

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 20_000
_PALETTE = 3  # kind of color
# Depth and kind of color with which Pillow makes transparent what is to be.
_WITH_KEY = {b"\1\0", b"\x08\0", b"\x08\2"}
_SRGB_CODE, _SRGB_GAMMAS = b"\1\x0d", range(40_000, 60_000)  # nearly sRGB
_SRGB_COLORS = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the kind of color
_PIXELS = frozenset({b"IDAT", b"fcTL", b"fdAT", b"IEND"})
_ONCE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"acTL"})  # and in front of the pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Png:
    """A PNG without the chunks that change no pixel, and the meaning of those that were there."""

    data: bytes
    orientation: int  # as in EXIF
    profile: bytes | None  # of its colors; empty if it cannot be unpacked
    is_wide: bool  # of 16 bits a value
    is_animated: bool
    header: bytes
    packed: bytes  # pixels of the first image

    def is_whole(self) -> bool:
        """Whether no pixel is missing: Pillow is silent where they end as their stream should."""
        width, height, depth, color = struct.unpack(">IIBB", self.header[:10])
        # An interlaced image takes a few bytes more, by which it may be short.
        size: int = height * (1 + -(-width * depth * _CHANNELS[color] // 8))
        return len(zlib.decompressobj().decompress(self.packed, size)) == size


def read_png(data: bytes) -> Png:
    """Return a PNG of the chunks that count: of a kind, the first one in front of the pixels.

    Raise a Refused if there are too many chunks, or a transparent color that is not decoded.
    """
    chunks: dict[bytes, bytes] = {}
    kept, packed, previous = [_SIGNATURE], list[bytes](), b""
    for kind, start, end in _walk(data):
        if not chunks and kind != b"IHDR":
            raise Refused(Reason.CORRUPT_HEADER, "a PNG that does not begin with IHDR")
        is_stray = kind == b"IDAT" and bool(packed) and previous != b"IDAT"
        previous = kind
        if kind in _PIXELS:
            kept += [] if is_stray else [data[start:end]]
            packed += [data[start + 8 : end - 4]] if kind == b"IDAT" and not is_stray else []
        elif not packed and kind not in chunks and _is_sound(data, kind, start, end):
            chunks[kind] = value = _value(kind, data[start + 8 : end - 4], chunks)
            if kind in _ONCE and value:
                size, check = len(value), zlib.crc32(kind + value)
                kept.append(struct.pack(f">I4s{size}sI", size, kind, value, check))
    return Png(
        data=b"".join(kept),
        orientation=orientation_of(chunks.get(b"eXIf", b"")),
        profile=_profile(chunks),
        is_wide=chunks.get(b"IHDR", b"")[8:9] == b"\x10",
        is_animated=any(chunk[4:8] == b"fcTL" for chunk in kept),
        header=chunks.get(b"IHDR", b""),
        packed=b"".join(packed),
    )


def _value(kind: bytes, value: bytes, chunks: dict[bytes, bytes]) -> bytes:
    # The content of a chunk as browsers read it; empty if they ignore the chunk.
    depth, color = chunks.get(b"IHDR", bytes(13))[8:10].ljust(2, b"\0")
    if kind == b"PLTE":
        palette = value[: len(value) // 3 * 3]
        # Values beyond the palette are its last color.
        return (palette + palette[-3:] * 255)[:768] if color == _PALETTE else b""
    if kind == b"tRNS":
        if color == _PALETTE:
            return value if value and 3 * len(value) <= len(chunks.get(b"PLTE", b"")) else b""
        if color not in {0, 2} or len(value) < 2 * _CHANNELS[color]:
            return b""
        if bytes([depth, color]) not in _WITH_KEY or len(value) > 2 * _CHANNELS[color]:
            raise Refused(Reason.UNSUPPORTED_FORMAT, "a transparent color not of 8 bits")
    return b"" if kind == b"acTL" and len(value) != 8 else value


def _profile(chunks: dict[bytes, bytes]) -> bytes | None:
    if b"cICP" in chunks:  # which browsers heed before all others
        return None if chunks[b"cICP"].startswith(_SRGB_CODE) else b""
    if b"iCCP" not in chunks:
        gamma = int.from_bytes(chunks.get(b"gAMA", b""), "big")
        is_srgb = gamma in _SRGB_GAMMAS and chunks.get(b"cHRM", _SRGB_COLORS) == _SRGB_COLORS
        return None if is_srgb or not gamma or b"sRGB" in chunks else b""
    packed = chunks[b"iCCP"].partition(b"\0")[2]
    try:
        return zlib.decompressobj().decompress(packed[1:], MAX_PROFILE + 1)
    except zlib.error:
        return b""


def _is_sound(data: bytes, kind: bytes, start: int, end: int) -> bool:
    body, check = memoryview(data)[start + 4 : end - 4], data[end - 4 : end]
    is_sound = zlib.crc32(body) == int.from_bytes(check, "big")
    if not is_sound and kind in {b"IHDR", b"PLTE"}:
        raise Refused(Reason.CORRUPT_HEADER, f"the checksum of {kind.decode()} is wrong")
    return is_sound


def _walk(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    position, kind, count = len(_SIGNATURE), b"", 0
    while position + 12 <= len(data) and kind != b"IEND":
        size, kind = struct.unpack_from(">I4s", data, position)
        yield kind, position, position + 12 + size
        position += 12 + size
        count += 1
        if count > _MAX_CHUNKS:
            raise Refused(Reason.UNSUPPORTED_FORMAT, f"a PNG of more than {_MAX_CHUNKS} chunks")
