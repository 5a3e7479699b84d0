"""The scan: items in, rows in the journal, whatever happens to the processes in between.

A result is paired with its item by number, never by position in a stream. Who does the work, and
what becomes of workers that die of it, is up to :mod:`recognizer.scan.pool`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from recognizer.model.bundle import Bundle
from recognizer.policy import Policy
from recognizer.rows.audit import AuditSample
from recognizer.rows.embeddings import EmbeddingStore
from recognizer.rows.files import FileState, FileStore
from recognizer.rows.journal import Journal, KeySet
from recognizer.rows.row import Row
from recognizer.rows.summary import ScanSummary
from recognizer.rows.thumbnails import ThumbnailStore
from recognizer.scan.items import Item
from recognizer.scan.options import ScanOptions, WorkerPayload
from recognizer.scan.pool import Done, MakePool, WorkerPool
from recognizer.scan.worker import Result, Task
from recognizer.status import Status

_MAX_UNCHANGED = 256  # images whose rows are looked up together

OnRows: TypeAlias = Callable[[ScanSummary, Sequence[tuple[int, Row]]], None]
"""Called several times a second with the sums so far, and each new image's number (from 0) and
row."""


def scan(
    items: Iterable[Item],
    bundle: Bundle,
    policy: Policy,
    journal: Journal,
    options: ScanOptions | None = None,
    *,
    thumbnails: ThumbnailStore | None = None,
    embeddings: EmbeddingStore | None = None,
    files: FileStore | None = None,
    rehash: bool = False,
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
        journal: where the rows go, in the order in which they are done.
        options: how; None for the defaults.
        thumbnails: where a thumbnail of each new lead is kept.
        embeddings: where the embedding of each image is kept; an image without one is scored again.
        files: where the states of files are kept. A file that is as it was when it was read for its
            last row is not read again; None reads all files.
        rehash: read all files again, whatever ``files`` says; their states are kept.
        audit: draws clear images for people to look at, those of earlier rows included; None leaves
            these as they are.
        on_rows: see :data:`OnRows`.
        pool: makes the workers: :class:`recognizer.scan.ray_engine.RayPool` for those of a cluster.

    Returns:
        The sums. An interrupt (:class:`KeyboardInterrupt`) passes through after the workers have
        been stopped; the journal then holds all rows but those of the last instant.

    Raises:
        BundleError: the model cannot be used.
        ScanFileChangedError: the journal was removed, renamed or changed meanwhile.
        ScanFileError: rows cannot be written.
        PolicyError: the policy names a label or family that is unknown.
        ProviderError: the provider is unavailable.
        RecognizerError: worker processes cannot be started.
    """
    run = _Run(
        items=items,
        payload=WorkerPayload(
            bundle=bundle,
            policy=policy,
            options=options or ScanOptions(),
            thumbnails=thumbnails is not None,
            embeddings=embeddings is not None,
        ),
        journal=journal,
        thumbnails=thumbnails,
        embeddings=embeddings,
        files=files,
        rehash=rehash,
        audit=audit,
        on_rows=on_rows,
    )
    workers = pool(run.payload)
    try:
        for done in workers.work(run.tasks()):
            run.record(done)
        journal.check()
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
    journal: Journal
    thumbnails: ThumbnailStore | None
    embeddings: EmbeddingStore | None
    files: FileStore | None
    rehash: bool
    audit: AuditSample | None
    on_rows: OnRows | None
    summary: ScanSummary = field(default_factory=ScanSummary)
    started: float = field(default_factory=time.monotonic)

    def tasks(self) -> Iterator[Task]:
        """Yield the items that a worker has to look at, and record the others on the way."""
        index = 0
        unchanged: Done = []
        with KeySet() as seen:
            for item in self.items:
                item, place = self._as_named_before(item)  # noqa: PLW2901
                key = item.key
                if not seen.add(place):  # a file may be named twice, but it gets one row
                    self.summary.repeated += 1
                    continue
                task = Task(index=index, item=item, known=self._known(key))
                index += 1
                if not self._is_unchanged(task, key):
                    yield task
                    continue
                unchanged.append((task, Result()))
                if len(unchanged) == _MAX_UNCHANGED:
                    self.record(unchanged)
                    unchanged = []
        if unchanged:
            self.record(unchanged)

    def record(self, done: Done) -> None:
        """Write the results of tasks, and report their rows."""
        new = [(result.row, result) for _, result in done if result.row is not None]
        leads = [(row.sha256, r.thumbnail) for row, r in new if row.sha256 and r.thumbnail]
        if leads and self.thumbnails is not None:
            self.thumbnails.add(leads)
        vectors = [
            (row.sha256, r.embedding) for row, r in new if row.sha256 and r.embedding is not None
        ]
        if vectors and self.embeddings is not None:
            self.embeddings.add(vectors)
        rows: list[tuple[int, Row]] = []
        changed: list[Row] = []
        for task, result in done:
            before, row = None, result.row
            if row is None:
                before = row = self.journal.last_row(task.item.key)
            row = self.audit.drawn(row) if self.audit else row
            rows.append((task.index, row))
            self.summary.add(row, is_new=result.row is not None)
            if row is not before:
                changed.append(row)
        if changed:
            self.journal.append(changed)
        if self.files is not None:
            self.files.add((task.item.key, *r.file) for task, r in done if r.file is not None)
        self.summary.seconds = time.monotonic() - self.started
        if self.on_rows is not None:
            self.on_rows(self.summary, rows)

    def _as_named_before(self, item: Item) -> tuple[Item, int]:
        """Return an item by the name that its row has, and the key of its absolute path."""
        other = item.respelled()
        if other is None:
            return item, item.key
        place = other.key if other.has_absolute_path else item.key
        known = self.journal.known
        is_renamed = known(item.key) is None and known(other.key) is not None
        return (other if is_renamed else item), place

    def _known(self, key: int) -> bytes | None:
        known = self.journal.known(key)
        if known is None or self.embeddings is None:
            return known
        row = self.journal.last_row(key)
        lacks = row.status is not Status.FAILED and row.sha256 not in self.embeddings
        return None if lacks else known

    def _is_unchanged(self, task: Task, key: int) -> bool:
        """Whether the last row of an item holds, as its file is the one that was read for it."""
        path = task.item.path
        if self.files is None or self.rehash or path is None or task.known is None:
            return False
        state = FileState.of(path)
        sha256 = None if state is None else self.files.sha256(key, state)
        return sha256 is not None and self.payload.settles(task.known, sha256)
