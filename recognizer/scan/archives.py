"""tar and zip archives, read without anything written to disk, and the images in them.

Members of one key (the name up to the first dot of its last part) belong together, as in
WebDataset: the ``.json`` among them has the columns of the images.
"""

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, pairwise
from typing import IO, Any, BinaryIO, cast

from recognizer.imaging import Limits
from recognizer.imaging.formats import SNIFF_BYTES, sniff
from recognizer.imaging.sources import Refused, refusal
from recognizer.scan.bounds import MAX_NAME, KeySet, Reading, Unpacked
from recognizer.scan.items import (
    Columns,
    Container,
    Item,
    Part,
    Skipped,
    has_archive_suffix,
    has_image_suffix,
)
from recognizer.scan.records import json_object, listing_columns
from recognizer.scan.stores import opened
from recognizer.status import Reason

_METADATA_LIMITS = Limits(max_bytes=1 << 20)
# An archive may have one key for all that it holds.
_MAX_WAITING, _MAX_WAITING_BYTES = 32, 64 << 20  # images that wait for metadata
_MAX_WITH_COLUMNS = 64  # images of a key

_MAX_TRIES = 100  # of names for one more member of a name
_APPLE_DOUBLE = b"\0\5\x16\7"  # what a Mac keeps beside a file: RFC 1740


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file in an archive, and why it cannot be read, as far as that is known already.

    ``read`` returns as many of its first bytes, or all for None, or raises :class:`Refused`; it is
    called before the next member is taken.
    """

    name: str
    size: int
    flaw: Refused | None
    read: Callable[[int | None], bytes]


def archive_items(
    archive: Container,
    members: Iterable[Member],
    limits: Limits,
    progress: Reading,
    skipped: Skipped,
    wanted: str | None = None,
) -> Iterator[Item]:
    """Yield the images of an archive and its flaws, in the order of the members.

    An item with columns is metadata, for :func:`grouped`. Of others than the ``wanted`` member,
    the image is not read.
    """
    with KeySet() as seen:
        for member in members:
            number = progress.begin()
            name = member.name.removeprefix("./")
            if name.lower().endswith(".json"):
                try:
                    yield Item(Part(archive, name), columns=_columns(member))
                except (Refused, ValueError):
                    skipped.bad_metadata += 1
                progress.passed(f"member {number}", name)
                continue
            data, refused, is_image = None, member.flaw, True
            try:
                is_image = _is_image(name, member)
            except Refused as error:
                refused = error
            if is_image:
                place = Part(archive, _unique(name[:MAX_NAME], number, seen))
                try:
                    if refused is None and wanted in {None, place.name}:
                        limits.check_bytes(member.size)
                        data = member.read(None)
                except Refused as error:
                    refused = error
                reason, detail = (refused.reason, refused.detail) if refused else (None, None)
                yield Item(place, data=data, reason=reason, detail=detail)
            else:
                skipped.other_files += 1
            progress.passed(f"member {number}", name)


def grouped(items: Iterable[Item], skipped: Skipped) -> Iterator[Item]:
    """Yield an archive's images, with the metadata next to them of the same key, and its flaws."""
    for key, members in groupby(items, _key_of_item):
        if key is None:
            yield from members
            continue
        columns: Columns = None
        waiting: list[Item] = []
        given = 0
        for member in members:
            if member.columns is None:
                waiting.append(member)
            else:
                columns = member.columns
            held = sum(len(image.data or b"") for image in waiting)
            is_full = len(waiting) >= _MAX_WAITING or held >= _MAX_WAITING_BYTES
            if columns is not None or is_full:
                for image in waiting:
                    given += 1
                    yield replace(image, columns=columns if given <= _MAX_WITH_COLUMNS else None)
                waiting.clear()
        if columns is not None and not given:
            skipped.bad_metadata += 1
        yield from waiting


def _key_of_item(item: Item) -> str | None:
    return _key_of(item.location.name) if isinstance(item.location, Part) else None


