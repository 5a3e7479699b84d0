"""tar archives, read from front to back, compressed or not, without anything written to disk.

Of a plain local archive only the headers are read: workers read the members. A compressed one, or
one in an object store, is streamed, and members' bytes travel with their items.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import IO, Any, BinaryIO, cast

from recognizer.imaging.sources import Refused
from recognizer.scan.containers.bounds import Progress
from recognizer.scan.containers.members import Member
from recognizer.scan.location import ArchiveMember, Container, FileLocation
from recognizer.scan.locations.files import Unpacked, opened, reading, stamp_of
from recognizer.status import Reason

_OPENERS: Mapping[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}
_MAX_HEADER_BYTES = 1 << 20  # of one record; a name or a comment may be as long as it likes
_MAX_SKIPPED_BYTES = 1 << 30  # at once, of a compressed archive
_READ_BYTES = 1 << 20
_FAILURES = (
    *(tarfile.TarError, ValueError, OverflowError, EOFError),
    *(zlib.error, lzma.LZMAError, gzip.BadGzipFile),
)


class _Forward:
    """A file that is only ever read forward, for :mod:`tarfile`, which asks for no more."""

    def __init__(
        self, file: BinaryIO, max_headers: int, *, is_compressed: bool, can_jump: bool
    ) -> None:
        self._file = file
        self._max_headers = max_headers
        self.headers = 0  # before the next member
        self._is_compressed = is_compressed
        self._can_jump = can_jump
        self._at = 0
        self.last_block: bytes | None = None

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        """Read a header, or a part of one."""
        if not 0 <= size <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        self.headers += 1
        if self.headers > 2 * self._max_headers + 1:  # of each, its block and what it holds
            detail = f"more than {self._max_headers} headers before one member (--max-headers)"
            raise tarfile.ReadError(detail)
        self.last_block = self.read_data(size)
        return self.last_block

    def read_data(self, size: int) -> bytes:
        data = self._file.read(size)
        while 0 < len(data) < size and (more := self._file.read(size - len(data))):
            data += more
        self._at += len(data)
        return data

    def seek(self, position: int) -> None:
        """Go forward."""
        distance = position - self._at
        if distance < 0:
            raise tarfile.ReadError("a member of negative size")
        if self._can_jump:
            self._file.seek(position)
            self._at = position
            return
        if self._is_compressed and distance > _MAX_SKIPPED_BYTES:
            raise tarfile.ReadError(f"a member of {distance} bytes, which is not unpacked")
        while self._at < position:
            if not self.read_data(min(_READ_BYTES, position - self._at)):
                return  # tarfile finds the end


def tar_members(archive: Container, progress: Progress) -> Iterator[Member]:
    """Yield the members of a tar archive that are not folders, each to be read before the next.

    After a place that cannot be read, :class:`Refused` is raised: the rest is lost.
    """
    with opened(archive) as raw:
        try:
            is_local = isinstance(archive, FileLocation)
            buffered = io.BufferedReader(cast(io.FileIO, raw)) if is_local else raw
            unpack = _OPENERS.get(buffered.read(2))
            buffered.seek(0)
            if unpack is None:
                yield from _walk(archive, buffered, progress, is_compressed=False)
            else:
                with unpack(buffered) as unpacked:
                    stream = cast(BinaryIO, Unpacked(unpacked, buffered, progress))
                    yield from _walk(archive, stream, progress, is_compressed=True)
        except _FAILURES as error:
            raise _corrupt(error) from error


def _walk(
    archive: Container, file: BinaryIO, progress: Progress, *, is_compressed: bool
) -> Iterator[Member]:
    in_place = not is_compressed and isinstance(archive, FileLocation)
    stamp = stamp_of(file) if in_place else (0, 0)
    limit = progress.bounds.max_headers
    forward = _Forward(file, limit, is_compressed=is_compressed, can_jump=in_place)
    with closing(
        tarfile.TarFile(
            mode="r",
            fileobj=cast(IO[bytes], forward),
            encoding="utf-8",
            errors="surrogateescape",
        )
    ) as tar:
        while (entry := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined] # it would remember them all
            forward.headers = 0
            if entry.isdir():
                continue
            end = entry.offset_data + entry.size
            flaw = _flaw(entry)
            if flaw is None and in_place and end > stamp[0]:
                flaw = Refused(Reason.TRUNCATED, "the archive ends within it")
            location = ArchiveMember(
                archive=archive,
                name=entry.name,
                offset=entry.offset_data,
                size=entry.size,
                stamp=stamp,
            )
            read = _reader(location, forward)
            yield Member(location=location, flaw=flaw, read=read, is_streamed=not in_place)
    block = forward.last_block
    if not block or len(block) < tarfile.BLOCKSIZE:
        raise Refused(Reason.TRUNCATED, "the archive ends without its end mark")
    if block.strip(b"\0"):  # no header, and tarfile takes it for the end
        raise Refused(Reason.CORRUPT_CONTAINER, "a header makes no sense")


def _reader(member: ArchiveMember, file: _Forward) -> Callable[[int | None], bytes]:
    begun = b""

    def read(size: int | None) -> bytes:
        nonlocal begun
        wanted = member.size if size is None else min(size, member.size)
        with reading(member.archive):
            try:
                begun += file.read_data(wanted - len(begun))
            except _FAILURES as error:
                raise _corrupt(error) from error
        if len(begun) < wanted:
            raise Refused(Reason.TRUNCATED, "the archive ends within it")
        return begun

    return read


def _flaw(entry: tarfile.TarInfo) -> Refused | None:
    if entry.size < 0:
        return Refused(Reason.CORRUPT_CONTAINER, f"a size of {entry.size} bytes")
    if entry.isfile() and not entry.issparse():
        return None
    if entry.issym() or entry.islnk():
        return Refused(Reason.NOT_A_FILE, f"a link to {entry.linkname!r}; links are not followed")
    return Refused(Reason.NOT_A_FILE, "not a regular file")


def _corrupt(error: Exception) -> Refused:
    if isinstance(error, EOFError) or "unexpected end of data" in str(error):
        return Refused(Reason.TRUNCATED, "the archive ends early")
    return Refused(Reason.CORRUPT_CONTAINER, str(error)[:200] or type(error).__name__)
