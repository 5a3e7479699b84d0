"""The crew: the worker processes of a scan, what each of them holds, and what ends one.

The parent hands out small batches and keeps two with each worker, so that none waits and memory
stays flat. A worker is gone when it dies by itself (a decoder that crashes), and it is ended when
one step takes longer than a time limit (a decoder that hangs) or when it holds more memory than it
may. Either way one image gets a row that says so, and the rest of what the worker held goes to
another. **Nobody is blamed on suspicion**: where it is not certain which image did it, each is
tried again by itself, and then the culprit shows itself.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol, TypeAlias

from recognizer import errors
from recognizer.errors import RecognizerError, UsageError
from recognizer.imaging.sources import MEBIBYTE
from recognizer.prediction import Prediction
from recognizer.rows.journal import row_key
from recognizer.rows.row import Row
from recognizer.scan.machine import plan
from recognizer.scan.worker import (
    Finished,
    Ready,
    Result,
    Setup,
    Step,
    Task,
    Unable,
    judge,
    make_row,
    run_worker,
)
from recognizer.status import Reason, Status

_BATCHES_AHEAD = 2  # with each worker: the one it works on, and the next
_MOST_FAILED_STARTS = 3  # in a row; then it is not the machine's mood
_START_SECONDS = 300.0  # some providers compile the model when they load it
_LAST_SECONDS = 1.0  # a process that waits for dead storage does not even hear SIGKILL
_LOOK_SECONDS = 0.1  # between two looks at the workers' memory

Batch: TypeAlias = list[Task]
Done: TypeAlias = list[tuple[Task, Result]]


@dataclass(frozen=True, slots=True)
class Guard:
    """What a worker may take before it is ended.

    Attributes:
        seconds: for one step: reading an image, decoding it, or the model's pass over a batch.
        memory: resident memory in bytes, the model and all libraries included; None for no limit.

    Raises:
        UsageError: a limit makes no sense, or cannot be watched on this system.
    """

    seconds: float = 30.0
    memory: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.seconds < math.inf:
            raise UsageError(f"timeout = {self.seconds}: a number of seconds over 0")
        if self.memory is not None and self.memory < 1:
            raise UsageError(f"memory limit = {self.memory}: at least 1")
        if self.memory is not None and sys.platform != "linux":
            raise UsageError("a memory limit for workers needs Linux")


@dataclass(eq=False, slots=True)
class _Worker:
    process: BaseProcess
    connection: Connection
    batches: deque[Batch] = field(default_factory=deque)
    at: int | None = None
    """The task that it reads or decodes; None while the model runs over all of a batch."""
    since: float = field(default_factory=time.monotonic)
    """When its present step began."""
    digests: dict[int, str] = field(default_factory=dict)
    is_ready: bool = False

    @property
    def memory(self) -> int:
        """Resident bytes, 0 where it is gone."""
        try:
            pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


class Workforce(Protocol):
    """Those who do the work of a scan: the processes of :class:`Crew`, or a cluster's.

    Attributes:
        provider: where onnxruntime really computes; None before anybody has started.
    """

    provider: str | None

    def work(self, batches: Iterator[Batch]) -> Iterator[Done]:
        """Yield each task once with its result; batches are taken as there are hands for them."""

    def end(self) -> None:
        """Stop at once, and leave nothing behind."""


Hire: TypeAlias = Callable[[Setup, int, Guard], Workforce]
"""Makes a workforce, of so many workers, or of as many as it sees fit where that is 0."""


class Crew:
    """Worker processes, replaced as they die.

    Args:
        setup: what every worker needs.
        size: how many there are at most, 0 for as many as the machine carries; they are started
            as there is work.
        guard: what ends a worker.

    Attributes:
        provider: where onnxruntime really computes; None before a worker has started.
    """

    def __init__(self, setup: Setup, size: int, guard: Guard) -> None:
        self._setup = setup
        self._size = plan(size).workers
        self._guard = guard
        self._workers: list[_Worker] = []
        self._returned: deque[Batch] = deque()
        self._failed_starts = 0
        self.provider: str | None = None

    def work(self, batches: Iterator[Batch]) -> Iterator[Done]:
        """Yield each task once with its result."""
        while True:
            self._hand_out(batches)
            if not any(worker.batches for worker in self._workers):
                return
            connections = [worker.connection for worker in self._workers]
            for connection in wait(connections, self._patience()):
                worker = next(w for w in self._workers if w.connection is connection)
                try:
                    message = worker.connection.recv()
                except (EOFError, OSError):
                    yield from self._bury(worker)
                    continue
                worker.since = time.monotonic()
                if isinstance(message, Finished):
                    yield self._finish(worker, message)
                else:
                    self._note(worker, message)
            yield from self._end_the_excessive()

    def end(self) -> None:
        """End all workers at once."""
        with _signals_held_back():  # a second Ctrl-C must not leave one of them behind
            for worker in self._workers:
                worker.process.kill()
            deadline = time.monotonic() + _LAST_SECONDS  # for all of them together
            for worker in self._workers:
                worker.process.join(max(0.0, deadline - time.monotonic()))
                worker.connection.close()
            self._workers.clear()

    def _hand_out(self, batches: Iterator[Batch]) -> None:
        while True:
            worker = min(self._workers, key=lambda w: len(w.batches), default=None)
            is_new = len(self._workers) < self._size and (worker is None or bool(worker.batches))
            if not is_new and (worker is None or len(worker.batches) >= _BATCHES_AHEAD):
                return
            batch = self._returned.popleft() if self._returned else next(batches, None)
            if batch is None:
                return
            if is_new or worker is None:
                worker = self._start()
            if not worker.batches and worker.is_ready:  # it was idle until now
                worker.since = time.monotonic()
            worker.batches.append(batch)
            with suppress(OSError):  # it has died: the end of its connection will tell
                worker.connection.send(bare(batch))

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=run_worker, args=(theirs, self._setup), daemon=True)
        with _signals_held_back():
            process.start()
            worker = _Worker(process, ours)
            self._workers.append(worker)
        theirs.close()
        return worker

    def _note(self, worker: _Worker, message: Ready | Unable | Step) -> None:
        match message:
            case Step():
                worker.at = message.index
                if message.index is not None and message.sha256 is not None:
                    worker.digests[message.index] = message.sha256
            case Ready():
                worker.is_ready = True
                self.provider = message.provider
                self._failed_starts = 0
                if self._is_too_large(worker):
                    raise UsageError(
                        f"a memory limit of {_mebibytes(self._guard.memory)} leaves no room for "
                        f"images: a worker takes {_mebibytes(worker.memory)} for itself"
                    )
            case Unable():
                raise error_of(message)

    def _finish(self, worker: _Worker, message: Finished) -> Done:
        batch = worker.batches.popleft()
        worker.at = None
        worker.digests.clear()
        return paired(batch, message.results)

    # --- ending and burying -------------------------------------------------------------------

    def _patience(self) -> float:
        """Return how long to wait for a message before the workers are looked at again."""
        first = min(self._deadline(worker) for worker in self._workers if worker.batches)
        left = max(0.0, first - time.monotonic())
        return left if self._guard.memory is None else min(left, _LOOK_SECONDS)

    def _deadline(self, worker: _Worker) -> float:
        return worker.since + (self._guard.seconds if worker.is_ready else _START_SECONDS)

    def _end_the_excessive(self) -> Iterator[Done]:
        """End the workers that are over a limit."""
        for worker in [w for w in self._workers if w.batches]:
            if worker.connection.poll():  # it has got further, or died: that is heard first
                continue
            if time.monotonic() >= self._deadline(worker):
                yield from self._bury(worker, Reason.TIMEOUT)
            elif worker.is_ready and self._is_too_large(worker):
                yield from self._bury(worker, Reason.OUT_OF_MEMORY)

    def _is_too_large(self, worker: _Worker) -> bool:
        return self._guard.memory is not None and worker.memory > self._guard.memory

    def _bury(self, worker: _Worker, reason: Reason = Reason.DECODER_CRASH) -> Iterator[Done]:
        """Write off the image that cost a worker, if it can be told, and return the others.

        Args:
            worker: one that has died; or, for another reason than that, one that is ended here.
            reason: what its image gets.
        """
        self._workers.remove(worker)
        if reason is not Reason.DECODER_CRASH:
            worker.process.kill()
        worker.process.join(_LAST_SECONDS)
        worker.connection.close()
        if not worker.is_ready:
            self._failed_starts += 1
            if self._failed_starts >= _MOST_FAILED_STARTS:
                raise RecognizerError(
                    "the worker processes cannot be started: the last one "
                    + self._words(worker, reason)
                )
            self._returned.extend(worker.batches)
            return
        batches = list(worker.batches)
        if not batches:
            return
        batch = batches.pop(0)
        # What a batch takes in memory is the sum of its images: no one of them is to blame.
        at = None if reason is Reason.OUT_OF_MEMORY else worker.at
        index = batch[0].index if len(batch) == 1 else at
        if index is None:
            # It was the model's turn, or before the first image: one by one, it will show itself.
            self._returned.extend([task] for task in batch)
        else:
            culprit = next(task for task in batch if task.index == index)
            rest = [task for task in batch if task is not culprit]
            if rest:
                self._returned.append(rest)
            yield [(culprit, Result(self._row(culprit, worker, reason)))]
        self._returned.extend(batches)

    def _row(self, task: Task, worker: _Worker, reason: Reason) -> Row | None:
        prediction = Prediction(
            status=Status.FAILED,
            reason=reason,
            detail=f"the process that worked on it {self._words(worker, reason)}",
            sha256=worker.digests.get(task.index),
        )
        row = make_row(task.item, judge(prediction, self._setup), self._setup)
        return None if row_key(row) == task.known else row

    def _words(self, worker: _Worker, reason: Reason) -> str:
        match reason:
            case Reason.TIMEOUT:
                seconds = self._guard.seconds if worker.is_ready else _START_SECONDS
                return f"was ended after {seconds:g} s"
            case Reason.OUT_OF_MEMORY:
                return f"was ended: it held more than {_mebibytes(self._guard.memory)}"
            case _:
                return f"died ({_how(worker.process.exitcode)})"


def bare(batch: Batch) -> Batch:
    """Return tasks without the listing's columns: they may be large, and no worker needs them."""
    return [replace(task, item=replace(task.item, columns=None)) for task in batch]


