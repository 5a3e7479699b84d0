"""The queue at the desk: who gets which listing, what they say of it, and how far the team is.

Listings and their order come from the scan's file, what was said of them from the file of outcomes.
A listing is handed to one person at a time. What somebody says is on the disk before the next
listing is handed out. Who has what is known to the server alone: after a restart the pages that are
open ask for their listings again.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from recognizer._closing import Closes
from recognizer.errors import ScanFileChangedError
from recognizer.policy import Decision
from recognizer.review.outcomes import Judgement, Occasion, Outcome, Outcomes
from recognizer.review.server.views import AUDIT, OPEN, QUEUE, View, late_conditions
from recognizer.rows.copies import group_copies
from recognizer.rows.listings import QUEUE_ORDER, Listing
from recognizer.rows.queue import ENTRY_ORDER, IMAGE_ORDER
from recognizer.rows.records import as_utc
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile

HOLD_SECONDS = 600.0
SHIFT_SECONDS = 12 * 3600.0
"""What somebody did in the last hours counts as this shift."""

MAX_GROUP = 500
"""Listings that one decision can settle."""

PAGE_SIZE = 50

_REFRESH_SECONDS = 15.0  # that a scan may be ahead of what was said of its listings
_STALE_SECONDS = 20.0  # that what takes long to count may be old
_BREAK_SECONDS = 600.0  # between two decisions: a longer pause is a break

_TABLES = """
CREATE TEMP TABLE state (unit INTEGER PRIMARY KEY, number INTEGER, state TEXT, judge TEXT,
  judged TEXT);
CREATE TEMP TABLE hold (reviewer TEXT PRIMARY KEY, unit INTEGER UNIQUE, until REAL, seen INTEGER);
CREATE TEMP TABLE skip (unit INTEGER, reviewer TEXT, time REAL, PRIMARY KEY (unit, reviewer))
"""
_ENTRIES = "entry LEFT JOIN temp.state AS said ON said.unit = entry.unit"
_IS_FREE = (
    "NOT EXISTS (SELECT 1 FROM temp.hold JOIN entry AS held ON held.unit = hold.unit"
    " WHERE hold.until > :now AND hold.reviewer != :reviewer"
    " AND (held.unit = entry.unit OR held.copies = entry.copies))"
)
_NOT_SKIPPED = (
    "NOT EXISTS (SELECT 1 FROM temp.skip WHERE skip.unit = entry.unit"
    " AND skip.reviewer = :reviewer)"
)
_AFFECTED = """
SELECT unit FROM entry WHERE listing = :listing OR (listing IS NULL AND source = :listing)
UNION SELECT unit FROM image WHERE sha256 = :sha256
UNION SELECT entry.unit FROM entry JOIN image ON image.id = entry.best
  WHERE section = 'audit' AND image.sha256 = :sha256
