"""zip archives, and members of archives read in place: a worker needs no more than the location.

The directory of a zip archive is held in memory while its members are listed.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import BufferedReader, FileIO
from itertools import pairwise
from typing import BinaryIO, TypeAlias, cast

from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused
from recognizer.scan.containers.members import Member, key_of
from recognizer.scan.location import ArchiveMember, Container, FileLocation, ZipEntry
from recognizer.scan.locations.files import opened, reading, stamp_of
from recognizer.status import Reason

STORED, DEFLATED = 0, 8
"""The compression methods that are unpacked. No other is common, and each is one more decoder."""

ReadRange: TypeAlias = Callable[[int, int], bytes]
"""Reads from a start up to an end, or as much of that as there is."""

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # APPNOTE.TXT, section 4.3.7
_SLACK = 512  # for the name and the extra field: with it, one range of bytes is enough
_ENCRYPTED_FLAGS = 0x0041  # bit 0: encrypted; bit 6: strong encryption


def zip_members(archive: Container) -> Iterator[Member]:
    """Yield the members of a zip archive that are files, those of one key together."""
    with opened(archive) as raw:
        is_local = isinstance(archive, FileLocation)
        file = BufferedReader(cast(FileIO, raw)) if is_local else raw
        entries = _directory(file)
        stamp = stamp_of(file) if is_local else None

        def read_range(start: int, end: int) -> bytes:
            with reading(archive):
                file.seek(start)
                return file.read(end - start)

        overlapping = _overlapping(entries)
        for entry in sorted(entries, key=lambda e: (key_of(e.filename), e.filename)):
            if entry.filename.endswith("/"):
                continue
            flaw = _flaw(entry)
            if entry.header_offset in overlapping:
                flaw = Refused(Reason.CORRUPT_CONTAINER, "another member has the same bytes")
            location = ArchiveMember(
                archive=archive,
                name=entry.filename,
                offset=entry.header_offset,
                size=entry.compress_size,
                stamp=stamp,
                zipped=ZipEntry(method=entry.compress_type, size=entry.file_size, crc=entry.CRC),
            )
            read = partial(extract, read_range, location, Limits())
            yield Member(location=location, flaw=flaw, read=read)


def _directory(file: BinaryIO) -> Sequence[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.infolist()
    except OSError:
        raise
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, EOFError) as error:
        file.seek(0)
        if file.read(4) == b"PK\3\4":
            raise Refused(
                Reason.TRUNCATED, "the archive ends without its directory, or that is damaged"
            ) from error
        raise Refused(Reason.CORRUPT_CONTAINER, str(error) or type(error).__name__) from error


def _overlapping(entries: Sequence[zipfile.ZipInfo]) -> set[int]:
    """Return the offsets of members that share bytes: a small archive could be unpacked forever.

    Source: David Fifield, "A better zip bomb", WOOT 2019.
    """
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    return {
        offset
        for one, other in pairwise(ordered)
        if one.header_offset + _LOCAL_HEADER.size + one.compress_size > other.header_offset
        for offset in (one.header_offset, other.header_offset)
    }


def _flaw(entry: zipfile.ZipInfo) -> Refused | None:
    if entry.header_offset < 0:
        return Refused(Reason.CORRUPT_CONTAINER, "it begins before the archive")
    if stat.S_ISLNK(entry.external_attr >> 16):
        return Refused(Reason.NOT_A_FILE, "a link; links are not followed")
    if entry.flag_bits & _ENCRYPTED_FLAGS:
        return Refused(Reason.ENCRYPTED, "it needs a password")
    return None


def extract(
    read_range: ReadRange, member: ArchiveMember, limits: Limits, head: int | None = None
) -> bytes:
    """Read a member of any archive that is not compressed as a whole; raise :class:`Refused`.

    The byte limit applies to the unpacked member. ``head`` is for its first bytes, unverified.
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
