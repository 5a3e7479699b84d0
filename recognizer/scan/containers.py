"""Archives and tables, opened in a process: what it dies of costs a row, and nothing else."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

from recognizer._process import DiedError, ProcessPool
from recognizer.scan.bounds import Reading
from recognizer.scan.items import Item, Skipped
from recognizer.scan.tables import Opening
from recognizer.status import Reason

MEMORY_LIMIT = 2 << 30  # what the process may hold, unless the scan's memory limit says otherwise

_BEAT_SECONDS = 1.0


class Containers(ProcessPool):
    """Opens archives and tables, each in turn; the timeout is one without any progress."""

    def __init__(self, timeout: float = 30.0, memory_limit: int | None = None) -> None:
        limit = memory_limit or MEMORY_LIMIT
        make = partial(_bound_memory, limit)
        super().__init__(make, _open, processes=1, timeout=timeout, memory_limit=limit)

    def items(self, opening: Opening, skipped: Skipped) -> Iterator[Item]:
        """Yield the images of a container; what is wrong with it is an item too."""
        rest = "nothing of it was read"
        try:
            for message in self.converse(opening):
                match message:
                    case Item():
                        yield message
                    case Skipped():
                        skipped.add(message)
                    case _:
                        rest = message
        except DiedError as died:
            if not self.is_closed:
                detail = f"the process that opened it {died}; {rest}"
                yield Item.failed(opening.container, Reason.CORRUPT_CONTAINER, detail)


# --- the process ----------------------------------------------------------------------------------


def _open(_: None, opening: Opening, send: Callable[[object], None]) -> Skipped:
    """Send what is found, and how far the container was read; return what was skipped."""
    said, sent = "", time.monotonic()

    def beat() -> None:
        nonlocal said, sent
        if progress.rest != said or time.monotonic() - sent >= _BEAT_SECONDS:
            said, sent = progress.rest, time.monotonic()
            send(said)

    progress, skipped = Reading(opening.options.bounds, beat), Skipped()
    try:
        for item in opening.items(progress, skipped):
            send(item)
    except MemoryError:  # nothing to be printed
        os._exit(1)
    return skipped


def _bound_memory(limit: int) -> None:
    """Limit memory by the system, too; the parent looks only ten times a second."""
    # pyarrow's own allocators take a gigabyte of addresses before the first byte.
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - not on Windows

        with open("/proc/self/statm", encoding="ascii") as statm:
            data = int(statm.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (data + limit, hard))
