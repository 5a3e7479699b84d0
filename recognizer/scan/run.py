"""The scan: items in, rows in the journal, whatever happens to the processes in between.

The parent hands out small batches and keeps two with each worker, so that none waits and memory
stays flat. A result is paired with its item by number, never by position in a stream. When a
worker dies, the image that it was decoding gets a row that says so, and the rest of what it held
goes to another.
"""

from __future__ import annotations

import itertools
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeAlias

from recognizer import errors
from recognizer.bundle import Bundle
from recognizer.errors import RecognizerError, UsageError
from recognizer.imaging import Limits
from recognizer.policy import Policy
from recognizer.prediction import Prediction
from recognizer.recognizer import Recognizer
from recognizer.scan.cpus import available_cpus
from recognizer.scan.items import Item
from recognizer.scan.journal import Journal, row_key
from recognizer.scan.rows import Row
from recognizer.scan.summary import ScanSummary
from recognizer.scan.workers import (
    Decoding,
    Finished,
    Ready,
    Setup,
    Task,
    Unable,
    make_row,
    run_worker,
)
from recognizer.status import Reason, Status

BATCH_ITEMS = 8
"""Images that a worker is given together, and rows that are written together."""

_BATCHES_AHEAD = 2  # with each worker: the one it works on, and the next
_MOST_FAILED_STARTS = 3  # in a row; then it is not the machine's mood

Batch: TypeAlias = list[Task]
OnRows: TypeAlias = Callable[[ScanSummary, Sequence[tuple[int, Row]]], None]
"""Called after each batch with the sums so far, and each image's number (from 0) and row."""


def scan(
    items: Iterable[Item],
    bundle: Bundle,
    policy: Policy,
    journal: Journal,
    *,
    workers: int = 0,
    provider: str = "cpu",
    allow_fallback: bool = False,
    limits: Limits | None = None,
    on_rows: OnRows | None = None,
    engine: Callable[..., Recognizer] = Recognizer,
) -> ScanSummary:
    """Scan images, and write a row for each that has none yet that still holds.

    Workers are started anew (spawned), so a script that calls this needs the usual
    ``if __name__ == "__main__":``.

    Args:
        items: the images; read as workers become free.
        bundle: the model.
        policy: what its scores are held against.
        journal: where the rows go, in the order in which they are done.
        workers: processes; 0 for one on each CPU that this process may use.
        provider: see :meth:`recognizer.recognizer.Recognizer.load`.
        allow_fallback: likewise.
        limits: what is refused before it is read or decoded.
        on_rows: see :data:`OnRows`.
        engine: makes the workers' recognizer, for those who extend it; it must be picklable.

    Returns:
        The sums. An interrupt (:class:`KeyboardInterrupt`) passes through after the workers have
        been ended; the journal then holds all rows that were done.

    Raises:
        BundleError: the model cannot be used.
        JournalError: rows cannot be written.
        ProviderError: the provider is not there.
        RecognizerError: worker processes cannot be started.
        UsageError: ``workers`` is negative.
    """
    if workers < 0:
        raise UsageError(f"workers = {workers}: at least 1, or 0 for one on each CPU")
    setup = Setup(bundle, policy, provider, allow_fallback, limits or Limits(), engine)
    started = time.monotonic()
    summary = ScanSummary()
    crew = _Crew(setup, workers or available_cpus())
    try:
        for done in crew.work(_batches(_tasks(items, journal, summary), BATCH_ITEMS)):
            _record(done, journal, summary, on_rows, time.monotonic() - started)
    finally:
        crew.end()
        summary.seconds = time.monotonic() - started
        summary.provider = crew.provider
    return summary


def _tasks(items: Iterable[Item], journal: Journal, summary: ScanSummary) -> Iterator[Task]:
    """Number the items, each once: a file may be named twice, but it gets one row."""
    seen: set[int] = set()
    for item in items:
        key = item.key
        if key in seen:
            summary.repeated += 1
        else:
            seen.add(key)
            yield Task(len(seen) - 1, item, journal.known(key))


def _batches(tasks: Iterator[Task], size: int) -> Iterator[Batch]:
    while batch := list(itertools.islice(tasks, size)):
        yield batch


def _record(
    done: Sequence[tuple[Task, Row | None]],
    journal: Journal,
    summary: ScanSummary,
    on_rows: OnRows | None,
    seconds: float,
) -> None:
    rows = [row for _, row in done if row is not None]
    if rows:
        journal.append(rows)
    summary.seconds = seconds
    told = []
    for task, row in done:
        holds = journal.last_row(task.item.key) if row is None else row
        summary.add(holds, is_new=row is not None)
        told.append((task.index, holds))
    if on_rows is not None:
        on_rows(summary, told)


