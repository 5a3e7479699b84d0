"""The scan: items in, rows out, whatever happens to the processes in between.

A result is paired with its item by number, never by position in a stream. Who does the work, and
what becomes of workers that die of it, is up to :mod:`recognizer.scan.pool`.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from recognizer._closing import Closes
from recognizer.model.bundle import Bundle
from recognizer.policy import Policy
from recognizer.rows.files import FileState
from recognizer.rows.journal import KeySet
from recognizer.rows.results import Result, Results
from recognizer.rows.row import Row
from recognizer.rows.summary import ScanSummary
from recognizer.scan.items import Item
from recognizer.scan.options import Engine, ScanOptions, WorkerPayload
from recognizer.scan.pool import Pool, WorkerPool
from recognizer.scan.worker import Task

_MAX_UNCHANGED = 256  # images whose rows are looked up together
_CHUNK_ITEMS = 256
_MAX_BYTES = 16 << 20  # names compress well: about a million items

OnRows: TypeAlias = Callable[[ScanSummary, Sequence[tuple[int, Row]]], None]
"""Called several times a second with the sums so far, and each new image's number (from 0) and
row."""


def scan(
    items: Iterable[Item],
    bundle: Bundle,
    policy: Policy,
    results: Results,
    options: ScanOptions | None = None,
    *,
    on_rows: OnRows | None = None,
) -> ScanSummary:
    """Scan images, and write a row for each that has none yet that still holds.

    Workers are new (spawned) processes, so a script that calls this needs the usual
    ``if __name__ == "__main__":``.

    Args:
        items: the images; read as workers become free.
        bundle: the model.
        policy: decides on its scores.
        results: where the rows go, in the order in which they are done.
        options: how; None for the defaults.
        on_rows: see :data:`OnRows`.

    Returns:
        The sums. An interrupt (:class:`KeyboardInterrupt`) passes through after the workers have
        been stopped; all rows but those of the last instant are then written.

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
        thumbnails=results.thumbnails is not None,
        embeddings=results.embeddings is not None,
    )
    run = _Run(items=items, payload=payload, results=results, on_rows=on_rows)
    pool = _make_pool(payload)
    try:
        for done in pool.work(run.tasks()):
            run.record(done)
        results.check()
    finally:
        pool.stop()
        run.summary.seconds = time.monotonic() - run.started
        run.summary.provider = pool.provider
    return run.summary


def _make_pool(payload: WorkerPayload) -> Pool:
    if payload.options.engine is Engine.RAY:
        from recognizer.scan.ray_engine import RayPool  # noqa: PLC0415 - an extra

        return RayPool(payload)
    return WorkerPool(payload)


@dataclass(slots=True, kw_only=True)
class _Run:
    """A scan that is under way."""

    items: Iterable[Item]
    payload: WorkerPayload
    results: Results
    on_rows: OnRows | None
    summary: ScanSummary = field(default_factory=ScanSummary)
    started: float = field(default_factory=time.monotonic)

    def tasks(self) -> Iterator[Task]:
        """Yield the items that a worker has to look at, and record the others on the way."""
        index = 0
        unchanged: list[Result] = []
        with KeySet() as seen:
            for item in self.items:
                task, place = self._task(index, item)
                if not seen.add(place):  # a file may be named twice, but it gets one row
                    self.summary.repeated += 1
                    continue
                index += 1
                if not self._is_unchanged(task):
                    yield task
                    continue
                unchanged.append(Result(index=task.index, key=task.key))
                if len(unchanged) == _MAX_UNCHANGED:
                    self.record(unchanged)
                    unchanged = []
        if unchanged:
            self.record(unchanged)

    def record(self, done: Sequence[Result]) -> None:
        """Write results, and report their rows."""
        audit = self.payload.options.audit
        rows: list[tuple[int, Row]] = []
        changed: list[Result] = []
        for result in done:
            row = before = result.row or self.results.last_row(result.key)
            if audit is not None:
                row = audit.drawn(row)
            rows.append((result.index, row))
            self.summary.add(row, is_new=result.row is not None)
            changed.append(result if row is before else replace(result, row=row))
        self.results.append(changed)
        self.summary.seconds = time.monotonic() - self.started
        if self.on_rows is not None:
            self.on_rows(self.summary, rows)

    def _task(self, index: int, item: Item) -> tuple[Task, int]:
        """Return the task of an item, by the name that its row has, and the key of its place."""
        key = place = item.key
        known = self.results.known(key)
        if (other := item.respelled()) is not None:
            other_key = other.key
            if os.path.isabs(other.source):
                place = other_key
            if known is None and (known := self.results.known(other_key)) is not None:
                item, key = other, other_key
        return Task(index=index, key=key, item=item, known=known), place

    def _is_unchanged(self, task: Task) -> bool:
        """Whether the last row of an item holds, as its file is the one that was read for it."""
        path = task.item.path
        if self.payload.options.rehash or path is None or task.known is None:
            return False
        state = FileState.of(path)
        sha256 = None if state is None else self.results.sha256(task.key, state)
        return sha256 is not None and self.payload.is_up_to_date(task.known, sha256)


class Lookahead(Closes):
    """Iterates over items that a thread finds meanwhile.

    What has been found and not been asked for is held compressed, up to a limit; then the thread
    waits. An error of the walk comes in its place among the items.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = items
        self._changed = threading.Condition()
        self._chunks: deque[tuple[int, bytes | list[Item]]] = deque()
        self._last: list[Item] = []  # the chunk that is being filled
        self._held = 0
        self._found = 0
        self._is_done = False
        self._error: Exception | None = None
        threading.Thread(target=self._walk, daemon=True).start()

    @property
    def total(self) -> int | None:
        """How many items there are; None while the walk goes on."""
        return self._found if self._is_done and self._error is None else None

    def __iter__(self) -> Iterator[Item]:
        while chunk := self._take():
            yield from chunk
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the walk at its next item."""
        with self._changed:
            self._is_done = True
            self._changed.notify_all()

    def _walk(self) -> None:
        items = iter(self._items)
        try:
            while self._has_room():
                self._put(next(items))
        except StopIteration:
            pass
        except Exception as error:
            self._error = error
        finally:
            self.close()

    def _has_room(self) -> bool:
        with self._changed:
            while self._held >= _MAX_BYTES and not self._is_done:
                self._changed.wait()
            return not self._is_done

    def _put(self, item: Item) -> None:
        with self._changed:
            self._last.append(item)
            self._found += 1
            if len(self._last) == _CHUNK_ITEMS or item.data:
                self._pack()
            self._changed.notify_all()

    def _pack(self) -> None:
        chunk, self._last = self._last, []
        size = sum(len(item.data or b"") for item in chunk)
        if size:
            self._chunks.append((size, chunk))
        else:
            packed = zlib.compress(pickle.dumps(chunk), 1)
            size = len(packed)
            self._chunks.append((size, packed))
        self._held += size

    def _take(self) -> list[Item]:
        with self._changed:
            while not (self._chunks or self._last or self._is_done):
                self._changed.wait(1.0)  # Windows: without a limit, Ctrl-C would not be heard
            if not self._chunks:
                chunk, self._last = self._last, []
                return chunk
            size, found = self._chunks.popleft()
            self._held -= size
            self._changed.notify_all()
        if isinstance(found, bytes):
            found = pickle.loads(zlib.decompress(found))  # noqa: S301 - packed above
        return found
