"""The scan: items in, rows in the journal, whatever happens to the processes in between.

A result is paired with its item by number, never by position in a stream. Who does the work, and
what becomes of workers that die of it, is up to :mod:`recognizer.scan.pool`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from recognizer.model.bundle import Bundle
from recognizer.policy import Policy
from recognizer.rows.audit import AuditSample
from recognizer.rows.embeddings import EmbeddingStore
from recognizer.rows.journal import Journal, KeySet
from recognizer.rows.row import Row
from recognizer.rows.summary import ScanSummary
from recognizer.rows.thumbnails import ThumbnailStore
from recognizer.scan.items import Item
from recognizer.scan.options import ScanOptions, WorkerPayload
from recognizer.scan.pool import Done, MakePool, WorkerPool
from recognizer.scan.worker import Task
from recognizer.status import Status

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
        audit: draws clear images for people to look at, those of earlier rows included; None leaves
            these as they are.
        on_rows: see :data:`OnRows`.
        pool: makes the workers: :class:`recognizer.scan.ray_engine.RayPool` for those of a cluster.

    Returns:
        The sums. An interrupt (:class:`KeyboardInterrupt`) passes through after the workers have
        been stopped; the journal then holds all rows but those of the last instant.

    Raises:
        BundleError: the model cannot be used.
        JournalChangedError: the journal was removed, renamed or changed meanwhile.
        JournalError: rows cannot be written.
        PolicyError: the policy names a label or family that is unknown.
        ProviderError: the provider is unavailable.
        RecognizerError: worker processes cannot be started.
    """
    payload = WorkerPayload(
        bundle=bundle,
        policy=policy,
        options=options or ScanOptions(),
        thumbnails=thumbnails is not None,
        embeddings=embeddings is not None,
    )
    started = time.monotonic()
    summary = ScanSummary()
    workers = pool(payload)
    try:
        tasks = _tasks(items, journal, embeddings, summary)
        for done in workers.work(tasks):
            rows = _record(done, journal, thumbnails, embeddings, audit, summary)
            summary.seconds = time.monotonic() - started
            if on_rows is not None:
                on_rows(summary, rows)
        journal.check()
    finally:
        workers.stop()
        summary.seconds = time.monotonic() - started
        summary.provider = workers.provider
    return summary


def _tasks(
    items: Iterable[Item],
    journal: Journal,
    embeddings: EmbeddingStore | None,
    summary: ScanSummary,
) -> Iterator[Task]:
    index = 0
    with KeySet() as seen:
        for item in items:
            key = item.key
            if seen.add(key):  # a file may be named twice, but it gets one row
                known = journal.known(key)
                if known and embeddings is not None and _lacks_embedding(journal, key, embeddings):
                    known = None
                yield Task(index=index, item=item, known=known)
                index += 1
            else:
                summary.repeated += 1


def _lacks_embedding(journal: Journal, key: int, embeddings: EmbeddingStore) -> bool:
    row = journal.last_row(key)
    return row.status is not Status.FAILED and row.sha256 not in embeddings


def _record(
    done: Done,
    journal: Journal,
    thumbnails: ThumbnailStore | None,
    embeddings: EmbeddingStore | None,
    audit: AuditSample | None,
    summary: ScanSummary,
) -> list[tuple[int, Row]]:
    new = [(result.row, result) for _, result in done if result.row is not None]
    leads = [(row.sha256, r.thumbnail) for row, r in new if row.sha256 and r.thumbnail]
    if leads and thumbnails is not None:
        thumbnails.add(leads)
    vectors = [
        (row.sha256, r.embedding) for row, r in new if row.sha256 and r.embedding is not None
    ]
    if vectors and embeddings is not None:
        embeddings.add(vectors)
    rows: list[tuple[int, Row]] = []
    changed: list[Row] = []
    for task, result in done:
        before, row = None, result.row
        if row is None:
            before = row = journal.last_row(task.item.key)
        row = audit.drawn(row) if audit else row
        rows.append((task.index, row))
        summary.add(row, is_new=result.row is not None)
        if row is not before:
            changed.append(row)
    if changed:
        journal.append(changed)
    return rows
