"""The one place where a worker gets an item's bytes, wherever they lie."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from recognizer.errors import RecognizerError
from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused, open_regular, read_path, refusal
from recognizer.scan.containers.zips import extract
from recognizer.scan.items import Item
from recognizer.scan.location import ArchiveMember, FileLocation, StoreObject, WebAddress
from recognizer.scan.locations.files import stamp_of
from recognizer.scan.locations.stores import Store
from recognizer.scan.locations.web import Access, fetch
from recognizer.status import Reason

_MAX_CONCURRENT = 8  # reads over a network


class Reader:
    """Reads items; each worker has one. Remote items are read ahead, several at once.

    Args:
        limits: the byte limit is that of one image.
        access: which places may be read from.
    """

    def __init__(self, limits: Limits, access: Access) -> None:
        self._limits = limits
        self._access = access
        self._ahead: dict[int, Future[bytes]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def expect(self, item: Item) -> None:
        """Begin to read an item if it is remote; it must then be read, once."""
        if item.is_remote:
            self._threads = self._threads or ThreadPoolExecutor(_MAX_CONCURRENT)
            self._ahead[id(item)] = self._threads.submit(self._read, item)

    def read(self, item: Item) -> bytes:
        """Return an item's bytes.

        Raises:
            Refused: with the reason.
        """
        future = self._ahead.pop(id(item), None)
        return self._read(item) if future is None else future.result()

    def _read(self, item: Item) -> bytes:
        if item.reason is not None:
            raise Refused(item.reason, item.detail or "")
        size = len(item.data or b"")
        if size > self._limits.max_bytes:
            raise Refused(Reason.TOO_MANY_BYTES, f"{size} bytes, limit {self._limits.max_bytes}")
        if item.data is not None:
            return item.data
        try:
            match item.location:
                case FileLocation(path):
                    return read_path(path, self._limits)
                case ArchiveMember() as member:
                    return _read_member(member, self._limits)
                case StoreObject() as place:
                    return Store(place).read(self._limits)
                case WebAddress(url):
                    return fetch(url, self._limits, self._access)
                case cell:
                    raise Refused(Reason.NOT_FOUND, f"{cell}: the table is not read again")
        except RecognizerError as error:  # a store that only one item of many needs
            raise Refused(Reason.READ_ERROR, str(error)) from error


def _read_member(member: ArchiveMember, limits: Limits) -> bytes:
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