def _key_of(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + (last.partition(".")[0] or last)


def _columns(member: Member) -> Columns:
    """Return the columns that are in a ``.json``, or raise Refused or a ValueError."""
    if member.flaw:
        raise member.flaw
    _METADATA_LIMITS.check_bytes(member.size)
    return listing_columns(json_object(member.read(None)).items(), _MAX_WITH_COLUMNS)


def _is_image(name: str, member: Member) -> bool:
    """Whether a member is named like an image, or begins as one; raise Refused if it is flawed."""
    if not name:
        raise Refused(Reason.CORRUPT_CONTAINER, "a member without a name")
    if len(name) > MAX_NAME:
        detail = f"its name has {len(name)} characters, limit {MAX_NAME}"
        raise Refused(Reason.CORRUPT_CONTAINER, detail)
    if has_archive_suffix(name):
        raise Refused(Reason.UNSUPPORTED_FORMAT, "archives within archives are not opened")
    is_named_so = has_image_suffix(name)
    if member.flaw or (is_named_so and not name.rpartition("/")[2].startswith("._")):
        return is_named_so
    head = member.read(SNIFF_BYTES)
    return bool(sniff(head)) or (is_named_so and not head.startswith(_APPLE_DOUBLE))


def _unique(name: str, member: int, seen: KeySet) -> str:
    unique, number = name, 1
    while not seen.add(hash(unique)):
        # A stranger may give a million members one name.
        number = number + 1 if number < _MAX_TRIES else max(number + 1, member)
        unique = f"{name}#{number}"
    return unique


# --- tar -----------------------------------------------------------------------------------------

_OPENERS: Mapping[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}
_MAX_HEADER_BYTES = 1 << 20  # of one record; a name or a comment may be as long as it likes
_READ_BYTES = 1 << 20


class _Forward:
    """A file that is only ever read forward, for :mod:`tarfile`, which asks for no more."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = 0
        self.last_block = b""

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_HEADER_BYTES:
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
        if position < self._at:
            raise tarfile.ReadError("a member of negative size")
        if self._file.seekable():
            self._at = self._file.seek(position)
        while self._at < position and self.read_data(min(_READ_BYTES, position - self._at)):
            pass


def tar_members(archive: Container, progress: Reading) -> Iterator[Member]:
    """Yield the members of a tar archive that are not folders."""
    with opened(archive) as file:
        unpack = _OPENERS.get(file.read(2))
        file.seek(0)
        if unpack is None:
            yield from _walk(file)
        else:
            with unpack(file) as unpacked:
                yield from _walk(cast(BinaryIO, Unpacked(unpacked, file, progress)))


def _walk(file: BinaryIO) -> Iterator[Member]:
    forward = _Forward(file)
    source = cast(IO[bytes], forward)
    with tarfile.TarFile(fileobj=source, encoding="utf-8", errors="surrogateescape") as tar:
        while (entry := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined] # it would remember them all
            if not entry.isdir():
                read = _reader(entry.size, forward)
                yield Member(name=entry.name, size=entry.size, flaw=_tar_flaw(entry), read=read)
    block = forward.last_block
    if len(block) < tarfile.BLOCKSIZE:
        raise Refused(Reason.TRUNCATED, "the archive ends without its end mark")
    if block.strip(b"\0"):  # no header, and tarfile takes it for the end
        raise Refused(Reason.CORRUPT_CONTAINER, "a header makes no sense")


def _reader(size: int, file: _Forward) -> Callable[[int | None], bytes]:
    begun = b""

    def read(head: int | None) -> bytes:
        nonlocal begun
        wanted = size if head is None else min(head, size)
        begun += file.read_data(wanted - len(begun))
        if len(begun) < wanted:
            raise Refused(Reason.TRUNCATED, "the archive ends within it")
        return begun

    return read


def _tar_flaw(entry: tarfile.TarInfo) -> Refused | None:
    if entry.size < 0:
        return Refused(Reason.CORRUPT_CONTAINER, f"a size of {entry.size} bytes")
    if entry.isfile() and not entry.issparse():
        return None
    if entry.issym() or entry.islnk():
        return Refused(Reason.NOT_A_FILE, f"a link to {entry.linkname!r}; links are not followed")
    return Refused(Reason.NOT_A_FILE, "not a regular file")


# --- zip -----------------------------------------------------------------------------------------

# The compression methods that are unpacked; each more would be one more decoder.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADER_BYTES = 30  # of a local header, without its name: APPNOTE.TXT, section 4.3.7
_ENCRYPTED_FLAGS = 0x0041  # bit 0: encrypted; bit 6: strong encryption


def zip_members(archive: Container) -> Iterator[Member]:
    """Yield the members of a zip archive that are files, those of one key together."""
    with opened(archive) as file, zipfile.ZipFile(file) as packed:
        entries = packed.infolist()
        overlapping = _overlapping(entries)
        for entry in sorted(entries, key=lambda e: (_key_of(e.filename), e.filename)):
            if entry.filename.endswith("/"):
                continue
            flaw = _zip_flaw(entry)
            if entry.header_offset in overlapping:
                flaw = Refused(Reason.CORRUPT_CONTAINER, "another member has the same bytes")
            read = partial(_unpacked, packed, entry)
            yield Member(name=entry.filename, size=entry.file_size, flaw=flaw, read=read)


def _overlapping(entries: Sequence[zipfile.ZipInfo]) -> set[int]:
    # A small archive could be unpacked forever: David Fifield, "A better zip bomb", WOOT 2019.
    return {
        offset
        for one, other in pairwise(sorted(entries, key=lambda entry: entry.header_offset))
        if one.header_offset + _HEADER_BYTES + one.compress_size > other.header_offset
        for offset in (one.header_offset, other.header_offset)
    }


def _zip_flaw(entry: zipfile.ZipInfo) -> Refused | None:
    if entry.header_offset < 0:
        return Refused(Reason.CORRUPT_CONTAINER, "it begins before the archive")
    if stat.S_ISLNK(entry.external_attr >> 16):
        return Refused(Reason.NOT_A_FILE, "a link; links are not followed")
    if entry.flag_bits & _ENCRYPTED_FLAGS:
        return Refused(Reason.ENCRYPTED, "it needs a password")
    if entry.compress_type not in _METHODS:
        return Refused(Reason.UNSUPPORTED_FORMAT, f"the zip method {entry.compress_type}")
    return None


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, head: int | None) -> bytes:
    """Unpack a member, never more than the directory says, or its ``head`` unverified."""
    try:
        with archive.open(entry) as file:
            return file.read(entry.file_size if head is None else head)
    except EOFError as error:
        raise Refused(Reason.TRUNCATED, "the archive ends within it") from error
    except OSError as error:
        raise refusal(error) from error
    except Exception as error:  # of any class: whatever zipfile makes of damage
        raise Refused(Reason.CORRUPT_CONTAINER, str(error)) from error
