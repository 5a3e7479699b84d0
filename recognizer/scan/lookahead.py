"""Items, found ahead of the scan, so that their number is known before it ends."""

from __future__ import annotations

import pickle
import threading
import zlib
from collections import deque
from collections.abc import Iterable, Iterator

from recognizer._closing import Closes
from recognizer.scan.items import Item

_CHUNK_ITEMS = 256
_MAX_BYTES = 16 << 20  # names compress well: about a million items


class Lookahead(Closes):
    """Iterates over items that a thread finds meanwhile.

    What has been found and not been asked for is held compressed, up to a limit; then the thread
    waits. An error of the walk comes in its place among the items.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = items
        self._changed = threading.Condition()
        self._chunks: deque[tuple[int, bytes | list[Item]]] = deque()
        self._last: list[Item] = []  # the chunk that is being filled
        self._held = 0
        self._found = 0
        self._is_done = False
        self._error: Exception | None = None
        threading.Thread(target=self._walk, daemon=True).start()

    @property
    def total(self) -> int | None:
        """How many items there are; None while the walk goes on."""
        return self._found if self._is_done and self._error is None else None

    def __iter__(self) -> Iterator[Item]:
        while chunk := self._take():
            yield from chunk
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the walk at its next item."""
        with self._changed:
            self._is_done = True
            self._changed.notify_all()

    def _walk(self) -> None:
        items = iter(self._items)
        try:
            while self._has_room():
                self._put(next(items))
        except StopIteration:
            pass
        except Exception as error:
            self._error = error
        finally:
            self.close()

    def _has_room(self) -> bool:
        with self._changed:
            while self._held >= _MAX_BYTES and not self._is_done:
                self._changed.wait()
            return not self._is_done

    def _put(self, item: Item) -> None:
        with self._changed:
            self._last.append(item)
            self._found += 1
            if len(self._last) == _CHUNK_ITEMS or item.data:
                self._pack()
            self._changed.notify_all()

    def _pack(self) -> None:
        chunk, self._last = self._last, []
        size = sum(len(item.data or b"") for item in chunk)
        if size:
            self._chunks.append((size, chunk))
        else:
            packed = zlib.compress(pickle.dumps(chunk), 1)
            size = len(packed)
            self._chunks.append((size, packed))
        self._held += size

    def _take(self) -> list[Item]:
        with self._changed:
            while not (self._chunks or self._last or self._is_done):
                self._changed.wait(1.0)  # Windows: without a limit, Ctrl-C would not be heard
            if not self._chunks:
                chunk, self._last = self._last, []
                return chunk
            size, found = self._chunks.popleft()
            self._held -= size
            self._changed.notify_all()
        if isinstance(found, bytes):
            found = pickle.loads(zlib.decompress(found))  # noqa: S301 - packed above
        return found