@dataclass(eq=False, slots=True)
class _Worker:
    process: BaseProcess
    connection: Connection
    batches: deque[Batch] = field(default_factory=deque)
    decoding: int | None = None
    digests: dict[int, str | None] = field(default_factory=dict)
    is_ready: bool = False


class _Crew:
    """The worker processes, and what each of them holds."""

    def __init__(self, setup: Setup, size: int) -> None:
        self._setup = setup
        self._size = size
        self._workers: list[_Worker] = []
        self._returned: deque[Batch] = deque()
        self._failed_starts = 0
        self.provider: str | None = None

    def work(self, batches: Iterator[Batch]) -> Iterator[list[tuple[Task, Row | None]]]:
        """Yield each task once with its row, or None where its last row still holds."""
        while True:
            self._hand_out(batches)
            if not any(worker.batches for worker in self._workers):
                return
            for connection in wait([worker.connection for worker in self._workers]):
                worker = next(w for w in self._workers if w.connection is connection)
                try:
                    message = worker.connection.recv()
                except (EOFError, OSError):
                    yield from self._bury(worker)
                    continue
                if isinstance(message, Finished):
                    yield self._finish(worker, message)
                else:
                    self._note(worker, message)

    def end(self) -> None:
        """End all workers at once."""
        with _signals_held_back():  # a second Ctrl-C must not leave one of them behind
            for worker in self._workers:
                worker.process.kill()
            for worker in self._workers:
                worker.process.join()
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
            worker.batches.append(batch)
            with suppress(OSError):  # it has died: the end of its connection will tell
                # The listing's columns stay here: they may be large, and no worker needs them.
                worker.connection.send(
                    [replace(t, item=replace(t.item, columns=None)) for t in batch]
                )

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

    def _note(self, worker: _Worker, message: Ready | Unable | Decoding) -> None:
        match message:
            case Decoding():
                worker.decoding = message.index
                if message.index is not None:
                    worker.digests[message.index] = message.sha256
            case Ready():
                worker.is_ready = True
                self.provider = message.provider
                self._failed_starts = 0
            case Unable():
                raise _error(message)

    def _finish(self, worker: _Worker, message: Finished) -> list[tuple[Task, Row | None]]:
        batch = worker.batches.popleft()
        worker.decoding = None
        worker.digests.clear()
        for task, row in zip(batch, message.rows, strict=True):
            if row is not None and task.item.columns is not None:
                row["item"] = dict(task.item.columns)
        return list(zip(batch, message.rows, strict=True))

    def _bury(self, worker: _Worker) -> Iterator[list[tuple[Task, Row | None]]]:
        """Write off the image that killed a worker, if it can be told, and return the others."""
        self._workers.remove(worker)
        worker.process.join()
        worker.connection.close()
        if not worker.is_ready:
            self._failed_starts += 1
            if self._failed_starts >= _MOST_FAILED_STARTS:
                raise RecognizerError(
                    f"the worker processes cannot be started ({_how(worker.process.exitcode)})"
                )
            self._returned.extend(worker.batches)
            return
        batches = list(worker.batches)
        if not batches:
            return
        batch = batches.pop(0)
        index = batch[0].index if len(batch) == 1 else worker.decoding
        if index is None:
            # It died in the model or while reading: one by one, the culprit will show itself.
            self._returned.extend([task] for task in batch)
        else:
            culprit = next(task for task in batch if task.index == index)
            rest = [task for task in batch if task is not culprit]
            if rest:
                self._returned.append(rest)
            yield [(culprit, self._crash_row(culprit, worker))]
        self._returned.extend(batches)

    def _crash_row(self, task: Task, worker: _Worker) -> Row | None:
        prediction = Prediction(
            Status.FAILED,
            Reason.DECODER_CRASH,
            f"the process that decoded it died ({_how(worker.process.exitcode)})",
            sha256=worker.digests.get(task.index),
        )
        row = make_row(task.item, prediction, self._setup)
        return None if row_key(row) == task.known else row


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


def _error(message: Unable) -> RecognizerError:
    kind = getattr(errors, message.kind, None)
    if isinstance(kind, type) and issubclass(kind, RecognizerError):
        return kind(message.message)
    return RecognizerError(f"a worker cannot load the model: {message.kind}: {message.message}")


def _how(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        with suppress(ValueError):
            return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"
