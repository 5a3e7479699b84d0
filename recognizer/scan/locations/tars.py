"""tar archives, read from front to back, packed or not, without anything written to disk.

Of a plain local archive only the headers are read: workers read the members. A packed one, or one
in an object store, is streamed, and members' bytes travel with their items.
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
from dataclasses import dataclass, field
from typing import IO, Any, BinaryIO, cast

from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused
from recognizer.scan.items import Span
from recognizer.scan.locations.files import opened, reading, stamp_of
from recognizer.scan.locations.members import Member
from recognizer.scan.locations.names import is_url
from recognizer.status import Reason

_PACKED: Mapping[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}
_MOST_HEADER_BYTES = 1 << 20  # of one record; a name or a comment may be as long as it likes
_MOST_SKIPPED_BYTES = 1 << 30  # of a packed archive, at once: a few bytes may stand for a million
_READ_BYTES = 1 << 20
_FAILURES = (
    *(tarfile.TarError, ValueError, OverflowError, EOFError),
    *(zlib.error, lzma.LZMAError, gzip.BadGzipFile),
)


class _Forward:
    """A file that is only ever read forward, for :mod:`tarfile`, which asks for no more."""

    def __init__(self, file: BinaryIO, *, is_packed: bool, can_jump: bool) -> None:
        self._file = file
        self._is_packed = is_packed
        self._can_jump = can_jump
        self._at = 0
        self.last_block: bytes | None = None

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        """Read a header, or a part of one."""
        if not 0 <= size <= _MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
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
        if self._is_packed and distance > _MOST_SKIPPED_BYTES:
            raise tarfile.ReadError(f"a member of {distance} bytes, which is not unpacked")
        while self._at < position:
            if not self.read_data(min(_READ_BYTES, position - self._at)):
                return  # tarfile finds the end


@dataclass(slots=True)
class _TarMember:
    """See :class:`~recognizer.scan.locations.members.Member`."""

    archive: str
    name: str
    flaw: Refused | None
    size: int
    file: _Forward
    limits: Limits
    span: Span | None
    _begun: bytes = field(default=b"", init=False)

    def head(self, size: int) -> bytes:
        self._begun = self._read(min(size, self.size))
        return self._begun

    def content(self) -> bytes | Span:
        if self.size > self.limits.max_bytes:
            limit = self.limits.max_bytes
            raise Refused(Reason.TOO_MANY_BYTES, f"{self.size} bytes, limit {limit}")
        return self.span or self._begun + self._read(self.size - len(self._begun))

    def metadata(self, limit: int) -> bytes:
        if self.flaw or self.size > limit:
            raise self.flaw or Refused(Reason.TOO_MANY_BYTES, f"{self.size} bytes")
        return self._read(self.size)

    def _read(self, size: int) -> bytes:
        with reading(self.archive):
            try:
                data = self.file.read_data(size)
            except _FAILURES as error:
                raise _corrupt(error) from error
        if len(data) < size:
            raise Refused(Reason.TRUNCATED, "the archive ends within it")
        return data


def tar_members(archive: str, limits: Limits) -> Iterator[Member]:
    """Yield the members of a tar archive that are files, or could be taken for some.

    Args:
        archive: path or URL.
        limits: members over the byte limit are not read.

    Raises:
        MissingExtraError: the library for the store is not installed.
        Refused: with the reason; what lies behind the place that cannot be read is lost.
        UsageError: there is no such store.
    """
    with opened(archive) as raw:
        try:
            buffered = raw if is_url(archive) else io.BufferedReader(cast(io.FileIO, raw))
            unpack = _PACKED.get(buffered.read(2))
            buffered.seek(0)
            if unpack is None:
                yield from _walk(archive, buffered, limits, is_packed=False)
            else:
                with unpack(buffered) as unpacked:
                    yield from _walk(archive, unpacked, limits, is_packed=True)
        except _FAILURES as error:
            raise _corrupt(error) from error


def _walk(archive: str, file: BinaryIO, limits: Limits, *, is_packed: bool) -> Iterator[Member]:
    in_place = not is_packed and not is_url(archive)
    stamp = stamp_of(file) if in_place else (0, 0)
    forward = _Forward(file, is_packed=is_packed, can_jump=in_place)
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
            if entry.isdir():
                continue
            end = entry.offset_data + entry.size
            flaw = _flaw(entry)
            if flaw is None and in_place and end > stamp[0]:
                flaw = Refused(Reason.TRUNCATED, "the archive ends within it")
            span = Span(archive, entry.offset_data, entry.size, stamp) if in_place else None
            yield _TarMember(archive, entry.name, flaw, entry.size, forward, limits, span)
    block = forward.last_block
    if not block or len(block) < tarfile.BLOCKSIZE:
        raise Refused(Reason.TRUNCATED, "the archive ends without its end mark")
    if block.strip(b"\0"):  # no header, and tarfile takes it for the end
        raise Refused(Reason.CORRUPT_CONTAINER, "a header makes no sense")


def _flaw(entry: tarfile.TarInfo) -> Refused | None:
    if entry.size < 0:
        return Refused(Reason.CORRUPT_CONTAINER, f"a size of {entry.size} bytes")
    if entry.isfile() and not entry.issparse():
        return None
    if entry.issym() or entry.islnk():
        return Refused(Reason.NOT_A_FILE, f"a link to {entry.linkname!r}; links are not followed")
    return Refused(Reason.NOT_A_FILE, "no regular file")


def _corrupt(error: Exception) -> Refused:
    if isinstance(error, EOFError) or "unexpected end of data" in str(error):
        return Refused(Reason.TRUNCATED, "the archive ends early")
    return Refused(Reason.CORRUPT_CONTAINER, str(error)[:200] or type(error).__name__)
