"""The workers of a scan. If a worker dies, its image has a row that says so; another does the rest.

**No image is blamed on suspicion**: if the cause is uncertain (a GPU's batch of images, the system
killed the worker, or memory may have grown before), each image is tried once more by itself.
"""

import queue
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from recognizer._files import Closes
from recognizer._process import DiedError, ProcessPool
from recognizer.imaging.sources import MEBIBYTE
from recognizer.model.machine import available_cpus, available_memory
from recognizer.prediction import Prediction
from recognizer.rows.images import NewRow
from recognizer.rows.records import result_of
from recognizer.scan.options import WorkerPayload
from recognizer.scan.worker import Task, TaskResult, TaskStep, Worker
from recognizer.status import Reason, Status

_MAX_TASKS = 16  # that a worker is given together; the first groups are smaller
_REMOTE_TASKS = 32  # read over a network, eight at once
_MAX_WAITING_BYTES = 4 << 20  # of tasks whose bytes travel with them
_AHEAD = 2  # groups of tasks for each worker: the second waits while rows are written
_RESULTS_SECONDS = 0.2  # results wait no longer for others, with which they are written
_MAX_RESULTS = 32
WORKER_BYTES = 256 * MEBIBYTE  # what a worker is expected to hold, decoding a large image
_PARENT_BYTES = 256 * MEBIBYTE
_MIN_MEMORY = 768 * MEBIBYTE  # with less, photos would fail that decode today


def worker_count(workers: int = 0) -> int:
    """Return ``workers``; for 0, the number of CPUs, or fewer if memory is short."""
    if workers:
        return workers
    cpus, memory = available_cpus(), available_memory()
    return cpus if memory is None else max(1, min(cpus, memory // WORKER_BYTES))


def worker_memory(workers: int) -> int | None:
    """Return the bytes that each worker may hold; None if unknown."""
    memory = available_memory()
    return None if memory is None else max(_MIN_MEMORY, (memory - _PARENT_BYTES) // workers)


class WorkerPool(Closes):
    """Worker processes; as many are started as there is work for."""

    def __init__(self, payload: WorkerPayload) -> None:
        self._payload = payload
        options = payload.options
        self._size = worker_count(options.workers)
        limit = options.memory_limit or None
        if options.memory_limit is None and options.provider == "cpu":  # a GPU's take gigabytes
            limit = worker_memory(self._size)
        self._pool = ProcessPool(
            partial(Worker, payload),
            Worker.work,
            processes=self._size,
            timeout=options.timeout,
            memory_limit=limit,
        )
        self._done: queue.SimpleQueue[TaskResult | Exception | None] = queue.SimpleQueue()
        self._groups = 0

    def work(self, tasks: Iterator[Task]) -> Iterator[Sequence[TaskResult]]:
        """Yield a result for each task, several at a time; take tasks as there is room."""
        done: list[TaskResult] = []
        under_way = 0
        due = 0.0  # when results are yielded next: the first at once
        while True:
            while under_way < _AHEAD * self._size and (group := self._group(tasks)):
                self._pool.threads.submit(self._run, group)
                under_way += 1
            if not under_way and self._done.empty():
                break
            try:
                match self._done.get(timeout=_RESULTS_SECONDS):
                    case TaskResult() as result:
                        done.append(result)
                    case Exception() as error:
                        raise error
                    case None:
                        under_way -= 1
            except queue.Empty:
                pass
            if len(done) >= _MAX_RESULTS or (done and time.monotonic() >= due):
                yield done
                done, due = [], time.monotonic() + _RESULTS_SECONDS
        if done:
            yield done

    def close(self) -> None:
        """Stop the workers."""
        self._pool.close()

    def _group(self, tasks: Iterator[Task]) -> list[Task]:
        """Return the next tasks that one worker gets together."""
        least, size = self._payload.options.batch_size, 1 + self._groups // self._size
        size = max(least, min(_MAX_TASKS, size))
        self._groups += 1
        group: list[Task] = []
        held = 0
        for task in tasks:
            group.append(task)
            held += len(task.item.data or b"")
            wanted = max(size, _REMOTE_TASKS) if task.item.is_remote else size
            if len(group) >= wanted or held >= _MAX_WAITING_BYTES:
                break
        return group

    def _run(self, tasks: list[Task]) -> None:
        try:
            groups = deque([tasks])
            while groups:
                groups.extendleft(reversed(self._attempt(groups.popleft())))
        except Exception as error:
            self._done.put(error)
        else:
            self._done.put(None)

    def _attempt(self, tasks: list[Task]) -> list[list[Task]]:
        """Work on tasks, and return those that are to be tried again."""
        left = {task.index: task for task in tasks}
        step: TaskStep | None = None
        try:
            for message in self._pool.converse(tasks):
                if isinstance(message, TaskStep):
                    step = message
                elif isinstance(message, TaskResult):
                    del left[message.index]
                    self._done.put(message)
        except DiedError as died:
            is_doubtful = died.is_doubtful or len(left) < len(tasks)
            indices = [index for index in (step.indices if step else ()) if index in left]
            suspects = [left.pop(index) for index in indices or [*left][:1]]
            again = [[replace(task, is_again=True)] for task in suspects]
            is_certain = died.reason is Reason.TIMEOUT or not is_doubtful
            if len(suspects) == 1 and (suspects[0].is_again or is_certain):
                self._done.put(self._failed(suspects[0], died, step))
                again = []
            return [*again, [*left.values()]] if left else again
        return []

    def _failed(self, task: Task, died: DiedError, step: TaskStep | None) -> TaskResult:
        detail = f"the process that worked on it {died}"
        sha256 = step.sha256 if step and step.indices == (task.index,) else None
        failed = Prediction(status=Status.FAILED, reason=died.reason, detail=detail, sha256=sha256)
        row = self._payload.decider.new_row(task.item.source, task.item.columns, failed)
        is_new = result_of(row) != task.previous
        new = NewRow(row) if is_new else None
        return TaskResult(index=task.index, new=new)
