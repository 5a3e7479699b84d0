"""Members of archives, read where they lie: a worker needs no more than offset and size."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import TypeAlias

from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused, open_regular, refusal
from recognizer.scan.location import ArchiveMember, StoreObject, ZipEntry
from recognizer.scan.locations.files import stamp_of
from recognizer.scan.locations.stores import Store
from recognizer.status import Reason

STORED, DEFLATED = 0, 8
"""The compression methods that are unpacked. No other is common, and each is one more decoder."""

ReadRange: TypeAlias = Callable[[int, int], bytes]
"""Reads from a start up to an end, or as much of that as there is."""

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # APPNOTE.TXT, section 4.3.7
_SLACK = 512  # for the name and the extra field: with it, one range of bytes is enough


def read_member(member: ArchiveMember, limits: Limits) -> bytes:
    """Read a member of an archive; the byte limit applies to it unpacked.

    Raises:
        MissingExtraError: the library for the store is not installed.
        Refused: with the reason.
    """
    if isinstance(member.archive, StoreObject):
        return extract(Store(member.archive).read_range, member, limits)
    with open_regular(member.archive.path) as file:
        if stamp_of(file) != member.stamp:
            raise Refused(Reason.READ_ERROR, "the archive has changed since it was listed")

        def read_range(start: int, end: int) -> bytes:
            try:
                file.seek(start)
                return file.read(end - start)
            except OSError as error:
                raise refusal(error) from error

        return extract(read_range, member, limits)


def extract(
    read_range: ReadRange, member: ArchiveMember, limits: Limits, *, head: int | None = None
) -> bytes:
    """Read a member through a function that reads its archive.

    Args:
        read_range: reads the archive.
        member: the member.
        limits: the byte limit applies to the unpacked member.
        head: how many bytes are wanted at most, unverified; None for all.

    Raises:
        Refused: with the reason.
    """
    size = member.size if member.zipped is None else member.zipped.size
    if head is None and max(size, member.size) > limits.max_bytes:
        raise Refused(Reason.TOO_MANY_BYTES, f"{size} bytes, limit {limits.max_bytes}")
    if member.zipped is not None:
        return _unzip(read_range, member, member.zipped, head)
    wanted = member.size if head is None else min(head, member.size)
    data = read_range(member.offset, member.offset + wanted)
    if len(data) < wanted:
        raise Refused(Reason.TRUNCATED, f"the archive ends within it, after {len(data)} bytes")
    return data


def _unzip(
    read_range: ReadRange, member: ArchiveMember, zipped: ZipEntry, head: int | None
) -> bytes:
    packed_size = member.size if head is None else min(member.size, head + _SLACK)
    block = read_range(member.offset, member.offset + _LOCAL_HEADER.size + _SLACK + packed_size)
    if len(block) < _LOCAL_HEADER.size or not block.startswith(b"PK\3\4"):
        raise Refused(Reason.CORRUPT_CONTAINER, "no member begins where the directory says")
    *_, name_size, extra_size = _LOCAL_HEADER.unpack_from(block)
    start = _LOCAL_HEADER.size + name_size + extra_size
    packed = block[start : start + packed_size]
    if len(packed) < packed_size:
        start += member.offset
        packed = read_range(start, start + packed_size)
    if len(packed) < packed_size:
        raise Refused(Reason.TRUNCATED, f"the archive ends within it, after {len(packed)} bytes")
    if zipped.method == STORED:
        data = packed if head is None else packed[:head]
    elif zipped.method == DEFLATED:
        # One byte more than it should be, so that a longer one is noticed, but never unpacked.
        max_length = zipped.size + 1 if head is None else head
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, max_length)
        except zlib.error as error:
            raise Refused(Reason.CORRUPT_CONTAINER, str(error)) from error
    else:
        raise Refused(Reason.UNSUPPORTED_FORMAT, f"compressed by the zip method {zipped.method}")
    if head is None and (len(data) != zipped.size or zlib.crc32(data) != zipped.crc):
        raise Refused(Reason.CORRUPT_CONTAINER, "its bytes do not match the directory")
    return data
