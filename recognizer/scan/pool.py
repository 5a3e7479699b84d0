"""The worker pool: the processes of a scan, what each of them holds, and what ends one.

The parent hands out single images and keeps a few waiting with each worker, so that none is idle
and memory stays flat. A worker dies by itself (a decoder that crashes), or it is killed when
one step takes longer than the timeout (a decoder that hangs), or when it holds more memory than the
limit. Either way the image that it worked on gets a row that says so, and what waited goes to
another worker. **No image is blamed on suspicion**: if it is uncertain which one was the cause
(one of a GPU's batch; or the memory may have grown before), each is tried again by itself.
"""

from __future__ import annotations

import math
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Protocol, TypeAlias

from recognizer import errors
from recognizer.errors import RecognizerError, UsageError
from recognizer.imaging.sources import MEBIBYTE
from recognizer.prediction import Prediction
from recognizer.rows.journal import row_key
from recognizer.scan.machine import resident_bytes, worker_count
from recognizer.scan.options import WorkerPayload
from recognizer.scan.worker import (
    Finished,
    Ready,
    Result,
    Step,
    Task,
    Unable,
    judge,
    make_row,
    run_worker,
)
from recognizer.status import Reason, Status

_WAITING = 7  # tasks with each worker beside those that it works on, while rows are written
_BUSY = 3  # a worker with so many tasks is helped by another one
_WAITING_REMOTE = 15  # those that are read over a network: eight at once, and the next
_MAX_WAITING_BYTES = 8 << 20  # of tasks whose bytes travel with them
_MAX_FAILED_STARTS = 3  # in a row
_START_SECONDS = 300.0  # some providers compile the model when they load it
_JOIN_SECONDS = 1.0  # a process that waits for dead storage does not even react to SIGKILL
_MEMORY_CHECK_SECONDS = 0.1
_RESULTS_SECONDS = 0.2  # results wait no longer for others, with which they are written
_MAX_RESULTS = 32

Done: TypeAlias = list[tuple[Task, Result]]


class Pool(Protocol):
    """Those who do the work of a scan: :class:`WorkerPool`, or a cluster's.

    Attributes:
        provider: where onnxruntime really computes; None before any worker has started.
    """

    provider: str | None

    def work(self, tasks: Iterator[Task]) -> Iterator[Done]:
        """Yield each task once with its result, several at a time; take tasks as there is room."""

    def stop(self) -> None:
        """Stop at once, and leave nothing behind."""


MakePool: TypeAlias = Callable[[WorkerPayload], Pool]
Spawn: TypeAlias = Callable[[WorkerPayload], tuple[BaseProcess, Connection]]


