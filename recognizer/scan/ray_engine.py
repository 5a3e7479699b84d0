"""The same scan on a cluster of Ray: an actor on each CPU, each with the model loaded once.

The driver is the scan itself: it names the images, deals them out in groups through Ray Data, and
writes the journal, so that a scan on a cluster is resumed as any other. Ray replaces actors and
machines that are lost, and gives their groups to others.
"""

from __future__ import annotations

import importlib
import itertools
import logging
import os
import pickle
from collections.abc import Iterator
from typing import Any

from recognizer.errors import MissingExtraError, RecognizerError
from recognizer.scan.pool import Batch, Done, Guard, bare, error_of, paired
from recognizer.scan.station import Luggage, Station
from recognizer.scan.worker import Result, Setup, Unable

_GROUP_BATCHES = 8
"""Batches that travel together: an actor's call then takes about a second, Ray's share is small,
and rows are on the disk soon enough."""

_ROUND_GROUPS = 256
"""Groups for each actor before the driver takes new images: a bound to what it holds in memory.
Actors are started anew for each round, which costs seconds where the round takes minutes."""


class RayCrew:
    """Actors of a Ray cluster. See :class:`recognizer.scan.pool.Workforce`.

    The cluster is the one that this process is connected to, else that of ``RAY_ADDRESS``, else
    one that Ray starts on this machine. Its machines need this package, of the same version, and
    must reach the sources of the images by the same names; the model travels with the work.

    Args:
        setup: what every worker needs.
        size: actors; 0 for one on each CPU of the cluster.
        guard: what ends an actor's worker process.

    Raises:
        MissingExtraError: the extra ``ray`` is not installed.
        RecognizerError: there is no such cluster.
    """

    def __init__(self, setup: Setup, size: int, guard: Guard) -> None:
        try:
            ray: Any = importlib.import_module("ray")
            importlib.import_module("ray.data")
        except ImportError as error:
            raise MissingExtraError("ray", "ray") from error
        self.provider: str | None = None
        self._ray = ray
        self._is_ours = not ray.is_initialized()
        try:
            if self._is_ours:
                # Ray reports its use to its makers unless it is told not to; this program stays
                # off the network.
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                ray.init(logging_level=logging.WARNING, log_to_driver=False)
            self._luggage = ray.put(Luggage.pack(setup, guard))
        except (ConnectionError, ray.exceptions.RayError, RuntimeError) as error:
            raise RecognizerError(f"Ray: no cluster: {error}") from error
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.WARNING)  # the scan has progress of its own
        self._size = size or max(1, int(ray.cluster_resources().get("CPU", 1)))

    def work(self, batches: Iterator[Batch]) -> Iterator[Done]:
        """Yield each task once with its result."""
        groups = iter(lambda: list(itertools.islice(batches, _GROUP_BATCHES)), [])
        while taken := list(itertools.islice(groups, _ROUND_GROUPS * self._size)):
            yield from self._round([[task for batch in group for task in batch] for group in taken])

    def end(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._is_ours:
            self._ray.shutdown()

    def _round(self, groups: list[Batch]) -> Iterator[Done]:
        ray = self._ray
        dataset = ray.data.from_items(
            [{"number": n, "tasks": pickle.dumps(bare(group))} for n, group in enumerate(groups)],
            override_num_blocks=len(groups),
        ).map_batches(
            _Actor,
            fn_constructor_args=(self._luggage,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(self._size, len(groups))),
            num_cpus=1,
        )
        try:
            for row in dataset.iter_rows():
                group = groups[int(row["number"])]
                answer = pickle.loads(row["answer"])  # noqa: S301 - of our own actors
                if isinstance(answer, Unable):
                    raise error_of(answer)
                self.provider, results = answer
                yield paired(group, results)
        except ray.exceptions.RayError as error:
            raise RecognizerError(f"Ray: {error}") from error


class _Actor:
    """A station that is called by Ray Data."""

    def __init__(self, luggage: Any) -> None:
        ray: Any = importlib.import_module("ray")
        self._station = Station.open(ray.get(luggage))

    def __call__(self, groups: dict[str, Any]) -> dict[str, Any]:
        """Score groups of tasks; both sides are pickled, so that Ray need not understand them."""
        answers = [pickle.dumps(self._answer(packed)) for packed in groups["tasks"]]
        return {"number": groups["number"], "answer": answers}

    def _answer(self, packed: bytes) -> tuple[str | None, list[Result]] | Unable:
        try:
            results = self._station.work(pickle.loads(packed))  # noqa: S301 - of our own driver
        except RecognizerError as error:  # Ray would pass its words on, but not its class
            return Unable(type(error).__name__, str(error))
        return self._station.provider, results
