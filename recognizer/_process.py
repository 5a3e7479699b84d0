"""A process for the bytes of strangers, and what ends it: a crash, a timeout, its memory."""

import atexit
import itertools
import logging
import multiprocessing.process
import multiprocessing.resource_tracker
import os
import queue
import signal
import sys
import threading
import time
import traceback
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import cv2

from recognizer._files import Closes
from recognizer.errors import RecognizerError, UsageError, require_owner, words_of
from recognizer.status import Reason

LOG = logging.getLogger("recognizer")
LOG.addHandler(logging.NullHandler())

START_SECONDS = 300.0  # until the first message: some providers compile the model as they load it
START_METHOD = "spawn"
MAX_FAILED_STARTS = 3  # in a row
MEMORY_CHECK_SECONDS = 0.1
JOIN_SECONDS = 1.0  # a process that waits for dead storage does not even react to SIGKILL
_CLOSED = "the worker processes were closed already"


class DiedError(Exception):
    """A process has died or was killed: the message says how, the reason why."""

    def __init__(self, reason: Reason, words: str, *, is_new: bool = False) -> None:
        super().__init__(words)
        self.reason = reason
        self.is_new = is_new  # it had not answered anything before

    @property
    def is_doubtful(self) -> bool:
        """Whether another request, or the system, may have been the cause."""
        has_grown = self.reason is Reason.OUT_OF_MEMORY and not self.is_new
        return has_grown or self.reason is Reason.DECODER_CRASH


class Child(Closes):
    """A process that runs ``target(connection, *payload)``, with a limit on its memory (on Linux).

    After a fork it belongs to the parent alone: in the other process, closing it does nothing.
    """

    def __init__(self, target: Callable[..., None], *payload: object) -> None:
        context: Any = multiprocessing.get_context(START_METHOD)
        self.connection: Connection
        self.connection, theirs = context.Pipe()
        arguments = (theirs, *payload)
        self.process: BaseProcess = context.Process(target=target, args=arguments, daemon=True)
        self.memory_limit: int | None = None
        self.is_new = True
        with signals_held_back():
            self.process.start()
            _CHILDREN.add(self)
        theirs.close()

    def receive(self, seconds: float) -> Any:
        """Wait for its next message; if none comes in time, end it and raise a DiedError."""
        deadline, limit = time.monotonic() + seconds, self.memory_limit
        try:
            while not self.connection.poll(min(MEMORY_CHECK_SECONDS, seconds)):
                if time.monotonic() >= deadline:
                    raise self.end(Reason.TIMEOUT, seconds)
                if limit is not None and resident_bytes(self.process.pid) > limit:
                    raise self.end(Reason.OUT_OF_MEMORY, seconds)
            return self.connection.recv()
        except (EOFError, OSError):
            raise self.end(Reason.DECODER_CRASH, seconds) from None

    def end(self, reason: Reason, seconds: float) -> DiedError:
        """End it for a reason, unless it has crashed, and return that as an error."""
        if reason is Reason.DECODER_CRASH:
            self.process.join(JOIN_SECONDS)  # of itself: its exit code says how
        self.close()
        words = f"died ({_exit(self.process.exitcode)})"
        if reason is Reason.TIMEOUT:
            words = f"was killed after {seconds:g} s"
        elif reason is Reason.OUT_OF_MEMORY:
            words = f"was killed: it held more than {mebibytes(self.memory_limit or 0)}"
        LOG.warning("worker process %s %s (%s)", self.process.pid, words, reason)
        return DiedError(reason, words, is_new=self.is_new)

    def close(self) -> None:
        """Kill it, unless it is another process's."""
        if self in _CHILDREN:
            self.process.kill()
            self.process.join(JOIN_SECONDS)
            self.connection.close()
            _CHILDREN.discard(self)