def spawn_worker(payload: WorkerPayload) -> tuple[BaseProcess, Connection]:
    """Start a worker process, and return it with the connection to it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_worker, args=(theirs, payload), daemon=True)
    process.start()
    theirs.close()
    return process, ours


@dataclass(eq=False, slots=True)
class _Worker:
    process: BaseProcess
    connection: Connection
    tasks: dict[int, Task] = field(default_factory=dict)
    step: Step | None = None
    since: float = field(default_factory=time.monotonic)  # when its present step began
    is_ready: bool = False
    finished: int = 0

    @property
    def suspects(self) -> list[Task]:
        indices = self.step.indices if self.step else ()
        found = [self.tasks[index] for index in indices if index in self.tasks]
        return found or list(self.tasks.values())[:1]

    def has_room_for(self, task: Task, batch: int) -> bool:
        waiting = _WAITING_REMOTE if task.item.is_remote else max(_WAITING, batch)
        if len(self.tasks) >= batch + waiting:
            return False
        return sum(len(t.item.data or b"") for t in self.tasks.values()) < _MAX_WAITING_BYTES


class WorkerPool:
    """Worker processes, replaced as they die. See :class:`Pool`.

    As many are started as there is work for, up to the option ``workers``.
    """

    def __init__(self, payload: WorkerPayload, spawn: Spawn = spawn_worker) -> None:
        self._payload = payload
        self._options = payload.options
        self._spawn = spawn
        self._size = worker_count(payload.options.workers)
        self._workers: list[_Worker] = []
        self._returned: deque[Task] = deque()
        self._swollen: deque[Task] = deque()  # memory went over the limit: for new workers only
        self._failed_starts = 0
        self.provider: str | None = None

    def work(self, tasks: Iterator[Task]) -> Iterator[Done]:
        """Yield each task once with its result, several at a time."""
        done: Done = []
        due = math.inf  # when they are to be yielded
        while True:
            self._hand_out(tasks)
            if not any(worker.tasks for worker in self._workers):
                break
            connections = [worker.connection for worker in self._workers]
            for connection in wait(connections, self._patience(due)):
                worker = next(w for w in self._workers if w.connection is connection)
                done += self._receive(worker)
            done += self._stop_excessive()
            now = time.monotonic()
            due = min(due, now + _RESULTS_SECONDS) if done else math.inf
            if len(done) >= _MAX_RESULTS or now >= due:
                yield done
                done, due = [], math.inf
        if done:
            yield done

    def stop(self) -> None:
        """Stop all workers at once."""
        with _signals_held_back():  # a second Ctrl-C must not leave one of them behind
            for worker in self._workers:
                worker.process.kill()
            deadline = time.monotonic() + _JOIN_SECONDS  # for all of them together
            for worker in self._workers:
                worker.process.join(max(0.0, deadline - time.monotonic()))
                worker.connection.close()
            self._workers.clear()

    def _hand_out(self, tasks: Iterator[Task]) -> None:
        while self._swollen:
            self._give(self._start(), self._swollen.popleft())
        while True:
            task = self._returned.popleft() if self._returned else next(tasks, None)
            if task is None:
                return
            worker = self._worker_for(task)
            if worker is None:
                self._returned.appendleft(task)
                return
            self._give(worker, task)

    def _worker_for(self, task: Task) -> _Worker | None:
        batch = self._options.batch_size
        worker = min(self._workers, key=lambda w: len(w.tasks), default=None)
        is_busy = worker is None or len(worker.tasks) >= max(_BUSY, batch)
        if is_busy and len(self._workers) < self._size:
            return self._start()
        return worker if worker and worker.has_room_for(task, batch) else None

    def _give(self, worker: _Worker, task: Task) -> None:
        if not worker.tasks and worker.is_ready:  # it was idle until now
            worker.since = time.monotonic()
        worker.tasks[task.index] = task
        with suppress(OSError):  # it has died: the end of its connection will show it
            worker.connection.send(without_columns(task))

    def _start(self) -> _Worker:
        with _signals_held_back():
            worker = _Worker(*self._spawn(self._payload))
            self._workers.append(worker)
        return worker

    def _receive(self, worker: _Worker) -> Done:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            return self._replace(worker, Reason.DECODER_CRASH)
        worker.since = time.monotonic()
        match message:
            case Step():
                worker.step = message
            case Finished(index=index, result=result):
                worker.finished += 1
                return [paired(worker.tasks.pop(index), result)]
            case Ready(provider=provider, memory=held):
                worker.is_ready = True
                self.provider = provider
                self._failed_starts = 0
                limit = self._options.memory_limit
                if limit is not None and held > limit:
                    raise UsageError(
                        f"a memory limit of {_mebibytes(limit)} leaves no room for images: a "
                        f"worker takes {_mebibytes(held)} for itself"
                    )
            case Unable():
                raise error_of(message)
        return []

    def _patience(self, due: float) -> float:
        until = min(due, *(self._deadline(worker) for worker in self._workers if worker.tasks))
        left = max(0.0, until - time.monotonic())
        return left if self._options.memory_limit is None else min(left, _MEMORY_CHECK_SECONDS)

    def _deadline(self, worker: _Worker) -> float:
        return worker.since + (self._options.timeout if worker.is_ready else _START_SECONDS)

    def _stop_excessive(self) -> Done:
        done: Done = []
        for worker in [w for w in self._workers if w.tasks]:
            if worker.connection.poll():  # it has got further, or died: that comes first
                continue
            if time.monotonic() >= self._deadline(worker):
                worker.process.kill()
                done += self._replace(worker, Reason.TIMEOUT)
            elif worker.is_ready and self._is_too_large(worker):
                worker.process.kill()
                done += self._replace(worker, Reason.OUT_OF_MEMORY)
        return done

    def _is_too_large(self, worker: _Worker) -> bool:
        limit = self._options.memory_limit
        return limit is not None and resident_bytes(worker.process.pid) > limit

    def _replace(self, worker: _Worker, reason: Reason) -> Done:
        """Write off the image that cost a worker, if that is certain, and return all others."""
        self._workers.remove(worker)
        worker.process.join(_JOIN_SECONDS)
        worker.connection.close()
        if not worker.is_ready:
            self._failed_starts += 1
            if self._failed_starts >= _MAX_FAILED_STARTS:
                raise RecognizerError(
                    "the worker processes cannot be started: the last one "
                    + self._words(worker, reason)
                )
            self._returned.extendleft(reversed(worker.tasks.values()))
            return []
        suspects = worker.suspects
        for task in suspects:
            del worker.tasks[task.index]
        self._returned.extendleft(reversed(worker.tasks.values()))
        if len(suspects) > 1:
            self._returned.extendleft(replace(task, is_alone=True) for task in suspects)
        elif reason is Reason.OUT_OF_MEMORY and worker.finished:
            self._swollen.extend(suspects)
        else:
            return [(task, self._result(task, worker, reason)) for task in suspects]
        return []

    def _result(self, task: Task, worker: _Worker, reason: Reason) -> Result:
        detail = f"the process that worked on it {self._words(worker, reason)}"
        step = worker.step
        sha256 = step.sha256 if step and step.indices == (task.index,) else None
        failed = Prediction(status=Status.FAILED, reason=reason, detail=detail, sha256=sha256)
        row = make_row(task.item, judge(failed, self._payload), self._payload)
        return Result(row=None if row_key(row) == task.known else row)

    def _words(self, worker: _Worker, reason: Reason) -> str:
        match reason:
            case Reason.TIMEOUT:
                seconds = self._options.timeout if worker.is_ready else _START_SECONDS
                return f"was killed after {seconds:g} s"
            case Reason.OUT_OF_MEMORY:
                return f"was killed: it held more than {_mebibytes(self._options.memory_limit)}"
            case _:
                return f"died ({_how(worker.process.exitcode)})"


def without_columns(task: Task) -> Task:
    """Return a task without the listing's columns: they may be large, and no worker needs them."""
    return replace(task, item=replace(task.item, columns=None)) if task.item.columns else task


def paired(task: Task, result: Result) -> tuple[Task, Result]:
    """Pair a task with its result, and give the row the columns that stayed here."""
    row = result.row and replace(result.row, item=task.item.columns)
    return task, replace(result, row=row)


@contextmanager
def _signals_held_back() -> Iterator[None]:
    # Ctrl-C and SIGTERM may be sent to the whole group, but a worker that they killed would look
    # like one that crashed on its image. A process inherits the mask under which it was started.
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
