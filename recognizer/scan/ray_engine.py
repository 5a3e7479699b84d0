"""The same scan on a Ray cluster: an actor on each CPU, each with the model loaded once.

The driver is the scan itself: it names the images, deals them out in groups, and writes the file,
so that a scan on a cluster is resumed like any other. Ray starts actors again that are lost with
their machine, and repeats what they were at.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from recognizer._process import RemoteError
from recognizer.errors import MissingExtraError, RecognizerError
from recognizer.scan.options import WorkerPayload
from recognizer.scan.pool import Scorer
from recognizer.scan.worker import Task, TaskResult

GROUP_TASKS = 64
"""Images in one call of an actor: it then takes about a second, Ray's share of it is small, and
rows are on the disk soon enough."""

_MAX_GROUP_BYTES = 64 << 20  # of images whose bytes travel with them


class RayPool:
    """Actors of a Ray cluster: as many as the option ``workers``, or one on each of its CPUs.

    The cluster is the one that this process is connected to, or that of ``RAY_ADDRESS``, or one
    that Ray starts on this machine. Its machines need this package, of the same version, and must
    reach the images by the same names; the model travels with the work.
    """

    def __init__(self, payload: WorkerPayload) -> None:
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise MissingExtraError("ray", "ray") from error
        self.provider: str | None = None
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
        self._actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)(_Actor)
        self._size = payload.options.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))

    def work(self, tasks: Iterator[Task]) -> Iterator[Sequence[TaskResult]]:
        """Yield a result for each task, a group at a time."""
        groups = _groups(tasks)
        idle: list[Any] = []
        running: dict[Any, Any] = {}  # answer that is awaited -> actor
        try:
            while True:
                while len(running) < self._size and (group := next(groups, None)):
                    actor = idle.pop() if idle else self._actor.remote(self._payload)
                    running[actor.answer.remote(group)] = actor
                if not running:
                    return
                (done, *_), _ = self._ray.wait([*running])
                idle.append(running.pop(done))
                answer = self._ray.get(done)
                if isinstance(answer, RemoteError):
                    answer.reraise("a worker cannot load the model")
                self.provider, results = answer
                yield results
        except self._ray.exceptions.RayError as error:
            raise RecognizerError(f"Ray: {error}") from error

    def stop(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._is_ours:
            self._ray.shutdown()


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
    def __init__(self, payload: WorkerPayload) -> None:
        self._scorer = Scorer.of_packed(payload)

    def answer(self, tasks: list[Task]) -> tuple[str | None, list[TaskResult]] | RemoteError:
        try:
            results = self._scorer.work(tasks)
        except RecognizerError as error:  # Ray would keep its message, but not its class
            return RemoteError.of(error)
        return self._scorer.provider, results
