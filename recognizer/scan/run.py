"""The scan: items in, rows out, paired by number, never by position in a stream."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from recognizer._files import Closes
from recognizer.model.bundle import Bundle
from recognizer.policy.values import Policy
from recognizer.rows.images import NewRow
from recognizer.rows.item_key import item_key
from recognizer.rows.records import as_name, to_json
from recognizer.rows.row import AuditSample, Row, ScanSummary
from recognizer.rows.similar import group_copies
from recognizer.rows.writer import Previous, ScanWriter
from recognizer.scan.bounds import KeySet
from recognizer.scan.items import Columns, Item
from recognizer.scan.options import ScanOptions, WorkerPayload
from recognizer.scan.pool import WorkerPool
from recognizer.scan.worker import Task, TaskResult, file_state

_MAX_UNCHANGED = 256  # images whose rows are looked up together
_MAX_BYTES = 64 << 20  # of items that were found ahead: the names of a hundred thousand files
_ITEM_BYTES = 600  # of one with its name

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
    on_rows: OnRows | None = None,
) -> ScanSummary:
    """Scan images, and write a row for each that has none yet that still holds.

    Items are read as workers become free, and rows are written in the order in which they are done.
    Workers are new (spawned) processes, so a script that calls this needs the usual ``if __name__
    == "__main__":``. An interrupt passes through after the workers have been stopped.
    """
    options, rate = options or ScanOptions(), file.setting("audit_rate")
    if options.audit is None and rate:  # as before
        options = replace(options, audit=AuditSample(rate=float(rate), products=bundle.products))
    payload = WorkerPayload(bundle=bundle, policy=policy, options=options)
    run = _ScanRun(items, payload, file, on_rows)
    pool = WorkerPool(payload)
    try:
        file.use_policy(policy)
        if payload.options.audit is not None:
            file.set_setting("audit_rate", str(payload.options.audit.rate))
        for done in pool.work(run.tasks()):
            run.record(done)
        file.check()
        group_copies(file)
    finally:
        pool.close()
        run.summary.seconds = time.monotonic() - run.started
    return run.summary


@dataclass(slots=True)
class _ScanRun:
    items: Iterable[Item]
    payload: WorkerPayload
    file: ScanWriter
    on_rows: OnRows | None
    summary: ScanSummary = field(default_factory=ScanSummary)
    started: float = field(default_factory=time.monotonic)
    under_way: dict[int, tuple[int, Columns]] = field(default_factory=dict)
    """By its number, the key and the columns of each task."""

    def tasks(self) -> Iterator[Task]:
        """Yield the items that a worker has to look at, and record the others on the way."""
        index = 0
        unchanged: list[TaskResult] = []
        with KeySet() as seen:
            for item in self.items:
                if item.is_end or item.is_elsewhere:
                    for one in () if self.file.was_empty else (item, *self._spellings(item)):
                        if item.is_elsewhere:
                            seen.add(self._key(one))
                        else:
                            self.file.drop_failures(self._key(one), as_name(one.source), seen)
                    continue
                task, key, place, previous = self._task(index, item)
                if not seen.add(place):  # a file may be named twice, but it gets one row
                    self.summary.repeated += 1
                    continue
                seen.add(key)
                index += 1
                self.under_way[task.index] = key, task.item.columns
                if not self._is_unchanged(task.item.path, previous):
                    yield task
                    continue
                unchanged.append(TaskResult(index=task.index))
                if len(unchanged) == _MAX_UNCHANGED:
                    self.record(unchanged)
                    unchanged = []
        if unchanged:
            self.record(unchanged)

    def record(self, done: Sequence[TaskResult]) -> None:
        rows: list[tuple[int, Row]] = []
        new: list[NewRow] = []
        changed: list[tuple[int, Row]] = []
        states: list[tuple[int, bytes]] = []
        for result in done:
            key, columns = self.under_way.pop(result.index)
            kept = None
            if result.new is not None:
                row = result.new.row
                if row.is_unread and not self.file.was_empty:  # a scored row stays
                    of_key = self.file.numbered_rows("key = ? AND status != 'failed'", (key,))
                    kept = next(of_key, None)
                if kept is None:
                    new.append(result.new)
                else:
                    image, before = kept
                    gone = replace(before, seen=row.reason, gone=before.gone or row.time)
                    changed.append((image, self._as_now(gone, columns)))
            else:
                image, before = next(self.file.numbered_rows("key = ?", (key,)))
                row = before if before.gone is None else replace(before, seen=None, gone=None)
                row = self._as_now(row, columns)
                if row is not before:
                    changed.append((image, row))
                if result.file_state is not None:
                    states.append((image, result.file_state))
            rows.append((result.index, row))
            self.summary.add(row, is_new=result.new is not None, is_kept=kept is not None)
        self.file.append(new, changed, states)
        self.summary.seconds = time.monotonic() - self.started
        if self.on_rows is not None:
            self.on_rows(self.summary, rows)

    def _as_now(self, row: Row, columns: Columns) -> Row:
        """Return an earlier row with the columns of today, in today's audit sample or not."""
        audit = self.payload.options.audit
        is_own = row.model.digest == self.payload.bundle.digest  # else it keeps its decision
        if to_json(row.item) != to_json(columns):
            row = replace(row, item=columns)
            row = self.payload.decider.decided(row) if is_own else row
        elif row.gone is not None and is_own and row.policy.digest != self.payload.policy.digest:
            row = self.payload.decider.decided(row)
        return row if audit is None else audit.drawn(row)

    def _task(self, index: int, item: Item) -> tuple[Task, int, int, Previous | None]:
        """Return the task of an item, by the path that its row has; its keys; and its row."""
        key = place = self._key(item)
        previous = self.file.previous(key)
        for other in self._spellings(item):
            other_key = self._key(other)
            if os.path.isabs(other.source) and other.former is None:
                place = other_key
            if previous is None and (previous := self.file.previous(other_key)) is not None:
                item, key = other, other_key
        if previous is not None and self.payload.options.embeddings and previous.lacks_embedding:
            previous = None
        task = Task(index=index, item=item, previous=previous and previous.result)
        return task, key, place, previous

    def _spellings(self, item: Item) -> Iterator[Item]:
        """Yield a local image under the other paths by which a row may have it."""
        if (other := item.alternate_path()) is not None:
            yield replace(other, former=None)
        if item.former is not None:
            yield item.with_file(item.former)

    def _key(self, item: Item) -> int:
        return item_key(item.source, item.columns, self.file.listing_column, item.reason)

    def _is_unchanged(self, path: str | None, previous: Previous | None) -> bool:
        if path is None or previous is None or previous.sha256 is None:
            return False
        state = None if self.payload.options.rehash else file_state(path)
        is_same = state is not None and state[0] == previous.file_state
        return is_same and self.payload.is_up_to_date(previous.result, previous.sha256)


