"""What there is to say of a queue: what is open, what was said, who has done how much."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from recognizer.policy import Decision
from recognizer.review.server.index import QueueIndex
from recognizer.review.server.tables import AUDIT, QUEUE, STANDS
from recognizer.review.server.views import late_conditions
from recognizer.rows.listings import QUEUE_ORDER

if TYPE_CHECKING:
    from recognizer.review.server.queue import Entry

SHIFT_SECONDS = 12 * 3600.0
"""What somebody did in the last hours counts as this shift."""

_STALE_SECONDS = 20.0  # that what takes long to count may be old
_BREAK_SECONDS = 600.0  # between two decisions: a longer pause is a break


class Said(NamedTuple):
    """What was said of a listing or, ``elsewhere``, of its lead images in another listing."""

    time: datetime
    reviewer: str
    judgement: str
    label: str | None
    note: str | None
    elsewhere: bool


class Done(NamedTuple):
    """What somebody has done in this shift, by judgement, and the median seconds for one."""

    reviewer: str
    counts: Mapping[str, int]
    pace: float | None

    @property
    def total(self) -> int:
        """All listings."""
        return sum(self.counts.values())


class Records:
    """The figures of a queue; ``time_limits`` are hours by level."""

    def __init__(self, index: QueueIndex, time_limits: Mapping[Decision, float]) -> None:
        self._index = index
        self._time_limits = time_limits
        self._kept: dict[str, tuple[float, list[tuple[Any, ...]]]] = {}

    def choices(self, column: str) -> list[tuple[Any, ...]]:
        """Return the values of ``product`` or ``location``, the most frequent first."""
        statement = (
            f"SELECT {column}, count(*) FROM listing WHERE section = 'queue' AND {column} > ''"
            " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 60"
        )
        return self._now_and_then(column, statement)

    def open_counts(self) -> dict[str, int]:
        """Return how many listings are open by level, of the audit sample, and ``late``."""
        found = self._index.read("SELECT section, place, listings FROM tally WHERE state = 'open'")
        counts = {str(QUEUE_ORDER[place]): n for section, place, n in found if section == QUEUE}
        counts[AUDIT] = sum(n for section, _, n in found if section == AUDIT)
        late = " OR ".join(late_conditions(self._time_limits).values())
        statement = (
            "SELECT count(*) FROM listing WHERE section = 'queue' AND state = 'open'"
            f" AND ({late or '0'})"
        )
        ((counts["late"],),) = self._now_and_then("late", statement) if late else ((0,),)
        return counts

    def _now_and_then(self, name: str, statement: str) -> list[tuple[Any, ...]]:
        """Return what a slow statement selected at most :data:`_STALE_SECONDS` ago."""
        at, found = self._kept.get(name, (0.0, []))
        if name not in self._kept or time.monotonic() - at > _STALE_SECONDS:
            found = self._index.read(statement)
            self._kept[name] = time.monotonic(), found
        return found

    def shift(self, reviewer: str | None = None) -> list[Done]:
        """Return what each has done in this shift, or only one; the most first."""
        rows = self._index.read(
            "SELECT reviewer, judgement, coalesce(listing, sha256), max(time) FROM said"
            f" WHERE {STANDS} AND time > ?1 AND (?2 IS NULL OR reviewer = ?2)"
            " GROUP BY 1, 2, 3 ORDER BY 4",
            (time.time() - SHIFT_SECONDS, reviewer),
        )
        counts: dict[str, dict[str, int]] = {}
        times: dict[str, list[float]] = {}
        for name, judgement, _, at in rows:
            own = counts.setdefault(name, {})
            own[judgement] = own.get(judgement, 0) + 1
            times.setdefault(name, []).append(at)
        done = [Done(name, counts[name], _pace(times[name])) for name in counts]
        return sorted(done, key=lambda one: (-one.total, one.reviewer))

    def said_of(self, entry: Entry) -> list[Said]:
        """Return what was said of a listing and of the bytes of its leads, the last first."""
        rows = self._index.read(
            "SELECT DISTINCT time, reviewer, judgement, label, note,"
            " listing IS NOT NULL AND listing != ?1 FROM said"
            f" WHERE {STANDS} AND (listing = ?1 OR sha256 IN"
            " (SELECT sha256 FROM image WHERE listing = ?2 AND (is_lead OR ?3)))"
            " ORDER BY time DESC LIMIT 20",
            (entry.name, entry.key, entry.section == AUDIT),
        )
        return [Said(datetime.fromtimestamp(at, UTC), *rest) for at, *rest in rows]


def _pace(times: Sequence[float]) -> float | None:
    gaps = sorted(b - a for a, b in itertools.pairwise(times) if 0 < b - a < _BREAK_SECONDS)
    return gaps[len(gaps) // 2] if len(gaps) > 2 else None