class ProcessPool(Closes):
    """Processes that work for threads of the parent, and are replaced when they die.

    Each holds what ``make`` returns. ``answer(made, request, send)`` returns the last message of
    its answer, and may send others before. No process is started before it is needed. ``timeout``
    is in seconds between messages, ``memory_limit`` in resident bytes of a process.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        answer: Callable[[Any, Any, Callable[[Any], None]], object],
        *,
        processes: int,
        timeout: float,
        memory_limit: int | None = None,
    ) -> None:
        self._target = (make, answer)
        self._timeout = timeout
        self._memory_limit = memory_limit
        self._owner = os.getpid()
        self.is_closed = False
        self._replaced = 0
        self.provider: str | None = None  # where onnxruntime really computes
        self._children: set[Child] = set()
        self._idle: deque[Child] = deque()
        self._futures: set[Future[Any]] = set()
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self.threads = ThreadPoolExecutor(processes)  # each has a process while it converses

    def close(self) -> None:
        """End all processes, with :class:`DiedError` for whoever waits for them."""
        if os.getpid() != self._owner:
            return
        self.is_closed = True
        self.threads.shutdown(wait=False)
        children = [*self._children]
        for child in children:
            child.process.kill()
        deadline = time.monotonic() + JOIN_SECONDS
        for child in children:
            child.process.join(max(0.0, deadline - time.monotonic()))

    def stats(self) -> dict[str, int]:
        """Count the processes, the requests without an answer, and the processes that died."""
        waiting, replaced = sum(not f.done() for f in [*self._futures]), self._replaced
        return {"processes": len(self._children), "waiting": waiting, "replaced": replaced}

    def submit(self, request: object) -> Future[Any]:
        """Return the last message of an answer, the first request first.

        It raises a DiedError if two processes die of the request. A timeout is never tried again,
        and too much memory only if the process was not new.
        """
        require_owner(self._owner)
        try:
            future = self.threads.submit(self._answer, request)
        except RuntimeError:
            raise UsageError(_CLOSED) from None
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future

    def _answer(self, request: object, *, is_last: bool = False) -> Any:
        try:
            return [*self.converse(request)][-1]
        except DiedError as died:
            if is_last or self.is_closed or not died.is_doubtful:
                raise
            return self._answer(request, is_last=True)

    def converse(self, request: object) -> Iterator[Any]:
        """Yield the messages of an answer, from an idle or a new process.

        A process that is left halfway ends. A DiedError is raised if it dies.
        """
        if self.is_closed:
            raise UsageError(_CLOSED)
        child = self._take()
        number, is_last = next(self._numbers), False
        try:
            with suppress(OSError):  # it has died: the end of its connection will show it
                child.connection.send((number, request))
            while not is_last:
                answered, is_last, message = child.receive(self._timeout)
                if answered != number:
                    raise RecognizerError("a process answered another request than was sent")
                if is_last:
                    child.is_new = False
                    self._idle.append(child)
                if isinstance(message, RecognizerError):
                    raise message
                yield message
        except DiedError:
            with self._lock:
                self._replaced += 1
            raise
        finally:
            if not is_last:
                self._children.discard(child)
                child.close()

    def start(self) -> None:
        """Start a process before it is needed; raise a RecognizerError if that cannot be."""
        self._idle.append(self._start())

    def _take(self) -> Child:
        """Return an idle process that still lives, or a new process."""
        with suppress(IndexError):
            # Nothing but its end is left; on Windows, poll() would raise there.
            while wait([(child := self._idle.popleft()).connection], 0):
                self._children.discard(child)
                child.close()
            return child
        return self._start()

    def _start(self) -> Child:
        died: DiedError | None = None
        for _ in range(MAX_FAILED_STARTS):
            child = Child(_serve, *self._target)
            self._children.add(child)
            if self.is_closed:  # meanwhile
                child.close()
                raise UsageError(_CLOSED)
            try:
                first = child.receive(START_SECONDS)
            except DiedError as error:
                self._children.discard(child)
                died = error
                continue
            if isinstance(first, RecognizerError):
                self._children.discard(child)
                child.close()
                raise first
            self.provider, held = first
            if self._memory_limit is not None and held > self._memory_limit:
                words = f"a memory limit of {mebibytes(self._memory_limit)} leaves no room for"
                words += f" images: a worker takes {mebibytes(held)}; give more, or 0 for none"
                raise UsageError(words)
            child.memory_limit = self._memory_limit
            return child
        words = f"the worker processes cannot be started: the last {died}"
        if "exit code 1)" in str(died):
            words += '; a script needs `if __name__ == "__main__":` around what it does'
        raise RecognizerError(words)


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Block Ctrl-C and SIGTERM until the end, also in processes that are started meanwhile.

    Both may be sent to the whole group, but a worker that they killed would look like a crash.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_CHILDREN: weakref.WeakSet[Child] = weakref.WeakSet()


@atexit.register  # before that of multiprocessing, which waits for them: they ignore its SIGTERM
def _kill_children() -> None:
    for child in [*_CHILDREN]:
        child.process.kill()


def _disown_children() -> None:
    """Leave the processes to the parent: at its exit, multiprocessing would end and join them."""
    known: set[BaseProcess] = getattr(multiprocessing.process, "_children", set())
    known.difference_update([child.process for child in _CHILDREN])
    _CHILDREN.clear()
    # From Python 3.13 on, the exit of the forked process would wait for it, and fail.
    tracker: Any = multiprocessing.resource_tracker._resource_tracker
    tracker._pid = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_children)


def _serve(
    connection: Connection,
    make: Callable[[], Any],
    answer: Callable[[Any, Any, Callable[[Any], None]], object],
) -> None:
    requests = _begin_work(connection)
    try:
        made = make()
    except Exception as error:
        words = f"the process cannot be prepared: {type(error).__name__}: {error}"
        connection.send(error if isinstance(error, RecognizerError) else RecognizerError(words))
        sys.exit()
    connection.send((getattr(made, "provider", None), resident_bytes(os.getpid())))

    def send(message: object) -> None:
        connection.send((number, False, message))

    while True:
        number, request = requests.get()
        try:
            last = answer(made, request, send)
        except RecognizerError as error:
            last = error
        connection.send((number, True, last))


def _begin_work(connection: Connection) -> queue.SimpleQueue[Any]:
    """Return a queue of the parent's messages; print nothing from now on, and exit when it does."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    silence_libraries()
    # Nor are Pillow's warnings about a file's metadata: a status says what counts.
    warnings.filterwarnings("ignore", module="PIL")
    cv2.setNumThreads(1)  # one worker, one CPU
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def receive() -> None:
        with suppress(EOFError, OSError):
            while True:
                messages.put(connection.recv())
        os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    return messages


def silence_libraries() -> None:
    """Discard what C libraries and Pillow print; Python's own errors still go to standard error."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    sys.stderr = open(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def defect(error: Exception) -> tuple[Reason, str | None]:
    """Return the reason and the detail of an image at which an unexpected error was raised."""
    if isinstance(error, MemoryError):
        return Reason.OUT_OF_MEMORY, str(error) or None
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(where.filename)}:{where.lineno}"
    return Reason.INTERNAL_ERROR, f"{words_of(error)} ({place})"


def resident_bytes(pid: int | None) -> int:
    """Return the resident memory of a process, 0 if it is gone or unknown."""
    try:
        statm = Path(f"/proc/{pid}/statm").read_text(encoding="ascii")
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def mebibytes(count: int) -> str:
    return f"{-(-count >> 20)} MiB"


def _exit(code: int | None) -> str:
    if code == -9:
        return "SIGKILL; perhaps the system ran out of memory"
    if code is not None and code < 0:
        with suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"