class Lookahead(Closes):
    """Iterates over items that a thread finds meanwhile, up to a limit of their memory.

    An error of the walk comes in its place among the items.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = items
        self._changed = threading.Condition()
        self._waiting: deque[Item] = deque()
        self._held = self._found = 0  # bytes that wait; items
        self._is_done = False
        self._error: Exception | None = None
        threading.Thread(target=self._walk, daemon=True).start()

    @property
    def total(self) -> int | None:
        """The number of items; None while the walk goes on."""
        return self._found if self._is_done and self._error is None else None

    def __iter__(self) -> Iterator[Item]:
        while True:
            with self._changed:
                while not (self._waiting or self._is_done):
                    self._changed.wait(1.0)  # Windows: without a limit, Ctrl-C would not be heard
                if not self._waiting:
                    break
                item = self._waiting.popleft()
                self._held -= _size(item)
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the walk at its next item."""
        with self._changed:
            self._is_done = True
            self._changed.notify_all()

    def _walk(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    self._changed.wait_for(lambda: self._held < _MAX_BYTES or self._is_done)
                    if self._is_done:
                        return
                    self._waiting.append(item)
                    self._found += not (item.is_end or item.is_elsewhere)
                    self._held += _size(item)
                    self._changed.notify_all()
        except Exception as error:
            self._error = error
        finally:
            self.close()


def _size(item: Item) -> int:
    """Return about how many bytes an item takes: names and columns of text, and its data."""
    columns = sum(len(value) for value in (item.columns or {}).values() if isinstance(value, str))
    return _ITEM_BYTES + columns + len(item.data or b"")