"""
_MAX_NUMBER = "SELECT coalesce(max(number), 0) FROM outcome"


class ConflictError(Exception):
    """A listing is not, or no longer, handed to the reviewer; or a count has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A listing of the queue; ``held_by`` is who has it now, ``late`` beyond its time limit."""

    unit: int
    section: str
    level: Decision
    reports: int
    score: float | None
    first: datetime
    listing: str | None
    source: str
    title: str | None
    seller: str | None
    product: str | None
    best: int
    copies: int | None
    state: str
    judge: str | None
    held_by: str | None
    late: bool

    @property
    def key(self) -> str:
        """What names it in addresses and pages, also after a restart with another scan."""
        return f"{self.unit & (1 << 64) - 1:016x}"

    @property
    def name(self) -> str:
        """Its identity in outcomes."""
        return self.source if self.listing is None else self.listing


def unit_of(key: object) -> int | None:
    """Return the unit of an :attr:`Entry.key`, or None for anything else."""
    try:
        value = int(key, 16) if isinstance(key, str) and len(key) == 16 else -1
    except ValueError:
        return None
    return None if value < 0 else value - (1 << 64) * (value >= 1 << 63)


class Group(NamedTuple):
    """Listings that one decision can settle: those that are open and free, and all of them."""

    free: int
    listings: int
    sellers: int


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


class Queue(Closes):
    """A queue that several people work through at once.

    Args:
        scan: the scan's file.
        outcomes: the file of outcomes, which may be that of the scan.
        hold_seconds: how long somebody has a listing who does nothing.
        time_limits: level -> hours after which a listing is late, and comes first in its level.

    Raises:
        ScanFileError: a file cannot be used; as from all methods.
    """

    def __init__(
        self,
        scan: Path,
        outcomes: Path,
        *,
        hold_seconds: float = HOLD_SECONDS,
        time_limits: Mapping[Decision, float] | None = None,
    ) -> None:
        self._time_limits = dict(time_limits or {})
        self._hold_seconds = hold_seconds
        self._cached: dict[str, tuple[float, list[tuple[Any, ...]]]] = {}
        self._lock = threading.RLock()
        self._heard = 0  # the number of the last outcome that the states know of
        self._version, self._refreshed = 0, 0.0
        self._outcomes = Outcomes(outcomes, write=True, create=True)
        try:
            self.file = ScanFile(scan, write=os.access(scan, os.W_OK))
        except BaseException:
            self._outcomes.close()
            raise
        for statement in _TABLES.split(";"):
            self.file.execute(statement)
        if not _is_same(scan, outcomes):
            self.file.use_outcomes_of(outcomes)
        self._place = self._outcomes.file.place
        self.refresh()

    def close(self) -> None:
        """Release the files."""
        self.file.close()
        self._outcomes.close()

    # --- states -----------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Take over what a scan, or another program, has changed."""
        with self._lock:
            group_copies(self.file)
            ((version,),) = self.file.select("PRAGMA data_version")
            ((heard,),) = self.file.select(_MAX_NUMBER)
            if (version, heard) != (self._version, self._heard):
                self.file.execute("DELETE FROM temp.state")
                self.file.execute("INSERT INTO temp.state SELECT * FROM verdict")
            self._version, self._heard = version, heard
            self._refreshed = time.monotonic()

    @contextmanager
    def _current(self) -> Iterator[None]:
        """Have the lock, and states that know of all outcomes."""
        with self._lock:
            if not self._outcomes.file.is_in_place(self._place):
                raise ScanFileChangedError(
                    f"{self._outcomes.file.path} was moved or removed while the server ran: put it "
                    "back in its place and start the server again"
                )
            if time.monotonic() - self._refreshed > _REFRESH_SECONDS:
                self.refresh()
            self._hear()
            yield

    def _hear(self) -> None:
        """Take over the outcomes that were added since the last time."""
        new = self.file.select(
            "SELECT number, listing, sha256 FROM outcome WHERE number > ? ORDER BY number",
            (self._heard,),
        )
        for number, listing, sha256 in new:
            about = {"listing": listing, "sha256": sha256}
            self._settle(unit for (unit,) in self.file.select(_AFFECTED, about))
            self._heard = number

    def _settle(self, units: Iterable[int]) -> None:
        for unit in units:
            self.file.execute("DELETE FROM temp.state WHERE unit = ?", (unit,))
            self.file.execute(
                "INSERT INTO temp.state SELECT * FROM verdict WHERE unit = ?", (unit,)
            )

    # --- handing out ------------------------------------------------------------------------------

    def take(self, reviewer: str, view: View, unit: int | None = None) -> Entry | None:
        """Hand a listing to a reviewer: the one they have, the given one, or the next of a view.

        None where there is none left that is free; a given one may be held by somebody else.
        """
        with self._current():
            if unit is not None:
                entry = self.entry(unit)
                return None if entry is None else self._hold(reviewer, entry)
            while (entry := self._held(reviewer, view) or self._next(reviewer, view)) is not None:
                self._settle([entry.unit])  # a scan may have changed it since the last refresh
                now = self.entry(entry.unit)
                if now is not None and now.state == entry.state:
                    return self._hold(reviewer, now)
            return None

    def peek(self, reviewer: str, view: View) -> Entry | None:
        """Return what a reviewer would get after what they have now."""
        with self._current():
            held = self._held(reviewer, view)
            return self._next(reviewer, view, None if held is None else held.unit)

    def entry(self, unit: int) -> Entry | None:
        """Return a listing by its unit."""
        with self._lock:
            found = self._select("entry.unit = :unit", {"unit": unit}, limit=1)
            return found[0] if found else None

    def keep(self, reviewer: str, unit: int | None) -> None:
        """Extend the time for which a reviewer has a listing, or give it to them again."""
        with self._current():
            entry = None if unit is None else self.entry(unit)
            if entry is not None and entry.held_by in {None, reviewer}:
                self._hold(reviewer, entry)

    def release(self, reviewer: str) -> None:
        """Take back what a reviewer has."""
        with self._lock:
            self.file.execute("DELETE FROM temp.hold WHERE reviewer = ?", (reviewer,))

    def _hold(self, reviewer: str, entry: Entry) -> Entry:
        if entry.held_by not in {None, reviewer}:
            self.release(reviewer)
            return entry
        now = time.time()
        self.file.execute(
            "DELETE FROM temp.hold WHERE reviewer = ? OR unit = ?", (reviewer, entry.unit)
        )
        self.file.execute(
            "INSERT INTO temp.hold VALUES (?, ?, ?, ?)",
            (reviewer, entry.unit, now + self._hold_seconds, self._heard),
        )
        return replace(entry, held_by=reviewer)

    def _held(self, reviewer: str, view: View) -> Entry | None:
        """Return what a reviewer has, if it is of the view."""
        condition, values = view.condition(folded=True)
        condition += (
            " AND entry.unit = (SELECT unit FROM temp.hold WHERE reviewer = :reviewer"
            " AND until > :now)"
        )
        found = self._select(condition, values | {"reviewer": reviewer}, limit=1)
        return found[0] if found else None

    def _next(self, reviewer: str, view: View, but: int | None = None) -> Entry | None:
        condition, values = view.condition(folded=False)
        values |= {"reviewer": reviewer, "but": but}
        condition = f"{condition} AND {_IS_FREE} AND entry.unit IS NOT :but"
        if view.state not in {OPEN, "all"}:  # a second pair of eyes
            condition += " AND judge != :reviewer"
        for further in (f"{condition} AND {_NOT_SKIPPED}", condition):
            for part in self._parts(view):
                if found := self._select(f"{further} AND {part}", values, limit=1):
                    return found[0]
        return None

    def _parts(self, view: View) -> list[str]:
        """Return in which parts a view is worked through: level by level, what is late first."""
        if not self._time_limits or view.section == AUDIT:
            return ["1"]
        late = late_conditions(self._time_limits)
        return [
            part
            for place in range(len(QUEUE_ORDER))
            for part in (late.get(place), f"place = {place}")
            if part is not None
        ]

    # --- what is said -----------------------------------------------------------------------------

    def decide(
        self,
        reviewer: str,
        unit: int,
        judgement: Judgement,
        *,
        note: str | None = None,
        label: str | None = None,
        images: Sequence[int] = (),
        by: str | None = None,
        expected: int = 1,
    ) -> int:
        """Store what a reviewer says of a listing that they have, or of a group with it.

        It is about the ``images`` with these numbers; with none, about those that are leads. ``by``
        is None for the listing alone, ``copies`` for its open near-copies too, ``seller`` for all
        that is open of its seller; ``expected`` is how many listings the page has named.

        Returns:
            How many listings it settled.

        Raises:
            ConflictError: it is gone, somebody else has it or has decided it since the page was
                made, or there are more or fewer listings.
            UsageError: a text is too long.
        """
        with self._current():
            entry = self.entry(unit)
            # One that is nobody's is still open only where the reviewer's time is just up.
            if entry is None or not (
                entry.held_by == reviewer or (entry.held_by is None and entry.state == OPEN)
            ):
                raise ConflictError
            members = [entry] if by is None else self._members(entry, by, reviewer)
            if len(members) != expected:
                raise ConflictError
            template = Outcome(
                time=datetime.now(UTC),
                reviewer=reviewer,
                judgement=judgement,
                occasion=Occasion.AUDIT if entry.section == AUDIT else Occasion.REVIEW,
                listing=entry.name,
                label=label,
                note=note,
            )
            said = [one for member in members for one in self._about(member, template, images)]
            seen = self.file.select("SELECT seen FROM temp.hold WHERE reviewer = ?", (reviewer,))
            self._add(said, seen[0][0] if seen else self._heard)
            self.release(reviewer)
            self.file.execute("DELETE FROM temp.skip WHERE unit = ?", (unit,))
        return len(members)

    def _about(self, entry: Entry, said: Outcome, images: Sequence[int]) -> list[Outcome]:
        """Return an outcome for each image that it is about, or one for the listing alone."""
        rows = self.file.select(
            "SELECT id, sha256, image_decision IN ('priority', 'review') FROM image"
            " WHERE sha256 IS NOT NULL AND (unit = ? OR id = ?)",
            (entry.unit, entry.best),
        )
        chosen = {sha256: None for number, sha256, _ in rows if number in images}
        if not chosen:
            is_all = entry.section == AUDIT or entry.listing is None
            chosen = {sha256: None for _, sha256, is_lead in rows if is_lead or is_all}
        listing = None if entry.listing is None and chosen else entry.name
        return [replace(said, sha256=sha256, listing=listing) for sha256 in chosen or [None]]

    def _add(self, outcomes: Sequence[Outcome], seen: int) -> None:
        """Add outcomes; raise a ConflictError if there are others since number ``seen``."""
        subjects = {"listing": outcomes[0].listing, "sha256": outcomes[0].sha256}
        with self._outcomes.file.transaction() as database:  # nobody else adds any meanwhile
            other = database.execute(
                "SELECT 1 FROM outcome WHERE number > :seen"
                " AND (listing = :listing OR (listing IS NULL AND sha256 = :sha256))",
                {"seen": seen, **subjects},
            ).fetchone()
            if other is not None:
                raise ConflictError
            self._outcomes.add(outcomes)
        self._hear()

    def skip(self, reviewer: str, unit: int) -> None:
        """Give a listing back; the reviewer gets it again when nothing else is left."""
        with self._lock:
            self.file.execute(
                "REPLACE INTO temp.skip VALUES (?, ?, ?)", (unit, reviewer, time.time())
            )
            self.release(reviewer)

    def undo(self, reviewer: str) -> Entry | None:
        """Take back what a reviewer did last in this shift, and hand the listing to them again."""
        with self._current():
            since = time.time() - SHIFT_SECONDS
            said = self.file.select(
                "SELECT number, id, time, listing, sha256, occasion FROM standing"
                " WHERE reviewer = ?1 AND time = (SELECT time FROM standing WHERE reviewer = ?1"
                " AND time > ?2 ORDER BY number DESC LIMIT 1) ORDER BY number",
                (reviewer, _iso(since)),
            )
            skipped = self.file.select(
                "SELECT unit, time FROM temp.skip WHERE reviewer = ? AND time > ?"
                " ORDER BY time DESC LIMIT 1",
                (reviewer, since),
            )
            if skipped and (not said or _iso(skipped[0][1]) > said[0][2]):
                unit = skipped[0][0]
                self.file.execute(
                    "DELETE FROM temp.skip WHERE unit = ? AND reviewer = ?", (unit, reviewer)
                )
            elif said:
                unit = self._withdraw(said)
            else:
                return None
            return None if unit is None else self.take(reviewer, View(), unit)

    def _withdraw(self, said: Sequence[tuple[Any, ...]]) -> int | None:
        """Withdraw outcomes, and return the unit of the listing that the first is about."""
        ids = {id_ for _, id_, *_ in said}
        now = datetime.now(UTC)
        self._outcomes.add(
            [
                replace(one, time=now, occasion=Occasion.WITHDRAWAL, withdraws=one.id)
                for one in self._outcomes.by_id(ids)
            ]
        )
        self._hear()
        _, _, _, listing, sha256, occasion = said[0]
        found = self.file.select(
            "SELECT unit FROM entry WHERE section = :section AND (listing = :listing"
            " OR (listing IS NULL AND source = :listing) OR unit IN"
            " (SELECT unit FROM image WHERE sha256 = :sha256)"
            " OR best IN (SELECT id FROM image WHERE sha256 = :sha256))"
            f" ORDER BY ifnull(listing, source) IS :listing DESC, {ENTRY_ORDER} LIMIT 1",
            {
                "section": AUDIT if occasion == Occasion.AUDIT else QUEUE,
                "listing": listing,
                "sha256": sha256,
            },
        )
        return found[0][0] if found else None

    # --- what there is ----------------------------------------------------------------------------

    def photos(self, entry: Entry, limit: int = -1, offset: int = 0) -> list[tuple[int, Row]]:
        """Return the images of a listing with their numbers, that which stands for it first."""
        condition = "image.id = ?" if entry.section == AUDIT else "unit = ?"
        value = entry.best if entry.section == AUDIT else entry.unit
        order = f"{IMAGE_ORDER} LIMIT {limit:d} OFFSET {offset:d}"
        with self._lock:
            return [*self.file.numbered_rows(condition, (value,), order)]

    def listing(self, entry: Entry, rows: Sequence[Row]) -> Listing:
        """Return what the images of a listing come to."""
        return Listing.from_rows(entry.name, rows, product=entry.product, score=entry.score)

    def group(self, entry: Entry, by: str, reviewer: str) -> Group:
        """Return how many listings a decision on the ``copies`` or the ``seller`` would settle."""
        value = getattr(entry, by)
        if value is None:
            return Group(0, 1, 1)
        with self._lock:
            ((listings, sellers),) = self.file.select(
                f"SELECT count(*), count(DISTINCT seller) FROM entry WHERE {by} = ?"
                " AND section = 'queue'",
                (value,),
            )
            return Group(len(self._members(entry, by, reviewer)), listings, sellers)

    def _members(self, entry: Entry, by: str, reviewer: str) -> list[Entry]:
        """Return the listings of a group that are open and in nobody else's hands."""
        condition = (
            f"{by} = :value AND section = 'queue' AND (said.unit IS NULL OR entry.unit = :own)"
        )
        values = {"value": getattr(entry, by), "own": entry.unit}
        members = self._select(condition, values, limit=MAX_GROUP)
        return [member for member in members if member.held_by in {None, reviewer}]

    def page(self, view: View, number: int) -> tuple[list[Entry], int]:
        """Return a page of a view, counted from 1, and how many listings the view has.

        Of near-copies that are open, only the first is there, unless a seller or words are asked
        for.
        """
        with self._current():
            condition, values = view.condition(folded=bool(view.seller or view.q))
            ((total,),) = self.file.select(
                f"SELECT count(*) FROM {_ENTRIES} WHERE {condition}", values
            )
            order = ENTRY_ORDER
            if view.state not in {OPEN, "all"}:
                order = "judged DESC, entry.unit"
            elif self._time_limits:
                late = " OR ".join(late_conditions(self._time_limits).values())
                order = f"place, ({late}) DESC, {order}"
            offset = (max(1, number) - 1) * PAGE_SIZE
            found = self._select(condition, values, limit=PAGE_SIZE, offset=offset, order=order)
            return found, total

    def _select(
        self,
        condition: str,
        values: Mapping[str, Any],
        *,
        limit: int,
        offset: int = 0,
        order: str = ENTRY_ORDER,
    ) -> list[Entry]:
        late = " OR ".join(late_conditions(self._time_limits).values())
        rows = self.file.select(
            "SELECT entry.unit, section, place, reports, score, first, listing, source, title,"
            " seller, product, best, copies, ifnull(state, 'open'), judge,"
            " (SELECT hold.reviewer FROM temp.hold WHERE hold.unit = entry.unit"
            " AND hold.until > :now) AS held_by,"
            f" said.unit IS NULL AND section = 'queue' AND ({late or '0'}) AS late"
            f" FROM {_ENTRIES} WHERE {condition}"
            f" ORDER BY {order} LIMIT {limit:d} OFFSET {offset:d}",
            {**values, "now": time.time()},
        )
        return [_entry(*row) for row in rows]

    # --- figures ----------------------------------------------------------------------------------

    def choices(self, column: str) -> list[tuple[Any, ...]]:
        """Return the values of ``product`` or ``location``, the most frequent first."""
        return self._select_cached(
            f"SELECT {column}, count(*) FROM entry WHERE section = 'queue' AND {column} > ''"
            " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 60"
        )

    def open_counts(self) -> dict[str, int]:
        """Return how many listings are open by level, of the audit sample, and ``late``."""
        late = " OR ".join(late_conditions(self._time_limits).values())
        found = self._select_cached(
            f"SELECT section, place, count(*), sum({late or '0'}) FROM {_ENTRIES}"
            " WHERE said.unit IS NULL GROUP BY section, place"
        )
        counts = {str(QUEUE_ORDER[place]): n for section, place, n, _ in found if section == QUEUE}
        counts[AUDIT] = sum(n for section, _, n, _ in found if section == AUDIT)
        counts["late"] = sum(late for section, *_, late in found if section == QUEUE)
        return counts

    def _select_cached(self, statement: str) -> list[tuple[Any, ...]]:
        """Return what a statement selected at most :data:`_STALE_SECONDS` ago."""
        with self._lock:
            at, found = self._cached.get(statement, (0.0, []))
            if statement not in self._cached or time.monotonic() - at > _STALE_SECONDS:
                found = self.file.select(statement)
                self._cached[statement] = time.monotonic(), found
            return found

    def shift(self, reviewer: str | None = None) -> list[Done]:
        """Return what each has done in this shift, or only one; the most first."""
        with self._lock:
            rows = self.file.select(
                "SELECT reviewer, judgement, coalesce(listing, sha256), max(time) FROM standing"
                " WHERE time > ?1 AND (?2 IS NULL OR reviewer = ?2) GROUP BY 1, 2, 3 ORDER BY 4",
                (_iso(time.time() - SHIFT_SECONDS), reviewer),
            )
        counts: dict[str, dict[str, int]] = {}
        times: dict[str, list[float]] = {}
        for name, judgement, _, at in rows:
            own = counts.setdefault(name, {})
            own[judgement] = own.get(judgement, 0) + 1
            times.setdefault(name, []).append(datetime.fromisoformat(at).timestamp())
        done = [Done(name, counts[name], _pace(times[name])) for name in counts]
        return sorted(done, key=lambda one: (-one.total, one.reviewer))

    def said_of(self, entry: Entry) -> list[Said]:
        """Return what was said of a listing and of the bytes of its leads, the last first."""
        with self._lock:
            rows = self.file.select(
                "SELECT DISTINCT time, reviewer, judgement, label, note,"
                " listing IS NOT NULL AND listing != :name FROM standing"
                " WHERE listing = :name OR sha256 IN (SELECT sha256 FROM image"
                " WHERE (unit = :unit OR id = :best)"
                " AND (image_decision IN ('priority', 'review') OR :audit))"
                " ORDER BY number DESC LIMIT 20",
                {
                    "name": entry.name,
                    "unit": entry.unit,
                    "best": entry.best,
                    "audit": entry.section == AUDIT,
                },
            )
        return [Said(datetime.fromisoformat(at), *rest) for at, *rest in rows]


def _entry(*values: Any) -> Entry:
    names = list(Entry.__dataclass_fields__)
    found = dict(zip(names, values, strict=True))
    found["level"] = QUEUE_ORDER[found.pop("level")]
    return Entry(
        **found | {"first": datetime.fromisoformat(found["first"]), "late": bool(found["late"])}
    )


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one.absolute() == other.absolute()


def _iso(seconds: float) -> str:
    return as_utc(datetime.fromtimestamp(seconds, UTC))


def _pace(times: Sequence[float]) -> float | None:
    gaps = sorted(b - a for a, b in itertools.pairwise(times) if 0 < b - a < _BREAK_SECONDS)
    return gaps[len(gaps) // 2] if len(gaps) > 2 else None
