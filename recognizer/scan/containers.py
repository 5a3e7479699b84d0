"""Archives and tables, opened in a process that may die of them: strangers wrote them.

The parent parses nothing of them: it receives items, a batch at a time. A container that crashes,
hangs or swells the process costs a row that says how far it was read. It is opened a second time
then, one item at a time, so that what stands before that place is found, and the same rows come of
every scan.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection

from recognizer._closing import Closes
from recognizer._process import Child, DiedError, RemoteError, describe, inbox, settle
from recognizer.errors import RecognizerError
from recognizer.imaging.sources import Refused
from recognizer.scan.archives import items_of, tar_members, zip_members
from recognizer.scan.bounds import Reading
from recognizer.scan.items import ZIP_SUFFIX, Item, Skipped, table_format
from recognizer.scan.tables import TableOpening, table_items
from recognizer.status import Reason

MEMORY_LIMIT = 2 << 30
"""What the process may hold, unless the scan's memory limit says otherwise."""

_BATCH_ITEMS = 256
_BATCH_BYTES = 8 << 20
_BATCH_SECONDS = 0.2  # items wait no longer for others, with which they are sent
_BEAT_SECONDS = 1.0


class Opening(TableOpening):
    """An archive or a table, and how it is opened; the options of tables leave archives alone."""

    def items(self, progress: Reading, skipped: Skipped) -> Iterator[Item]:
        """Yield the images of the container; one that cannot be read on ends in an item."""
        try:
            yield from self._items(progress, skipped)
        except RecognizerError:
            raise
        except Refused as refused:
            detail = f"{refused.detail}; {progress.rest}"
            yield Item.failed(self.container, refused.reason, detail)
        except MemoryError:
            if not self.is_careful:  # a process that has died of it is given another try
                raise
            detail = f"it takes more memory than there is (--memory-limit); {progress.rest}"
            yield Item.failed(self.container, Reason.CORRUPT_CONTAINER, detail)
        except Exception as error:  # of any class: whatever a parser makes of damage
            detail = f"{describe(error)}; {progress.rest}"
            yield Item.failed(self.container, Reason.CORRUPT_CONTAINER, detail)

    def _items(self, progress: Reading, skipped: Skipped) -> Iterator[Item]:
        name = str(self.container)
        if table_format(name):
            return table_items(self, progress, skipped)
        if name.lower().endswith(ZIP_SUFFIX):
            members = zip_members(self.container)
        else:
            members = tar_members(self.container, progress)
        return items_of(members, self.limits, progress, skipped)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Items, perhaps none: then only how far the process has come."""

    items: list[Item]
    waiting: list[Item] = field(default_factory=list)  # for metadata that may follow them
    rest: str = "nothing of it was read"


class Containers(Closes):
    """Opens archives and tables, each in turn, in a process that is replaced when it dies.

    ``timeout`` is in seconds without any progress, ``memory_limit`` in resident bytes.
    """

    def __init__(self, timeout: float = 30.0, memory_limit: int | None = None) -> None:
        self._timeout = timeout
        self._memory_limit = memory_limit or MEMORY_LIMIT
        self._process: Child | None = None
        self._is_idle = False
        self._is_closed = False

    def close(self) -> None:
        """Kill the process; whoever waits for its items gets no more."""
        self._is_closed = True
        if self._process is not None:
            self._process.kill()

    def items(self, opening: Opening, skipped: Skipped) -> Iterator[Item]:
        """Yield the images of a container; what is wrong with it is an item too."""
        found, last = 0, _Batch(items=[])
        while not self._is_closed:
            process = self._ready()
            self._is_idle = False
            try:
                with suppress(OSError):  # it has died: the end of its connection will show it
                    process.connection.send((opening, found))
                while not isinstance(message := process.receive(self._timeout), Skipped):
                    if isinstance(message, RemoteError):
                        message.reraise(f"{opening.container} cannot be opened")
                    last = message
                    for item in last.items:
                        found += 1
                        yield item
            except DiedError as died:
                self._process = None
                if self._is_closed:
                    return
                if opening.is_careful:
                    yield from last.waiting
                    detail = f"the process that opened it {died}; {last.rest}"
                    yield Item.failed(opening.container, Reason.CORRUPT_CONTAINER, detail)
                    return
                opening = replace(opening, is_careful=True)
            else:
                self._is_idle = True
                skipped.add(message)
                return

    def _ready(self) -> Child:
        if self._process is not None and not self._is_idle:  # its last container was left halfway
            self._process.close()
            self._process = None
        if self._process is None:
            limit = self._memory_limit
            self._process, _ = Child.start(_run, limit, memory_limit=limit)
            self._is_idle = True
        if self._is_closed:
            self._process.kill()
        return self._process


# --- the process ----------------------------------------------------------------------------------


def _run(connection: Connection, memory_limit: int) -> None:
    settle()
    # pyarrow's own allocators take a gigabyte of addresses before the first byte.
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    _bound_memory(memory_limit)
    requests = inbox(connection)
    connection.send(None)
    while True:
        opening, skip = requests.get()
        try:
            _Sender(connection, opening).work(skip)
        except RecognizerError as error:
            connection.send(RemoteError.of(error))
        except MemoryError:  # nothing to be printed: the container is opened once more
            os._exit(1)


def _bound_memory(limit: int) -> None:
    """Let the system refuse what is over the limit; the parent looks only ten times a second."""
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - there is none on Windows

        with open("/proc/self/statm", encoding="ascii") as statm:
            data = int(statm.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (data + limit, hard))


class _Sender:
    """Sends the items of a request, and at least each second a sign that there is progress."""

    def __init__(self, connection: Connection, opening: Opening) -> None:
        self._connection = connection
        self._opening = opening
        self._progress = Reading(opening.bounds, self._beat)
        self._items: list[Item] = []
        self._bytes = 0
        self._sent = time.monotonic()

    def work(self, skip: int) -> None:
        """Send all items but the first ones, which the parent has, and what was skipped."""
        opening, skipped = self._opening, Skipped()
        items = opening.items(self._progress, skipped)
        for item in itertools.islice(items, skip, None):
            self._items.append(item)
            self._bytes += len(item.data or b"")
            if (
                opening.is_careful
                or len(self._items) >= _BATCH_ITEMS
                or self._bytes >= _BATCH_BYTES
                or time.monotonic() - self._sent >= _BATCH_SECONDS
            ):
                self._send()
        self._send()
        self._connection.send(skipped)

    def _beat(self) -> None:
        is_due = time.monotonic() - self._sent >= _BEAT_SECONDS
        if is_due or self._opening.is_careful:
            self._send()

    def _send(self) -> None:
        waiting = [*self._progress.waiting] if self._opening.is_careful else []
        rest = self._progress.rest
        self._connection.send(_Batch(items=self._items, waiting=waiting, rest=rest))
        self._items, self._bytes = [], 0
        self._sent = time.monotonic()
