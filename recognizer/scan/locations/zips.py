"""zip archives: their directory is read, and held while they are; workers unpack the members."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader, FileIO
from itertools import pairwise
from typing import BinaryIO, cast

from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused
from recognizer.scan.location import ArchiveMember, Container, FileLocation, ZipEntry
from recognizer.scan.locations.extract import ReadRange, extract
from recognizer.scan.locations.files import opened, reading, stamp_of
from recognizer.scan.locations.members import Member, key_of
from recognizer.status import Reason

_ENCRYPTED_FLAGS = 0x0041  # bit 0: encrypted; bit 6: strong encryption
_LOCAL_HEADER_BYTES = 30


@dataclass(slots=True)
class _ZipMember:
    """See :class:`~recognizer.scan.locations.members.Member`."""

    location: ArchiveMember
    flaw: Refused | None
    read_range: ReadRange

    def head(self, size: int) -> bytes:
        return extract(self.read_range, self.location, Limits(), head=size)

    def data(self) -> None:
        return None

    def metadata(self, limit: int) -> bytes:
        if self.flaw:
            raise self.flaw
        return extract(self.read_range, self.location, Limits(max_bytes=limit))


def zip_members(archive: Container) -> Iterator[Member]:
    """Yield the members of a zip archive that are files, those of one key together.

    Raises:
        MissingExtraError: the library for the store is not installed.
        Refused: with the reason.
        UsageError: there is no such store.
    """
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
            if entry.is_dir():
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
                zipped=ZipEntry(entry.compress_type, entry.file_size, entry.CRC),
            )
            yield _ZipMember(location, flaw, read_range)


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
        if one.header_offset + _LOCAL_HEADER_BYTES + one.compress_size > other.header_offset
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
