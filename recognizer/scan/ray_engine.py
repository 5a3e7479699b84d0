"""The same scan on a Ray cluster: an actor on each CPU, each with the model loaded once.

The driver is the scan itself, and writes the file; Ray replaces actors that are lost.
"""

import importlib
import itertools
import logging
import os
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recognizer._process import RemoteError
from recognizer.errors import MissingExtraError, RecognizerError
from recognizer.scan.machine import available_cpus, worker_memory
from recognizer.scan.options import WorkerPayload
from recognizer.scan.pool import WorkerPool
from recognizer.scan.worker import Task, TaskResult

GROUP_TASKS = 64
"""Images in one call of an actor: it then takes about a second, Ray's share of it is small, and
rows are on the disk soon enough."""

_MAX_GROUP_BYTES = 64 << 20  # of images whose bytes travel with them
_ROUND_GROUPS = 256
"""Groups for each actor before the driver takes new images: a bound to what it holds in memory.
Actors are started again for each round, which costs seconds where the round takes minutes."""


class RayPool:
    """Actors of a Ray cluster, or of one that Ray starts here: as many as ``workers``, or as CPUs.

    Its machines must reach the images by the same names; the model travels with the work.
    """

    def __init__(self, payload: WorkerPayload) -> None:
        try:
            ray: Any = importlib.import_module("ray")
            importlib.import_module("ray.data")
        except ImportError as error:
            raise MissingExtraError("ray", "ray") from error
        self._ray = ray
        self._is_ours = not ray.is_initialized()
        one_worker = replace(payload, options=replace(payload.options, workers=1))
        try:
            if self._is_ours:
                # Ray reports usage to its makers by default; this program stays off the network.
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                ray.init(logging_level=logging.WARNING, log_to_driver=False)
            self._payload = ray.put(one_worker.packed())
        except (ConnectionError, ray.exceptions.RayError, RuntimeError) as error:
            raise RecognizerError(f"Ray: no cluster: {error}") from error
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.WARNING)  # the scan has progress of its own
        cpus = int(ray.cluster_resources().get("CPU", 1))
        self._size = payload.options.workers or max(1, cpus)

    def work(self, tasks: Iterator[Task]) -> Iterator[Sequence[TaskResult]]:
        """Yield a result for each task, a group at a time."""
        groups = _groups(tasks)
        while taken := list(itertools.islice(groups, _ROUND_GROUPS * self._size)):
            yield from self._round(taken)

    def stop(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._is_ours:
            self._ray.shutdown()

    def _round(self, groups: list[list[Task]]) -> Iterator[Sequence[TaskResult]]:
        ray = self._ray
        dataset = ray.data.from_items(
            [{"tasks": pickle.dumps(group)} for group in groups],
            override_num_blocks=len(groups),
        ).map_batches(
            _Actor,
            fn_constructor_args=(self._payload,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(self._size, len(groups))),
            num_cpus=1,
        )
        try:
            for row in dataset.iter_rows():
                answer = pickle.loads(row["answer"])  # noqa: S301 - of our own actors
                if isinstance(answer, RemoteError):
                    answer.reraise("a worker cannot load the model")
                yield answer
        except ray.exceptions.RayError as error:
            raise RecognizerError(f"Ray: {error}") from error


def _groups(tasks: Iterator[Task]) -> Iterator[list[Task]]:
    """Yield the tasks that travel together; their number does not depend on the driver."""
    group: list[Task] = []
    held = 0
    for task in tasks:
        group.append(task)
        held += len(task.item.data or b"")
        if len(group) == GROUP_TASKS or held >= _MAX_GROUP_BYTES:
            yield group
            group, held = [], 0
    if group:
        yield group


class _Actor:
    def __init__(self, payload: Any) -> None:
        ray: Any = importlib.import_module("ray")
        self._folder = tempfile.TemporaryDirectory(prefix="actor-", ignore_cleanup_errors=True)
        unpacked: WorkerPayload = ray.get(payload).unpacked(Path(self._folder.name))
        if unpacked.options.memory_limit is None:  # there may be an actor on each CPU
            share = worker_memory(available_cpus())
            unpacked = replace(unpacked, options=replace(unpacked.options, memory_limit=share))
        self._pool = WorkerPool(unpacked)

    def __call__(self, groups: dict[str, Any]) -> dict[str, Any]:
        """Score groups of tasks; both sides are pickled, so that Ray need not understand them."""
        return {"answer": [pickle.dumps(self._answer(packed)) for packed in groups["tasks"]]}

    def _answer(self, packed: bytes) -> list[TaskResult] | RemoteError:
        tasks = iter(pickle.loads(packed))  # noqa: S301 - of our own driver
        try:
            return [result for part in self._pool.work(tasks) for result in part]
        except RecognizerError as error:  # Ray would keep its message, but not its class
            return RemoteError.of(error)
