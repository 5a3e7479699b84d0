"""The worker pool. What a worker died of gets a row that says so; what waited goes to another.

**No image is blamed on suspicion**: if it is uncertain which one was the cause (one of a GPU's
batch; or the memory may have grown before), each is tried again by itself.
"""

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait

from recognizer import _process
from recognizer._closing import Closes
from recognizer._process import (
    Child,
    DiedError,
    RemoteError,
    cannot_start,
    close_all,
    mebibytes,
    signals_held_back,
)
from recognizer.errors import UsageError
from recognizer.model.bundle import Bundle
from recognizer.policy.values import Policy
from recognizer.prediction import Prediction
from recognizer.rows.images import NewRow
from recognizer.rows.records import result_of
from recognizer.rows.row import Row
from recognizer.scan.items import Item
from recognizer.scan.machine import worker_count, worker_memory
from recognizer.scan.options import ScanOptions, WorkerPayload
from recognizer.scan.worker import Ready, Task, TaskResult, TaskStep, make_row, run_worker
from recognizer.status import Reason, Status

_WAITING = 7  # tasks with each worker beside those that it works on, while rows are written
_BUSY = 3  # a worker with so many tasks is helped by another one
_WAITING_REMOTE = 15  # those that are read over a network: eight at once, and the next
_MAX_WAITING_BYTES = 4 << 20  # with each worker, of tasks whose bytes travel with them
_RESULTS_SECONDS = 0.2  # results wait no longer for others, with which they are written
_MAX_RESULTS = 32
_MAX_NAP = 0.05  # seconds in which messages gather: to wake up for each costs the workers, too


@dataclass(eq=False, slots=True)
class _Worker:
    child: Child
    tasks: dict[int, Task] = field(default_factory=dict)
    step: TaskStep | None = None
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
        held = sum(len(task.item.data or b"") for task in self.tasks.values())
        return len(self.tasks) < batch + waiting and held < _MAX_WAITING_BYTES


