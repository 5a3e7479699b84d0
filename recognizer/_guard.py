"""A process that works on the bytes of strangers, and what ends it: a crash, a timeout, its memory.

What a death costs is for those to say who start one: an image, an archive, an answer.
"""

from __future__ import annotations

import atexit
import math
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn, Self, TypeVar

import cv2

from recognizer import errors
from recognizer._closing import Closes
from recognizer._messages import MESSAGES
from recognizer.errors import RecognizerError
from recognizer.status import Reason

START_SECONDS = 300.0
"""What a process has until its first message: some providers compile the model as they load it."""

MAX_FAILED_STARTS = 3  # in a row
MEMORY_CHECK_SECONDS = 0.1
JOIN_SECONDS = 1.0  # a process that waits for dead storage does not even react to SIGKILL
_MEBIBYTE = 1 << 20
_MAX_SHOWN = 200  # characters of an error's message
_Made = TypeVar("_Made")


def start(
    target: Callable[..., None], *payload: object, memory_limit: int | None = None
) -> tuple[Guarded, Any]:
    """Start ``target(connection, *payload)``; return the process and its first message.

    Raises:
        RecognizerError: three of them have died before their first message.
    """
    died: DiedError | None = None
    for _ in range(MAX_FAILED_STARTS):
        process = Guarded(*spawn(target, *payload), memory_limit)
        try:
            return process, process.receive(START_SECONDS)
        except DiedError as error:
            died = error
    raise RecognizerError(f"the worker processes cannot be started: the last one {died}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartupFailure:
    """The last message of a process that cannot work: the class and the message of its error."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Return the message for an error."""
        return cls(kind=type(error).__name__, message=str(error))

    def reraise(self, what: str) -> NoReturn:
        """Raise the error as one of this process; ``what`` failed if it is of no known class."""
        kind = getattr(errors, self.kind, None)
        if isinstance(kind, type) and issubclass(kind, RecognizerError):
            raise kind.__new__(kind, self.message)  # not all of them are made of their message
        raise RecognizerError(f"{what}: {self.kind}: {self.message}")


class DiedError(Exception):
    """A process has died or was killed: its message says how, its reason why."""

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.reason = reason


class Guarded(Closes):
    """A worker process and the connection to it, with a limit to its memory (Linux only)."""

    def __init__(
        self, process: BaseProcess, connection: Connection, memory_limit: int | None = None
    ) -> None:
        self.process = process
        self.connection = connection
        self.memory_limit = memory_limit
        # Before multiprocessing waits for it: it hears no SIGTERM.
        atexit.register(process.kill)

    @property
    def exceeds_memory_limit(self) -> bool:
        """Whether it holds more memory than it may."""
        limit = self.memory_limit
        return limit is not None and resident_bytes(self.process.pid) > limit

    def receive(self, seconds: float) -> Any:
        """Wait for its next message, and end it where none comes in time.

        Raises:
            DiedError: it has died or was ended.
        """
        deadline = time.monotonic() + seconds
        try:
            while not self.connection.poll(min(MEMORY_CHECK_SECONDS, seconds)):
                if time.monotonic() >= deadline:
                    raise self.end(Reason.TIMEOUT, seconds)
                if self.exceeds_memory_limit:
                    raise self.end(Reason.OUT_OF_MEMORY, seconds)
            return self.connection.recv()
        except (EOFError, OSError):
            raise self.end(Reason.DECODER_CRASH, seconds) from None

    def receive_bytes(self) -> bytes:
        """Return the bytes that follow a message; raise as :meth:`receive`."""
        try:
            return self.connection.recv_bytes()
        except (EOFError, OSError):
            raise self.end(Reason.DECODER_CRASH, 0) from None

    def end(self, reason: Reason, seconds: float) -> DiedError:
        """End it for a reason, unless it has crashed, and return that as an error."""
        if reason is not Reason.DECODER_CRASH:
            self.process.kill()
        self.process.join(JOIN_SECONDS)
        self.release()
        match reason:
            case Reason.TIMEOUT:
                words = f"was killed after {seconds:g} s"
            case Reason.OUT_OF_MEMORY:
                words = f"was killed: it held more than {mebibytes(self.memory_limit or 0)}"
            case _:
                words = f"died ({_exit(self.process.exitcode)})"
        return DiedError(reason, words)

    def kill(self) -> None:
        """Kill it, and wait a moment; a thread that waits for its message sees the end."""
        self.process.kill()
        self.process.join(JOIN_SECONDS)
        atexit.unregister(self.process.kill)

    def close(self) -> None:
        """Kill it, and close the connection."""
        self.kill()
        self.connection.close()

    def release(self) -> None:
        """Forget a process that has been ended."""
        self.connection.close()
        atexit.unregister(self.process.kill)


def spawn(target: Callable[..., None], *payload: object) -> tuple[BaseProcess, Connection]:
    """Start ``target(connection, *payload)`` in a process, and return both."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, *payload), daemon=True)
    with signals_held_back():
        process.start()
    theirs.close()
    return process, ours


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Block Ctrl-C and SIGTERM until the end.

    Both may be sent to the whole group, but a worker that they killed would look like one that
    crashed. A process inherits the mask under which it was started.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def settle() -> None:
    """Prepare this process as a worker: the parent stops it, and libraries print nothing."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    MESSAGES.listen()  # what C libraries print of a file is not for a terminal
    # Nor are Pillow's warnings about a file's metadata: a status says what counts.
    warnings.filterwarnings("ignore", module="PIL")
    cv2.setNumThreads(1)  # one worker, one CPU


def listen(receive: Callable[[], object]) -> None:
    """Call ``receive`` for what the parent sends; this process ends when the parent has died.

    A thread always listens, so that the parent's sending never waits for work to be done.
    """

    def work() -> None:
        with suppress(EOFError, OSError):
            while True:
                receive()
        os._exit(0)

    threading.Thread(target=work, daemon=True).start()


def inbox(connection: Connection) -> queue.SimpleQueue[Any]:
    """Return a queue of what the parent sends, as :func:`listen` hears it."""
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listen(lambda: messages.put(connection.recv()))
    return messages


def make(
    connection: Connection,
    maker: Callable[[], _Made],
    ready: Callable[[_Made], object] = lambda _: None,
) -> _Made:
    """Make what this process works with, and send its first message.

    That is ``ready`` of what was made, or :class:`StartupFailure`; then the process ends.
    """
    try:
        made = maker()
    except Exception as error:
        connection.send(StartupFailure.of(error))
        sys.exit()
    connection.send(ready(made))
    return made


def describe(error: Exception) -> str:
    """Return an error that nobody expected, and where it was raised, in words."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(where.filename)}:{where.lineno}"
    return f"{type(error).__name__}: {str(error)[:_MAX_SHOWN]} ({place})"


def resident_bytes(pid: int | None, proc: Path = Path("/proc")) -> int:
    """Return the resident memory of a process, 0 where it is gone or cannot be told."""
    try:
        statm = (proc / str(pid) / "statm").read_text(encoding="ascii")
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def mebibytes(count: int) -> str:
    """Return a number of bytes in words."""
    return f"{math.ceil(count / _MEBIBYTE)} MiB"


def _exit(code: int | None) -> str:
    if code == -9:
        return "SIGKILL; perhaps the system ran out of memory"
    if code is not None and code < 0:
        with suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"
