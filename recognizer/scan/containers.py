"""Archives and tables, opened in a process: what it dies of costs a row, and nothing else."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection

from recognizer._closing import Closes
from recognizer._process import Child, DiedError, RemoteError, begin_work
from recognizer.errors import RecognizerError
from recognizer.scan.bounds import Reading
from recognizer.scan.items import Item, Skipped
from recognizer.scan.tables import Opening
from recognizer.status import Reason

MEMORY_LIMIT = 2 << 30  # what the process may hold, unless the scan's memory limit says otherwise

_BEAT_SECONDS = 1.0


class Containers(Closes):
    """Opens archives and tables, each in turn, in a process that is replaced when it dies.

    ``timeout`` is in seconds without any progress, ``memory_limit`` in resident bytes.
    """

    def __init__(self, timeout: float = 30.0, memory_limit: int | None = None) -> None:
        self._timeout = timeout
        self._memory_limit = memory_limit or MEMORY_LIMIT
        self._idle: Child | None = None
        self._busy: Child | None = None
        self._is_closed = False

    def close(self) -> None:
        """Kill the process; whoever waits for its items gets no more."""
        self._is_closed = True
        for process in filter(None, (self._idle, self._busy)):
            process.kill()

    def items(self, opening: Opening, skipped: Skipped) -> Iterator[Item]:
        """Yield the images of a container; what is wrong with it is an item too."""
        rest = "nothing of it was read"
        limit = self._memory_limit
        process = self._idle or Child.start(_run, limit, memory_limit=limit)[0]
        self._idle, self._busy = None, process
        if self._is_closed:
            process.kill()
        try:
            with suppress(OSError):  # it has died: the end of its connection will show it
                process.connection.send(opening)
            while not isinstance(message := process.receive(self._timeout), Skipped):
                match message:
                    case Item():
                        yield message
                    case RemoteError():
                        message.reraise(f"{opening.container} cannot be opened")
                    case _:
                        rest = message
            skipped.add(message)
            self._idle = process
        except DiedError as died:
            if not self._is_closed:
                detail = f"the process that opened it {died}; {rest}"
                yield Item.failed(opening.container, Reason.CORRUPT_CONTAINER, detail)
        finally:
            if self._idle is not process:  # it has died, or its container was left halfway
                process.close()


# --- the process ----------------------------------------------------------------------------------


def _run(connection: Connection, memory_limit: int) -> None:
    requests = begin_work(connection)
    # pyarrow's own allocators take a gigabyte of addresses before the first byte.
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    _bound_memory(memory_limit)
    connection.send(None)
    while True:
        opening = requests.get()
        try:
            _send(connection, opening)
        except RecognizerError as error:
            connection.send(RemoteError.of(error))
        except MemoryError:  # nothing to be printed
            os._exit(1)


def _send(connection: Connection, opening: Opening) -> None:
    """Send what is found, how far the container was read, and at last what was skipped."""
    said, sent = "", time.monotonic()

    def beat() -> None:
        nonlocal said, sent
        if progress.rest != said or time.monotonic() - sent >= _BEAT_SECONDS:
            said, sent = progress.rest, time.monotonic()
            connection.send(said)

    progress, skipped = Reading(opening.options.bounds, beat), Skipped()
    for item in opening.items(progress, skipped):
        connection.send(item)
    connection.send(skipped)


def _bound_memory(limit: int) -> None:
    """Let the system refuse what is over the limit; the parent looks only ten times a second."""
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - not on Windows

        with open("/proc/self/statm", encoding="ascii") as statm:
            data = int(statm.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (data + limit, hard))