def paired(batch: Batch, results: Sequence[Result]) -> Done:
    """Pair tasks with the results of their :func:`bare` ones, and give the columns back."""
    for task, result in zip(batch, results, strict=True):
        if result.row is not None and task.item.columns is not None:
            result.row["item"] = dict(task.item.columns)
    return list(zip(batch, results, strict=True))


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Block Ctrl-C and SIGTERM until the end; they come then.

    Both may be sent to the whole group, but they are for the parent alone: a worker that they
    ended would look like one that crashed on its image. A process inherits the mask under which
    it was started, so that there is no moment in which a worker hears them.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def error_of(message: Unable) -> RecognizerError:
    """Return the error that another process had, as one of this process."""
    kind = getattr(errors, message.kind, None)
    if isinstance(kind, type) and issubclass(kind, RecognizerError):
        return kind(message.message)
    return RecognizerError(f"a worker cannot load the model: {message.kind}: {message.message}")


def _how(exit_code: int | None) -> str:
    if exit_code == -9:
        return "SIGKILL; perhaps the system ran out of memory"
    if exit_code is not None and exit_code < 0:
        with suppress(ValueError):
            return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"


def _mebibytes(count: int | None) -> str:
    return f"{math.ceil((count or 0) / MEBIBYTE)} MiB"
