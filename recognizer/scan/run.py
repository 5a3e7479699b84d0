"""The scan: items in, rows out, paired by number, never by position in a stream."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from recognizer.model.bundle import Bundle
from recognizer.policy.values import Policy
from recognizer.rows.adopting import adopt
from recognizer.rows.deciding import audit_sample
from recognizer.rows.identity import file_state, item_key
from recognizer.rows.images import NewRow
from recognizer.rows.listings import group_copies
from recognizer.rows.records import to_json
from recognizer.rows.row import Row, ScanSummary
from recognizer.rows.writer import Met, Previous, ScanWriter
from recognizer.scan.items import Columns, Item
from recognizer.scan.options import ScanOptions, WorkerPayload, allowed_hosts
from recognizer.scan.pool import WorkerPool
from recognizer.scan.worker import Task, TaskResult

_MAX_UNCHANGED = 256  # images whose rows are looked up together
_MAX_AHEAD = 20_000  # items that are read ahead

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

    Items are read as workers become free;
    rows are written in the order in which they are done. Workers are new (spawned) processes: a
    script needs the usual ``if __name__ == "__main__":``. An interrupt passes once they stopped.
    """
    options, rate = options or ScanOptions(), file.setting("audit_rate")
    if options.audit is not None or rate:  # as before
        share = options.audit.rate if options.audit else float(rate or 0)
        options = replace(options, audit=audit_sample(share, bundle, policy))
    if options.known is not None:
        own = file.select("SELECT DISTINCT sha256 FROM outcome WHERE sha256 IS NOT NULL")
        options = replace(options, known=options.known.apart_from({sha256 for (sha256,) in own}))
    options = replace(options, allow_hosts=options.allow_hosts | allowed_hosts(file))
    payload = WorkerPayload(bundle=bundle, policy=policy, options=options)
    run = _ScanRun(items, payload, file, on_rows)
    pool = WorkerPool(payload)
    try:
        file.use_policy(policy)
        options.remember(file)
        run.summary.unplaced = adopt(file)
        if payload.options.audit is not None:
            file.set_setting("audit_rate", str(payload.options.audit.rate))
        for done in pool.work(run.tasks()):
            run.record(done)
        file.check()
        file.finish()
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
    keys: set[int] = field(default_factory=set)  # of the tasks under way

    def tasks(self) -> Iterator[Task]:
        """Yield the items that a worker has to look at, and record the others on the way."""
        index = 0
        unchanged: list[TaskResult] = []
        column = self.file.listing_column
        for item in self.items:
            key = item_key(item.source, item.columns, column, item.reason)
            previous = self.file.previous(key)
            if key in self.keys or (previous is not None and previous.is_met):
                self.summary.repeated += 1  # a file may be named twice, but it gets one row
                continue
            self.keys.add(key)
            self.under_way[index] = key, item.columns
            if self._is_unchanged(item.path, previous):
                unchanged.append(TaskResult(index=index))
                if len(unchanged) == _MAX_UNCHANGED:
                    self.record(unchanged)
                    unchanged = []
            else:
                yield Task(index=index, item=item, previous=previous and previous.result)
            index += 1
        if unchanged:
            self.record(unchanged)

    def record(self, done: Sequence[TaskResult]) -> None:
        rows: list[tuple[int, Row]] = []
        new: list[NewRow] = []
        changed: list[tuple[int, Row]] = []
        met: list[Met] = []
        keys: set[int] = set()
        for result in done:
            key, columns = self.under_way.pop(result.index)
            keys.add(key)
            is_new, earlier = result.new is not None, self._earlier(result, key)
            if earlier is not None:
                image, before = earlier
                row = self._as_now(before, columns)
                if row is not before:
                    changed.append((image, row))
                unread = result.new.row.reason if result.new is not None else None
                met.append(Met(image, result.file_state, unread))
            if result.new is not None:
                row = result.new.row  # a failure counts as such, even if an earlier row is kept
                new += [result.new] if earlier is None else []
            rows.append((result.index, row))
            self.summary.add(row, is_new=is_new, is_kept=is_new and earlier is not None)
        self.file.append(new, changed, met)
        self.keys -= keys
        self.summary.seconds = time.monotonic() - self.started
        if self.on_rows is not None:
            self.on_rows(self.summary, rows)

    def _earlier(self, result: TaskResult, key: int) -> tuple[int, Row] | None:
        """Return the earlier row if it holds: the image is unchanged, or cannot be read now."""
        condition = "key = ?"
        if result.new is not None:
            if not result.new.row.is_unread:
                return None
            condition += " AND status != 'failed'"
        return next(self.file.numbered_rows(condition, (key,)), None)

    def _as_now(self, row: Row, columns: Columns) -> Row:
        """Return an earlier row with the columns of today, in today's audit sample or not."""
        audit, policy = self.payload.options.audit, self.payload.policy
        is_own = row.model.digest == self.payload.bundle.digest  # else it keeps its decision
        row = self.payload.decider.compared(row) if is_own else row
        is_same = to_json(row.item) == to_json(columns)
        row = row if is_same else replace(row, item=columns)
        if is_own and not (is_same and row.policy.digest == policy.digest):
            row = self.payload.decider.decided(row)
        return row if audit is None else audit.drawn(row)

    def _is_unchanged(self, path: str | None, previous: Previous | None) -> bool:
        if path is None or previous is None or previous.sha256 is None:
            return False
        state = None if self.payload.options.recheck else file_state(path)
        is_same = state is not None and state[0] == previous.file_state
        return is_same and self.payload.is_up_to_date(previous.result, previous.sha256)


class Lookahead:
    """Iterates over items that a thread reads ahead; an error of theirs comes in its place."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.total: int | None = None  # the number of items, once all are read
        self._items = items
        self._queue: queue.Queue[Item | Exception | None] = queue.Queue(_MAX_AHEAD)
        threading.Thread(target=self._read, daemon=True).start()

    def __iter__(self) -> Iterator[Item]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def _read(self) -> None:
        count = 0
        try:
            for item in self._items:
                self._queue.put(item)
                count += 1
            self.total = count
        except Exception as error:
            self._queue.put(error)
        self._queue.put(None)
