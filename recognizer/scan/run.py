"""The scan: items in, rows in the journal, whatever happens to the processes in between.

A result is paired with its item by number, never by position in a stream. Who does the work, and
what becomes of those that die of it, is for :mod:`recognizer.scan.pool`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from recognizer.errors import UsageError
from recognizer.imaging import Limits
from recognizer.known import KnownItems
from recognizer.model.bundle import Bundle
from recognizer.policy import Policy
from recognizer.recognizer import Recognizer
from recognizer.rows.embeddings import EmbeddingStore
from recognizer.rows.journal import Journal
from recognizer.rows.journal_index import KeySet
from recognizer.rows.row import Row
from recognizer.rows.summary import ScanSummary
from recognizer.rows.thumbnails import ThumbnailStore
from recognizer.scan.items import Item
from recognizer.scan.locations import Access
from recognizer.scan.machine import plan
from recognizer.scan.pool import Batch, Crew, Done, Guard, Hire
from recognizer.scan.worker import Setup, Task
from recognizer.status import Status

_BATCH_BYTES = 8 << 20  # of images whose bytes travel with them; then a batch is full earlier

OnRows: TypeAlias = Callable[[ScanSummary, Sequence[tuple[int, Row]]], None]
"""Called after each batch with the sums so far, and each image's number (from 0) and row."""


def scan(
    items: Iterable[Item],
    bundle: Bundle,
    policy: Policy,
    journal: Journal,
    *,
    workers: int = 0,
    provider: str = "cpu",
    allow_fallback: bool = False,
    limits: Limits | None = None,
    guard: Guard | None = None,
    retry_failed: bool = False,
    thumbnails: ThumbnailStore | None = None,
    embeddings: EmbeddingStore | None = None,
    known: KnownItems | None = None,
    on_rows: OnRows | None = None,
    engine: Callable[..., Recognizer] = Recognizer,
    access: Access | None = None,
    hire: Hire = Crew,
) -> ScanSummary:
    """Scan images, and write a row for each that has none yet that still holds.

    Workers are started anew (spawned), so a script that calls this needs the usual
    ``if __name__ == "__main__":``.

    Args:
        items: the images; read as workers become free.
        bundle: the model.
        policy: what its scores are held against.
        journal: where the rows go, in the order in which they are done.
        workers: processes; 0 for as many as CPUs and memory carry
            (:mod:`recognizer.scan.machine`).
        provider: see :meth:`recognizer.recognizer.Recognizer.load`.
        allow_fallback: likewise.
        limits: what is refused before it is read or decoded.
        guard: what ends a worker; None for the defaults.
        retry_failed: try again what cost a worker before; see :data:`COSTLY
            <recognizer.rows.journal.COSTLY>`. Other failures are always tried again.
        thumbnails: where a thumbnail of each new lead is kept; None for nowhere.
        embeddings: where the embedding of each image is kept; an image whose embedding is not
            there is scored again. None for nowhere.
        known: the known items that each image is compared with (see
            :func:`recognizer.known.share_bank`); where they change, all rows are made anew.
        on_rows: see :data:`OnRows`.
        engine: makes the workers' recognizer, for those who extend it; it must be picklable.
        access: which places may be read from; None for all but the web.
        hire: who does the work: processes of this machine, or those of a cluster
            (:class:`recognizer.scan.ray_engine.RayCrew`).

    Returns:
        The sums. An interrupt (:class:`KeyboardInterrupt`) passes through after the workers have
        been ended; the journal then holds all rows that were done.

    Raises:
        BundleError: the model cannot be used.
        JournalError: rows cannot be written.
        ProviderError: the provider is not there.
        RecognizerError: worker processes cannot be started.
        UsageError: ``workers`` is negative.
    """
    if workers < 0:
        raise UsageError(f"workers = {workers}: at least 1, or 0 for one on each CPU")
    setup = Setup(
        bundle,
        policy,
        provider=provider,
        allow_fallback=allow_fallback,
        limits=limits or Limits(),
        retry_failed=retry_failed,
        thumbnails=thumbnails is not None,
        embeddings=embeddings is not None,
        known=known,
        engine=engine,
        access=access or Access(),
    )
    started = time.monotonic()
    summary = ScanSummary()
    crew = hire(setup, workers, guard or Guard())
    try:
        tasks = _tasks(items, journal, embeddings, summary)
        for done in crew.work(_batches(tasks, plan(workers).batch)):
            seconds = time.monotonic() - started
            _record(done, journal, thumbnails, embeddings, summary, on_rows, seconds)
    finally:
        crew.end()
        summary.seconds = time.monotonic() - started
        summary.provider = crew.provider
    return summary


def _tasks(
    items: Iterable[Item],
    journal: Journal,
    embeddings: EmbeddingStore | None,
    summary: ScanSummary,
) -> Iterator[Task]:
    """Number the items, each once: a file may be named twice, but it gets one row."""
    index = 0
    with KeySet() as seen:
        for item in items:
            key = item.key
            if seen.add(key):
                known = journal.known(key)
                if known and embeddings is not None and _lacks_embedding(journal, key, embeddings):
                    known = None
                yield Task(index, item, known)
                index += 1
            else:
                summary.repeated += 1


def _lacks_embedding(journal: Journal, key: int, embeddings: EmbeddingStore) -> bool:
    row = journal.last_row(key)
    return row["status"] != Status.FAILED and row["sha256"] not in embeddings


def _batches(tasks: Iterable[Task], size: int) -> Iterator[Batch]:
    batch: Batch = []
    held = 0
    for task in tasks:
        batch.append(task)
        held += len(task.item.data) if isinstance(task.item.data, bytes) else 0
        if len(batch) == size or held >= _BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _record(
    done: Done,
    journal: Journal,
    thumbnails: ThumbnailStore | None,
    embeddings: EmbeddingStore | None,
    summary: ScanSummary,
    on_rows: OnRows | None,
    seconds: float,
) -> None:
    new = [result for _, result in done if result.row is not None]
    leads = [(r.row["sha256"], r.thumbnail) for r in new if r.row and r.thumbnail]
    if leads and thumbnails is not None:
        thumbnails.add(leads)
    vectors = [(r.row["sha256"], r.embedding) for r in new if r.row and r.embedding is not None]
    if vectors and embeddings is not None:
        embeddings.add(vectors)
    if new:
        journal.append([result.row for result in new if result.row is not None])
    summary.seconds = seconds
    told = []
    for task, result in done:
        holds = journal.last_row(task.item.key) if result.row is None else result.row
        summary.add(holds, is_new=result.row is not None)
        told.append((task.index, holds))
    if on_rows is not None:
        on_rows(summary, told)
