"""The queue: who gets which listing, what they say of it, and how far the team is.

A listing is handed to one person at a time. What somebody says is in the store of outcomes before
the next listing is handed out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from recognizer.policy import Decision
from recognizer.review.outcomes import Judgement, Occasion, Outcome
from recognizer.review.server.index import QueueIndex
from recognizer.review.server.records import SHIFT_SECONDS, Records
from recognizer.review.server.tables import AUDIT, QUEUE, STANDS
from recognizer.review.server.views import OPEN, View, late_conditions
from recognizer.rows.listings import QUEUE_ORDER

HOLD_SECONDS = 600.0
MAX_GROUP = 500
"""Listings that one decision can settle."""

PAGE_SIZE = 50

_ORDER = "place, unproven, by_reports, by_score, first, key"
_IS_FREE = (
    "NOT EXISTS (SELECT 1 FROM hold JOIN listing held ON held.number = hold.listing"
    " WHERE hold.until > :now AND hold.reviewer != :reviewer"
    " AND (held.number = listing.number OR held.copies = listing.copies))"
)
_NOT_SKIPPED = (
    "NOT EXISTS (SELECT 1 FROM skip WHERE skip.listing = listing.number"
    " AND skip.reviewer = :reviewer)"
)


class ConflictError(Exception):
    """A listing is not, or no longer, handed to the reviewer; or a count has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A listing as the index has it; ``held_by`` is who has it now, ``late`` beyond its limit."""

    number: int
    key: bytes
    name: str
    is_stray: bool
    section: str
    level: Decision
    reports: int
    score: float
    first: datetime
    title: str | None
    seller: str | None
    product: str | None
    best: int
    copies: int | None
    state: str
    judge: str | None
    held_by: str | None
    late: bool


class Group(NamedTuple):
    """Listings that one decision can settle: those that are open and free, and all of them."""

    free: int
    listings: int
    sellers: int


class Queue:
    """A queue that several people work through at once.

    Args:
        index: its listings.
        hold_seconds: how long somebody has a listing who does nothing.
        time_limits: level -> hours after which a listing is late, and comes first in its level.
    """

    def __init__(
        self,
        index: QueueIndex,
        *,
        hold_seconds: float = HOLD_SECONDS,
        time_limits: Mapping[Decision, float] | None = None,
    ) -> None:
        self.index = index
        self._time_limits = dict(time_limits or {})
        self._hold_seconds = hold_seconds
        self.records = Records(index, self._time_limits)

    # --- handing out ------------------------------------------------------------------------------

    def take(self, reviewer: str, view: View, listing: int | None = None) -> Entry | None:
        """Hand a listing to a reviewer: the one they have, the given one, or the next of a view.

        None where there is none left that is free; a given one may be held by somebody else.
        """
        with self.index.lock:
            if listing is None:
                entry = self._held(reviewer, view) or self._next(reviewer, view)
            else:
                entry = self.entry(listing)
            return None if entry is None else self._hold(reviewer, entry)

    def peek(self, reviewer: str, view: View) -> Entry | None:
        """Return what a reviewer would get after what they have now."""
        with self.index.lock:
            held = self._held(reviewer, view)
            return self._next(reviewer, view, -1 if held is None else held.number)

    def entry(self, listing: int) -> Entry | None:
        """Return a listing by its number."""
        return next(iter(self._select("listing.number = :own", {"own": listing}, limit=1)), None)

    def keep(self, reviewer: str) -> None:
        """Extend the time for which a reviewer has a listing."""
        now = time.time()
        with self.index.write() as database:
            database.execute(
                "UPDATE hold SET until = ? WHERE reviewer = ? AND until > ?",
                (now + self._hold_seconds, reviewer, now),
            )

    def release(self, reviewer: str) -> None:
        """Take back what a reviewer has."""
        with self.index.write() as database:
            database.execute("DELETE FROM hold WHERE reviewer = ?", (reviewer,))

    def _hold(self, reviewer: str, entry: Entry) -> Entry:
        now = time.time()
        with self.index.write() as database:
            database.execute(
                "DELETE FROM hold WHERE reviewer = ? OR (listing = ? AND until <= ?)",
                (reviewer, entry.number, now),
            )
            done = database.execute(  # ignored where somebody has it
                "INSERT OR IGNORE INTO hold VALUES (?, ?, ?)",
                (reviewer, entry.number, now + self._hold_seconds),
            )
        return replace(entry, held_by=reviewer) if done.rowcount else entry

    def _held(self, reviewer: str, view: View) -> Entry | None:
        """Return what a reviewer has, if it is of the view."""
        condition, values = view.condition(folded=True)
        condition += (
            " AND listing.number = (SELECT listing FROM hold WHERE reviewer = :reviewer"
            " AND until > :now)"
        )
        return next(iter(self._select(condition, values | {"reviewer": reviewer}, limit=1)), None)

    def _next(self, reviewer: str, view: View, but: int = -1) -> Entry | None:
        condition, values = view.condition(folded=False)
        values |= {"reviewer": reviewer, "but": but}
        condition = f"{condition} AND {_IS_FREE} AND listing.number != :but"
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
        listing: int,
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
        that is open of its seller; ``expected`` is how many listings the reviewer was told of.

        Returns:
            How many listings it settled.

        Raises:
            ConflictError: somebody else has it now, or there are more or fewer listings.
            UsageError: a text is too long.
        """
        with self.index.lock:
            entry = self.entry(listing)
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
            self._add(o for member in members for o in self._outcomes(member, template, images))
            self.release(reviewer)
            with self.index.write() as database:
                database.execute("DELETE FROM skip WHERE listing = ?", (listing,))
        return len(members)

    def _outcomes(self, entry: Entry, said: Outcome, images: Sequence[int]) -> list[Outcome]:
        """Return an outcome for each image that it is about, or one for the listing alone."""
        rows = self.index.read(
            "SELECT number, sha256, is_lead FROM image WHERE listing = ? AND sha256 > ''",
            (entry.key,),
        )
        chosen = {sha256: None for number, sha256, _ in rows if number in images}
        if not chosen:
            is_all = entry.section == AUDIT or entry.is_stray
            chosen = {sha256: None for _, sha256, is_lead in rows if is_lead or is_all}
        listing = None if entry.is_stray and chosen else entry.name
        return [replace(said, sha256=sha256, listing=listing) for sha256 in chosen or [None]]

    def skip(self, reviewer: str, listing: int) -> None:
        """Give a listing back; the reviewer gets it again when nothing else is left."""
        with self.index.write() as database:
            database.execute("REPLACE INTO skip VALUES (?, ?, ?)", (listing, reviewer, time.time()))
            database.execute("DELETE FROM hold WHERE reviewer = ?", (reviewer,))

    def undo(self, reviewer: str) -> Entry | None:
        """Take back what a reviewer did last in this shift, and hand the listing to them again."""
        with self.index.lock:
            since = time.time() - SHIFT_SECONDS
            said = self.index.read(
                f"SELECT number, id, time FROM said WHERE {STANDS} AND reviewer = ?1 AND time ="
                f" (SELECT max(time) FROM said WHERE {STANDS} AND reviewer = ?1 AND time > ?2)"
                " ORDER BY number",
                (reviewer, since),
            )
            skipped = self.index.read(
                "SELECT listing, time FROM skip WHERE reviewer = ? AND time > ?"
                " ORDER BY time DESC LIMIT 1",
                (reviewer, since),
            )
            if skipped and (not said or skipped[0][1] > said[0][2]):
                listing = skipped[0][0]
                with self.index.write() as database:
                    database.execute(
                        "DELETE FROM skip WHERE listing = ? AND reviewer = ?", (listing, reviewer)
                    )
            elif said:
                listing = self._withdraw(said[0][0], {id_ for _, id_, _ in said})
            else:
                return None
            return None if listing is None else self.take(reviewer, View(), listing)

    def _withdraw(self, first: int, ids: set[str]) -> int | None:
        """Withdraw outcomes, of which the first has this number, and return its listing."""
        taken = [o for _, o in self.index.outcomes.since(first - 1) if o.id in ids]
        now = datetime.now(UTC)
        self._add(replace(o, time=now, occasion=Occasion.WITHDRAWAL, withdraws=o.id) for o in taken)
        section = AUDIT if taken[0].occasion is Occasion.AUDIT else QUEUE
        found = self.index.read(
            "SELECT number FROM listing WHERE section = ?1 AND (name = ?2 OR key IN"
            " (SELECT listing FROM image WHERE sha256 = ?3))"
            " ORDER BY name IS ?2 DESC, folded, number LIMIT 1",
            (section, taken[0].listing, taken[0].sha256),
        )
        return found[0][0] if found else None

    def _add(self, outcomes: Iterable[Outcome]) -> None:
        self.index.outcomes.add(outcomes)  # on the disk from here on
        self.index.read_outcomes()

    # --- what there is ----------------------------------------------------------------------------

    def group(self, entry: Entry, by: str, reviewer: str) -> Group:
        """Return how many listings a decision on the ``copies`` or the ``seller`` would settle."""
        value = getattr(entry, by)
        if value is None:
            return Group(0, 1, 1)
        ((listings, sellers),) = self.index.read(
            f"SELECT count(*), count(DISTINCT seller) FROM listing WHERE {by} = ?"
            " AND section = 'queue'",
            (value,),
        )
        return Group(len(self._members(entry, by, reviewer)), listings, sellers)

    def _members(self, entry: Entry, by: str, reviewer: str) -> list[Entry]:
        """Return the listings of a group that are open and in nobody else's hands."""
        condition = (
            f"{by} = :value AND section = 'queue' AND (state = 'open' OR listing.number = :own)"
        )
        values = {"value": getattr(entry, by), "own": entry.number}
        members = self._select(condition, values, limit=MAX_GROUP)
        return [member for member in members if member.held_by in {None, reviewer}]

    def page(self, view: View, number: int) -> tuple[list[Entry], int]:
        """Return a page of a view, counted from 1, and how many listings the view has.

        Of near-copies that are open, only the first is there, unless a seller or words are asked
        for.
        """
        condition, values = view.condition(folded=bool(view.seller or view.q))
        ((total,),) = self.index.read(f"SELECT count(*) FROM listing WHERE {condition}", values)
        order = _ORDER
        if view.state not in {OPEN, "all"}:
            order = "judged DESC, listing.number"
        elif self._time_limits:
            order = (
                f"place, ({' OR '.join(late_conditions(self._time_limits).values())}) DESC, {order}"
            )
        offset = (max(1, number) - 1) * PAGE_SIZE
        return self._select(condition, values, limit=PAGE_SIZE, offset=offset, order=order), total

    def _select(
        self,
        condition: str,
        values: Mapping[str, Any],
        *,
        limit: int,
        offset: int = 0,
        order: str = _ORDER,
    ) -> list[Entry]:
        late = " OR ".join(late_conditions(self._time_limits).values())
        rows = self.index.read(
            "SELECT listing.number, key, name, is_stray, section, place, -by_reports, -by_score,"
            " first, title, seller, product, best, copies, state, judge,"
            " (SELECT hold.reviewer FROM hold WHERE hold.listing = listing.number"
            " AND hold.until > :now) AS held_by, state = 'open' AND section = 'queue' AND"
            f" ({late or '0'}) AS late FROM listing WHERE {condition}"
            f" ORDER BY {order} LIMIT {limit:d} OFFSET {offset:d}",
            {**values, "now": time.time()},
        )
        return [_entry(*row) for row in rows]


def _entry(*values: Any) -> Entry:
    found = dict(zip(Entry.__slots__, values, strict=True))
    found["level"] = QUEUE_ORDER[found["level"]]
    found["first"] = datetime.fromtimestamp(found["first"], UTC)
    return Entry(**found | {name: bool(found[name]) for name in ("is_stray", "late")})
