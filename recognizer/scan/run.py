"""The scan: items in, rows in the file, whatever happens to the processes in between.

A result is paired with its item by number, never by position in a stream. Who does the work, and
what becomes of workers that die of it, is up to :mod:`recognizer.scan.pool`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from recognizer._sqlite import KeySet
from recognizer.model.bundle import Bundle
from recognizer.policy import Policy
from recognizer.rows.audit import AuditSample
from recognizer.rows.copies import group_copies
from recognizer.rows.deciding import Decider
from recognizer.rows.records import to_json
from recognizer.rows.row import Row
from recognizer.rows.scanfile import NewRow
from recognizer.rows.summary import ScanSummary
from recognizer.rows.writer import Known, ScanWriter
from recognizer.scan.file_state import FileState
from recognizer.scan.items import Item
from recognizer.scan.options import ScanOptions, WorkerPayload
from recognizer.scan.pool import Done, MakePool, WorkerPool
from recognizer.scan.worker import Result, Task

_MAX_UNCHANGED = 256  # images whose rows are looked up together

OnRows: TypeAlias = Callable[[ScanSummary, Sequence[tuple[int, Row]]], None]
"""Called several times a second with the sums so far, and each new image's number (from 0) and
row."""


def scan(
    items: Iterable[Item],
    bundle: Bundle,
    policy: Policy,
    file: ScanWriter,
    options: ScanOptions | None = None,
    *,
    audit: AuditSample | None = None,
    on_rows: OnRows | None = None,
    pool: MakePool = WorkerPool,
) -> ScanSummary:
    """Scan images, and write a row for each that has none yet that still holds.

    Workers are new (spawned) processes, so a script that calls this needs the usual
    ``if __name__ == "__main__":``.

    Args:
        items: the images; read as workers become free.
        bundle: the model.
        policy: decides on its scores.
        file: where the rows go, in the order in which they are done.
        options: how; None for the defaults.
        audit: draws clear images for people to look at, those of earlier rows included; None leaves
            these as they are.
        on_rows: see :data:`OnRows`.
        pool: makes the workers: :class:`recognizer.scan.ray_engine.RayPool` for those of a cluster.

    Returns:
        The sums. An interrupt (:class:`KeyboardInterrupt`) passes through after the workers have
        been stopped; the file then holds all rows but those of the last instant.

    Raises:
        BundleError: the model cannot be used.
        PolicyError: the policy names a label or family that is unknown.
        ProviderError: the provider is unavailable.
        RecognizerError: worker processes cannot be started.
        ScanFileChangedError: the file was removed, replaced or truncated meanwhile.
        ScanFileError: rows cannot be written.
    """
    payload = WorkerPayload(bundle=bundle, policy=policy, options=options or ScanOptions())
    run = _Run(items=items, payload=payload, file=file, audit=audit, on_rows=on_rows)
    workers = pool(payload)
    try:
        for done in workers.work(run.tasks()):
            run.record(done)
        file.check()
        group_copies(file)
    finally:
        workers.stop()
        run.summary.seconds = time.monotonic() - run.started
        run.summary.provider = workers.provider
    return run.summary


@dataclass(slots=True, kw_only=True)
class _Run:
    """A scan that is under way; its attributes are the arguments of :func:`scan`."""

    items: Iterable[Item]
    payload: WorkerPayload
    file: ScanWriter
    audit: AuditSample | None
    on_rows: OnRows | None
    summary: ScanSummary = field(default_factory=ScanSummary)
    started: float = field(default_factory=time.monotonic)
    decider: Decider | None = None

    def tasks(self) -> Iterator[Task]:
        """Yield the items that a worker has to look at, and record the others on the way."""
        index = 0
        unchanged: Done = []
        with KeySet() as seen:
            for item in self.items:
                item, place, known = self._reuse_known_path(item)  # noqa: PLW2901
                if not seen.add(place):  # a file may be named twice, but it gets one row
                    self.summary.repeated += 1
                    continue
                lacks = self.payload.options.embeddings and known and not known.has_embedding
                task = Task(index=index, item=item, known=known and known.result)
                index += 1
                if lacks or not self._is_unchanged(task, known):
                    yield replace(task, known=None) if lacks else task
                    continue
                unchanged.append((task, Result()))
                if len(unchanged) == _MAX_UNCHANGED:
                    self.record(unchanged)
                    unchanged = []
        if unchanged:
            self.record(unchanged)

    def record(self, done: Done) -> None:
        """Write the results of tasks, and report their rows."""
        rows: list[tuple[int, Row]] = []
        new: list[NewRow] = []
        changed: list[tuple[int, Row]] = []
        states: list[tuple[int, bytes]] = []
        for task, result in done:
            state = None if result.file is None else result.file[0].digest
            if result.row is not None:
                row = self._drawn(result.row)
                new.append(
                    NewRow(
                        row=row,
                        thumbnail=result.thumbnail,
                        embedding=result.embedding,
                        file_state=state,
                    )
                )
            else:
                image, before = self.file.last_row(self._key_of(task.item))
                row = self._drawn(self._with_columns(before, task.item))
                if row is not before:
                    changed.append((image, row))
                if state is not None:
                    states.append((image, state))
            rows.append((task.index, row))
            self.summary.add(row, is_new=result.row is not None)
        self.file.append(new, changed, states)
        self.summary.seconds = time.monotonic() - self.started
        if self.on_rows is not None:
            self.on_rows(self.summary, rows)

    def _drawn(self, row: Row) -> Row:
        return self.audit.drawn(row) if self.audit else row

    def _with_columns(self, row: Row, item: Item) -> Row:
        """Return a row of an unchanged image, decided again if its listing has changed."""
        if to_json(row.item) == to_json(item.columns):
            return row
        if self.decider is None:
            self.decider = Decider(self.payload.bundle, self.payload.policy)
        return self.decider.decided(replace(row, item=item.columns))

    def _key_of(self, item: Item) -> int:
        return self.file.key_of(item.source, item.columns, item.reason)

    def _reuse_known_path(self, item: Item) -> tuple[Item, int, Known | None]:
        """Return an item by the path that its row has, its absolute path's key, and its row."""
        key = self._key_of(item)
        known = self.file.known(key)
        other = item.alternate_path()
        if other is None:
            return item, key, known
        other_key = self._key_of(other)
        place = other_key if other.has_absolute_path else key
        if known is None and (other_known := self.file.known(other_key)) is not None:
            return other, place, other_known
        return item, place, known

    def _is_unchanged(self, task: Task, known: Known | None) -> bool:
        """Whether the last row of an item holds, as its file is the one that was read for it."""
        path = task.item.path
        if known is None or known.sha256 is None or path is None or self.payload.options.rehash:
            return False
        state = FileState.of(path)
        if state is None or state.digest != known.file_state:
            return False
        return self.payload.settles(known.result, known.sha256)
