"""The one place where a worker gets an item's bytes, wherever they lie."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from recognizer.errors import RecognizerError
from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused, read_path
from recognizer.scan.items import Item, Span
from recognizer.scan.locations.access import Access
from recognizer.scan.locations.names import is_url, is_web
from recognizer.scan.locations.spans import read_span
from recognizer.scan.locations.stores import Store
from recognizer.scan.locations.web import fetch
from recognizer.status import Reason

_MOST_AT_ONCE = 8  # of what is far away, where waiting is most of the work


class Reader:
    """Reads items; each worker has one. What is far away is read ahead, several at once.

    Args:
        limits: the byte limit is that of one image.
        access: which places may be read from.
    """

    def __init__(self, limits: Limits, access: Access) -> None:
        self._limits = limits
        self._access = access
        self._ahead: dict[int, Future[bytes]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def expect(self, items: Iterable[Item]) -> None:
        """Begin to read what will be asked for soon; each is then to be read, once."""
        for item in items:
            if item.reason is None and _is_far(item):
                self._threads = self._threads or ThreadPoolExecutor(_MOST_AT_ONCE)
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
        if isinstance(item.data, bytes):
            if len(item.data) > self._limits.max_bytes:
                raise Refused(
                    Reason.TOO_MANY_BYTES,
                    f"{len(item.data)} bytes, limit {self._limits.max_bytes}",
                )
            return item.data
        try:
            if item.data is not None:
                return read_span(item.data, self._limits)
            if is_web(item.source):
                return self._fetch(item.source)
            if is_url(item.source):
                return Store(item.source).read(self._limits)
        except RecognizerError as error:  # a store that only one item of many needs
            raise Refused(Reason.READ_ERROR, str(error)) from error
        return read_path(item.source, self._limits)

    def _fetch(self, url: str) -> bytes:
        if not self._access.allow_http:
            raise Refused(Reason.SOURCE_REFUSED, "the web is not read without --allow-http")
        return fetch(url, self._limits, self._access.gate)


def _is_far(item: Item) -> bool:
    if isinstance(item.data, Span):
        return is_url(item.data.archive)
    return item.data is None and is_url(item.source)
