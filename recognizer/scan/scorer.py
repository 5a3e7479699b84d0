"""Scoring for programs that deal out the work themselves: Ray's actors, or tasks of Spark or Dask.

A scorer has the workers of a scan behind one call, with the same protection against decoders that
crash or hang, so that the rows are the same too. The model is loaded once for each scorer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from recognizer._closing import Closes
from recognizer.model.bundle import Bundle
from recognizer.policy import Policy
from recognizer.rows.row import Row
from recognizer.scan.items import Item
from recognizer.scan.machine import available_cpus, worker_memory
from recognizer.scan.options import ScanOptions, WorkerPayload
from recognizer.scan.pool import WorkerPool
from recognizer.scan.worker import Result, Task


class Scorer(Closes):
    """Scores images, with worker processes of its own: one, unless the options say otherwise."""

    def __init__(self, bundle: Bundle, policy: Policy, options: ScanOptions | None = None) -> None:
        options = options or ScanOptions(workers=1)
        self._pool = WorkerPool(WorkerPayload(bundle=bundle, policy=policy, options=options))
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def of_packed(cls, payload: WorkerPayload) -> Self:
        """Make a scorer of a payload that was packed elsewhere (:meth:`WorkerPayload.packed`)."""
        folder = tempfile.TemporaryDirectory(prefix="scorer-", ignore_cleanup_errors=True)
        payload = payload.unpacked(Path(folder.name))
        if payload.options.memory_limit is None:  # there may be a scorer on each CPU
            share = worker_memory(available_cpus())
            payload = replace(payload, options=replace(payload.options, memory_limit=share))
        scorer = cls(payload.bundle, payload.policy, payload.options)
        scorer._pool = WorkerPool(payload)  # with thumbnails and embeddings, where wanted
        scorer._folder = folder  # it lives as long as the scorer
        return scorer

    def close(self) -> None:
        """Stop the workers."""
        self._pool.stop()
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def provider(self) -> str | None:
        """Where onnxruntime really computes; None before the first image."""
        return self._pool.provider

    def score(self, items: Iterable[Item]) -> list[Row]:
        """Return a row for each item, in their order; raise as :func:`recognizer.scan.scan`."""
        tasks = [Task(index=index, item=item) for index, item in enumerate(items)]
        rows = [result.row for result in self.work(tasks)]
        return [row for row in rows if row is not None]  # without earlier rows there are no others

    def work(self, tasks: Sequence[Task]) -> list[Result]:
        """Return the result of each task, in order; raise as :meth:`score`."""
        done = {t.index: result for part in self._pool.work(iter(tasks)) for t, result in part}
        return [done[task.index] for task in tasks]