class WorkerPool:
    """Worker processes, replaced as they die; as many are started as there is work for."""

    def __init__(self, payload: WorkerPayload) -> None:
        self._payload = payload
        self._options = payload.options
        self._size = worker_count(payload.options.workers)
        self._memory_limit = payload.options.memory_limit or None
        is_cpu = payload.options.provider == "cpu"  # the libraries of a GPU take gigabytes
        if payload.options.memory_limit is None and is_cpu:
            self._memory_limit = worker_memory(self._size)
        self._workers: list[_Worker] = []
        self._returned: deque[Task] = deque()
        self._swollen: deque[Task] = deque()  # memory went over the limit: for new workers only
        self._failed_starts = 0
        self._check_at = 0.0  # not with each message: to look at all workers takes longer

    def work(self, tasks: Iterator[Task]) -> Iterator[Sequence[TaskResult]]:
        """Yield a result for each task, several at a time; take tasks as there is room."""
        done: list[TaskResult] = []
        due, patience = math.inf, 0.0  # when they are to be yielded: the first ones at once
        nap, enough = 0.0, self._options.batch_size + _WAITING // 2
        while True:
            self._hand_out(tasks)
            if not any(worker.tasks for worker in self._workers):
                break
            time.sleep(nap)
            patient_until = min(due, self._check_at)
            connections = [worker.child.connection for worker in self._workers]
            ready = wait(connections, max(0.0, patient_until - time.monotonic()))
            for worker in [w for w in self._workers if w.child.connection in ready]:
                done += self._receive(worker)
            fewest = min((len(worker.tasks) for worker in self._workers), default=0)
            nap = min(2 * nap + 0.001, _MAX_NAP) if fewest >= enough else 0.0
            now = time.monotonic()
            if now >= self._check_at:
                done += self._stop_excessive()
                self._check_at = now + _process.MEMORY_CHECK_SECONDS
            due = min(due, now + patience) if done else math.inf
            if len(done) >= _MAX_RESULTS or now >= due:
                yield done
                done, due, patience = [], math.inf, _RESULTS_SECONDS
        if done:
            yield done

    def stop(self) -> None:
        close_all(worker.child for worker in self._workers)
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
            worker.child.connection.send(task)

    def _start(self) -> _Worker:
        with signals_held_back():  # a worker that stop() does not know would stay behind
            child = Child(run_worker, self._payload, memory_limit=self._memory_limit)
            self._workers.append(_Worker(child))
        return self._workers[-1]

    def _receive(self, worker: _Worker) -> list[TaskResult]:
        """Take in what a worker has sent so far, and return the results."""
        done: list[TaskResult] = []
        try:
            while True:
                self._take_in(worker, worker.child.connection.recv(), done)
                if not worker.child.connection.poll():
                    return done
        except (EOFError, OSError):
            return done + self._replace(worker, Reason.DECODER_CRASH)

    def _take_in(self, worker: _Worker, message: object, done: list[TaskResult]) -> None:
        worker.since = time.monotonic()
        match message:
            case TaskStep():
                worker.step = message
            case TaskResult(index=index):
                worker.finished += 1
                del worker.tasks[index]
                done.append(message)
            case Ready(memory=held):
                worker.is_ready = True
                self._failed_starts = 0
                limit = self._memory_limit
                if limit is not None and held > limit:
                    raise UsageError(
                        f"a memory limit of {mebibytes(limit)} leaves no room for images: a "
                        f"worker takes {mebibytes(held)} for itself; give another limit, or 0 for "
                        "none"
                    )
            case RemoteError():
                message.reraise("a worker cannot load the model")

    def _seconds(self, worker: _Worker) -> float:
        return self._options.timeout if worker.is_ready else _process.START_SECONDS

    def _stop_excessive(self) -> list[TaskResult]:
        done: list[TaskResult] = []
        for worker in [w for w in self._workers if w.tasks]:
            if worker.child.connection.poll():  # it has got further, or died: that comes first
                continue
            if time.monotonic() >= worker.since + self._seconds(worker):
                done += self._replace(worker, Reason.TIMEOUT)
            elif worker.is_ready and worker.child.exceeds_memory_limit:
                done += self._replace(worker, Reason.OUT_OF_MEMORY)
        return done

    def _replace(self, worker: _Worker, reason: Reason) -> list[TaskResult]:
        # The image that cost it is written off if that is certain; all others are returned.
        self._workers.remove(worker)
        died = worker.child.end(reason, self._seconds(worker))
        if not worker.is_ready:
            self._failed_starts += 1
            if self._failed_starts >= _process.MAX_FAILED_STARTS:
                raise cannot_start(died)
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
            return [self._result(task, worker, died) for task in suspects]
        return []

    def _result(self, task: Task, worker: _Worker, died: DiedError) -> TaskResult:
        detail = f"the process that worked on it {died}"
        step = worker.step
        sha256 = step.sha256 if step and step.indices == (task.index,) else None
        failed = Prediction(status=Status.FAILED, reason=died.reason, detail=detail, sha256=sha256)
        row = make_row(task.item, failed, self._payload)
        is_new = result_of(row) != task.known
        return TaskResult(index=task.index, new=NewRow(row) if is_new else None)


class Scorer(Closes):
    """Scores images for programs that deal out the work, as tasks of Spark or Dask.

    It has the workers of a scan behind one call: one, unless the options say otherwise.
    """

    def __init__(self, bundle: Bundle, policy: Policy, options: ScanOptions | None = None) -> None:
        options = options or ScanOptions(workers=1)
        self._pool = WorkerPool(WorkerPayload(bundle=bundle, policy=policy, options=options))

    def close(self) -> None:
        """Stop the workers."""
        self._pool.stop()

    def score(self, items: Iterable[Item]) -> list[Row]:
        """Return a row for each item, in their order; raise as :func:`recognizer.scan.scan`."""
        tasks = (Task(index=index, item=item) for index, item in enumerate(items))
        done = {result.index: result.new for part in self._pool.work(tasks) for result in part}
        return [new.row for _, new in sorted(done.items()) if new is not None]
