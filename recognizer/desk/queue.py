"""The queue at the desk: listings are claimed and decided, and the team's progress is counted.

Claims are known to the server alone: after a restart, open pages claim their listings again.
"""

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from types import MappingProxyType

from recognizer.desk.entries import Entries, Entry, Subject
from recognizer.desk.outcomes import DECIDED, DESK, Judgement, Occasion, Outcome, Outcomes
from recognizer.desk.views import AFFECTED, AUDIT, OPEN, QUEUE, View
from recognizer.errors import UsageError
from recognizer.rows.merging import CLOCK_TOLERANCE
from recognizer.rows.queue import ENTRY_ORDER
from recognizer.rows.records import as_utc

HOLD_SECONDS = 600.0
SESSION_SECONDS = 7 * 86400
SHIFT_SECONDS = 12 * 3600.0  # what somebody did in the last hours counts as this shift

_IS_FREE = (
    "NOT EXISTS (SELECT 1 FROM temp.hold JOIN entry AS held ON held.unit = hold.unit"
    " WHERE hold.until > :now AND hold.reviewer != :reviewer"
    " AND (held.unit = entry.unit OR held.copies = entry.copies))"
)
_NOT_SKIPPED = "entry.unit NOT IN (SELECT unit FROM temp.skip WHERE reviewer = :reviewer)"
_SUBJECT = "iif(occasion = 'audit', sha256, coalesce(listing, sha256))"  # of an outcome
_OF_OTHERS = "ifnull(judge, '') != :reviewer COLLATE NOCASE"
_IS_DRAWN = (  # for a second review: keys are hashes
    "section = 'queue' AND state IN ('confirmed', 'rejected', 'unsure')"
    f" AND (entry.unit & 65535) < :drawn AND {_OF_OTHERS} AND NOT EXISTS (SELECT 1 FROM standing"
    " WHERE occasion = 'second' AND (listing = entry.listing OR (listing IS NULL"
    " AND sha256 = (SELECT sha256 FROM image WHERE image.id = entry.best))))"
)


class ConflictError(Exception):
    """A listing is not, or no longer, claimed by the reviewer; or its images have changed."""


class Queue(Entries):
    """A queue that several people work through at once.

    ``second_review`` is the share of decided listings that somebody else reviews again.
    """

    def __init__(
        self, scan: Path, outcomes: Path | None = None, *, second_review: float = 0.0
    ) -> None:
        self._drawn = round(second_review * 65536)
        self._last_time = datetime.min.replace(tzinfo=UTC)
        self._outcomes = Outcomes(outcomes or scan, write=True, create=outcomes not in {None, scan})
        try:
            super().__init__(scan, outcomes, write=os.access(scan, os.W_OK))
        except BaseException:
            self._outcomes.close()
            raise

    def close(self) -> None:
        super().close()
        self._outcomes.close()

    def secret(self, new: str) -> str:
        """Return what signs the cookies of this desk: the stored secret, or the new one, stored."""
        if (secret := self._outcomes.file.setting("desk")) is None:
            self._outcomes.file.set_setting("desk", new)
        return secret or new

    def end_session(self, session: str) -> None:
        """End the session that a cookie names, for ever: older Starlettes renew any cookie."""
        with self._outcomes.file.transaction() as database:
            values = (session, as_utc(datetime.now(UTC)))
            database.execute("INSERT OR REPLACE INTO signed_out VALUES (?, ?)", values)

    def is_over(self, session: str) -> bool:
        found = self._outcomes.file.select("SELECT 1 FROM signed_out WHERE session = ?", (session,))
        return bool(found)

    def claim(
        self, reviewer: str, view: View, unit: int | None = None, *, is_second: bool = False
    ) -> Entry | None:
        """Claim a listing for a reviewer: the one they hold, the given one, or the next of a view.

        None if nothing free is left; a given one may be held by somebody else. A listing that is
        claimed for a second review is decided, but shown as if it was not.
        """
        with self._current():
            if unit is not None:
                entry = self.entry(unit)
                return None if entry is None else self._hold(reviewer, entry, is_second)
            while (entry := self._held(reviewer, view) or self._next(reviewer, view)) is not None:
                self._settle([entry.unit])  # a scan may have changed it since the last refresh
                now = self.entry(entry.unit)
                if now is not None and now.state == entry.state:
                    return self._hold(reviewer, now, view.state == OPEN and now.state != OPEN)
            return None

    def keep(self, reviewer: str, unit: int | None) -> None:
        """Extend a reviewer's claim of a listing, or claim an open one again."""
        with self._current():
            entry = None if unit is None else self.entry(unit)
            if entry is not None and entry.held_by == reviewer:
                until = time.time() + HOLD_SECONDS
                change = "UPDATE temp.hold SET until = ? WHERE reviewer = ?"
                self.file.execute(change, (until, reviewer))
            elif entry is not None and entry.held_by is None and entry.state == OPEN:
                self._hold(reviewer, entry)

    def release(self, reviewer: str) -> None:
        self.file.execute("DELETE FROM temp.hold WHERE reviewer = ?", (reviewer,))

    def obstacle(self, reviewer: str, entry: Entry) -> str | None:
        """Return why a reviewer cannot decide a listing on a list, or None."""
        if entry.state in DECIDED:
            return f"{entry.state.capitalize()} by {entry.judge}: open it to change that."
        if entry.held_by in {None, reviewer}:
            return None
        return f"{entry.held_by} is looking at this listing now: you can read it, not decide."

    def _hold(self, reviewer: str, entry: Entry, is_second: bool = False) -> Entry:
        if entry.held_by not in {None, reviewer}:
            self.release(reviewer)
            return entry
        self.file.execute(  # replaces the reviewer's last claim, and another's that is over
            "REPLACE INTO temp.hold VALUES (?, ?, ?, ?, ?)",
            (reviewer, entry.unit, time.time() + HOLD_SECONDS, self._synced, is_second),
        )
        return entry._replace(held_by=reviewer, second=is_second)

    def _held(self, reviewer: str, view: View) -> Entry | None:
        condition, values = view.condition(also_copies=True)
        condition += (
            " AND entry.unit = (SELECT unit FROM temp.hold WHERE reviewer = :reviewer"
            " AND until > :now)"
        )
        return self._first(condition, values | {"reviewer": reviewer})

    def _next(self, reviewer: str, view: View) -> Entry | None:
        condition, values = view.condition()
        condition = f"{condition} AND {_IS_FREE}"
        values["reviewer"] = reviewer
        if self._drawn and view == View():
            drawn = f"{_IS_DRAWN} AND {_IS_FREE} AND {_NOT_SKIPPED}"
            if second := self._first(drawn, values | {"drawn": self._drawn}, "number"):
                return second
        if view.state != OPEN:  # a second pair of eyes
            condition += f" AND {_OF_OTHERS}"
        first = self._first(f"{condition} AND {_NOT_SKIPPED}", values, view.order)
        return first or self._first(condition, values, view.order)

    def decide(
        self,
        reviewer: str,
        unit: int,
        judgement: Judgement,
        *,
        shown: str | None = None,
        also: Mapping[int, str] = MappingProxyType({}),
        without: Collection[int] = (),
        first: int = -1,
        expected: int = 1,
        **details: str | None,
    ) -> int:
        """Store a verdict on a listing, and on its near-copies if more than it are ``expected``.

        Of a copy the subject is the near-copy; a copy with other leads stays open, not rejected.
        ``shown`` is what :meth:`shown` was on the page; ``also`` has the first 16 digits of the
        sha256 of images that were ticked, by their keys; ``first`` is how many images were shown.
        Returns how many near-copies are left, which the reviewer gets last. If images or copies are
        others now, or somebody else has the listing or has decided it, it is a ConflictError; to
        reject leads that were not shown, or to judge none, a UsageError.
        """
        with self._current():
            entry = self.entry(unit)
            # An open listing without a claim: the reviewer's time is just up.
            if entry is None or not (
                entry.held_by == reviewer or (entry.held_by is None and entry.state == OPEN)
            ):
                raise ConflictError
            copies = self.members(entry, reviewer)
            if expected not in {1, len(copies)}:
                raise ConflictError
            held = self.file.select("SELECT seen FROM temp.hold WHERE reviewer = ?", (reviewer,))
            ((seen,),) = held or ((self._synced,),)
            ticked = [(self.image(key), digits) for key, digits in also.items()]
            is_same = all(image and f"{image.row.sha256}".startswith(own) for image, own in ticked)
            if shown not in {None, self.shown(entry)} or not is_same:
                raise ConflictError  # the reviewer has not seen the images
            if judgement is Judgement.REJECTED:
                without = ()  # a rejection is true of a photo without a tick, too
            judged = self.about(entry, also.keys(), without, first)
            is_of_all = judgement is Judgement.REJECTED or (judged[0][0] is None and not without)
            if is_of_all and not {*self.about(entry)} <= {*judged}:
                raise UsageError("it has leads on pages that you have not opened")
            about, others = [(entry, judged)], [m for m in copies if m.unit != unit]
            if expected > 1 and {*self.of_best(entry)} <= {*judged}:  # what they are copies of
                about += self._of_best(others, judgement, [sha256 for sha256, _ in judged])
            by_hand = {image.row.sha256 for image, _ in ticked if image}
            leads = self.about(entry, first=first) if judgement is Judgement.CONFIRMED else []
            unticked = {sha256 for sha256, _ in leads if sha256} - {sha256 for sha256, _ in judged}
            self._store(reviewer, about, judgement, seen, by_hand, unticked, **details)
            left = {entry.unit for entry in others} - {entry.unit for entry, _ in about}
            for other in left:
                self.skip(reviewer, other)
            self.release(reviewer)
        return len(left)

    def decide_many(self, reviewer: str, units: Mapping[int, str], judgement: Judgement) -> int:
        """Store a verdict on listings that a reviewer has picked; return the number of these.

        It is about the image that stands for each; a listing with other leads is not rejected.
        ``units`` have what was :meth:`shown`; those that changed, are held or decided are left out.
        """
        with self._current():
            found = [entry for unit in sorted(units) if (entry := self.entry(unit))]
            found = [entry for entry in found if self.shown(entry) == units[entry.unit]]
            free = [entry for entry in found if self.obstacle(reviewer, entry) is None]
            if about := self._of_best(free, judgement):
                self._store(reviewer, about, judgement, self._synced)
                self.release(reviewer)
        return len(about)

    def _of_best(
        self, entries: Iterable[Entry], judgement: Judgement, also: Collection[str | None] = ()
    ) -> list[tuple[Entry, list[Subject]]]:
        """Return listings with the subjects of a verdict; a rejection omits those with others."""
        subjects = ((entry, self.of_best(entry, also)) for entry in entries)
        rejects = judgement is Judgement.REJECTED
        return [(entry, own) for entry, own in subjects if not rejects or own == self.about(entry)]

    def _store(
        self,
        reviewer: str,
        subjects: Sequence[tuple[Entry, Sequence[Subject]]],
        judgement: Judgement,
        seen: int,
        by_hand: Collection[str | None] = (),
        unticked: Collection[str] = (),
        *,
        label: str | None = None,
        note: str | None = None,
    ) -> None:
        """Add outcomes; raise a ConflictError if there are others since number ``seen``.

        The label goes to images with a lead of it and those that were ticked ``by_hand``, else to
        the first. The images of the first listing that were ``unticked`` are rejected.
        """
        members = [member for member, _ in subjects]
        now = self._now(members, [sha256 for _, about in subjects for sha256, _ in about])
        outcomes = []
        for member, about in subjects:
            occasion = Occasion.SECOND if member.second else Occasion.REVIEW
            named = self.labelled(member, label) | {*by_hand}
            named = named & {sha256 for sha256, _ in about} or {about[0][0]}
            outcomes += [
                Outcome(
                    time=now,
                    reviewer=reviewer,
                    judgement=judgement,
                    occasion=Occasion.AUDIT if member.section == AUDIT else occasion,
                    sha256=sha256,
                    listing=listing,
                    label=label if sha256 in named else None,
                    note=note,
                    origin=DESK,
                )
                for sha256, listing in about
            ]
        outcomes[:0] = [  # earlier ones: the last is the listing's
            replace(outcomes[0], judgement=Judgement.REJECTED, sha256=sha256, label=None)
            for sha256 in sorted(unticked)
        ]
        names = json.dumps([member.name for member in members])
        with self._outcomes.file.transaction() as database:  # nobody else adds any meanwhile
            if database.execute(
                "SELECT 1 FROM outcome WHERE number > ? AND (listing IN (SELECT value"
                " FROM json_each(?)) OR (listing IS NULL AND sha256 IN (SELECT value"
                " FROM json_each(?))))",
                (seen, names, json.dumps([new.sha256 for new in outcomes if new.listing is None])),
            ).fetchone():
                raise ConflictError
            self._outcomes.add(outcomes)
        self._added()
        for member in members:
            self.file.execute("DELETE FROM temp.skip WHERE unit = ?", (member.unit,))

    def _now(self, members: Sequence[Entry] = (), images: Sequence[str | None] = ()) -> datetime:
        """Return the time; if a clock was ahead by less than a day, one after all of these."""
        now, given = datetime.now(UTC), "IN (SELECT value FROM json_each(?))"
        found = self.file.select(
            f"SELECT max(first) AS time FROM image WHERE unit {given}"
            f" UNION SELECT time FROM outcome WHERE listing {given}"
            f" UNION SELECT time FROM outcome WHERE sha256 {given}",
            [*map(json.dumps, ([m.unit for m in members], [m.name for m in members], images))],
        )
        times = [self._last_time, *(datetime.fromisoformat(time) for (time,) in found if time)]
        after = [t + timedelta(microseconds=1) for t in times if t <= now + CLOCK_TOLERANCE]
        self._last_time = max(now, *after)
        return self._last_time

    def _added(self) -> None:
        """Read the outcomes that were just added; a team's file is then whole without its log."""
        if self._outcomes.file.path != self.file.path:
            self._outcomes.file.execute("PRAGMA wal_checkpoint")
        self._sync()

    def skip(self, reviewer: str, unit: int) -> None:
        """Give a listing back; the reviewer gets it again when nothing else is left."""
        with self._lock:
            self.file.execute("REPLACE INTO temp.skip VALUES (?, ?)", (unit, reviewer))
            self.release(reviewer)

    def undo(self, reviewer: str) -> tuple[Entry | None, Outcome | None]:
        """Withdraw a reviewer's last verdict in this shift, and claim its listing for them again.

        Returns an outcome of the verdict too, with its label if it had any.
        """
        with self._current():
            if not (last := [*self._outcomes.last_of(reviewer, _shift_begin())]):
                return None, None
            now = self._now()
            self._outcomes.add(
                replace(said, time=now, occasion=Occasion.WITHDRAWAL, withdraws=said.id)
                for said in last
            )
            self._added()
            verdict = next((said for said in last if said.label), last[0])
            section = AUDIT if verdict.occasion is Occasion.AUDIT else QUEUE
            found = self.file.select(
                f"SELECT unit FROM entry WHERE section = :section AND unit IN ({AFFECTED})"
                f" ORDER BY ifnull(listing, source) IS :listing DESC, {ENTRY_ORDER} LIMIT 1",
                {"section": section, "listing": last[0].listing, "sha256": last[0].sha256},
            )
            if not found:
                return None, verdict
            is_second = verdict.occasion is Occasion.SECOND
            return self.claim(reviewer, View(), *found[0], is_second=is_second), verdict

    def agreement(self) -> Counter[tuple[str, ...]]:
        """Return how often each pair of judgements came out of a first and a second review.

        Escalating is no judgement here.
        """
        subjects: dict[str, dict[str, str]] = defaultdict(dict)
        judged = f"SELECT {_SUBJECT} AS subject, reviewer, judgement, occasion FROM standing"
        judged += " WHERE judgement != 'escalated'"
        several = f"SELECT subject FROM ({judged}) GROUP BY 1 HAVING max(occasion = 'second')"
        for subject, reviewer, judgement, _ in self._select_cached(
            f"{judged} AND subject IN ({several}) ORDER BY moment", {}
        ):
            subjects[subject][reviewer] = judgement
        return Counter(p for of in subjects.values() for p in combinations(sorted(of.values()), 2))

    def shift(self) -> dict[str, Counter[str]]:
        """Return the verdicts of each reviewer in this shift, by judgement; the most first."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        last = "SELECT reviewer, judgement, max(moment) FROM standing WHERE time > ?"
        last = f"SELECT reviewer, judgement, count(*) FROM ({last} GROUP BY 1, {_SUBJECT})"
        for name, judgement, number in self.file.select(f"{last} GROUP BY 1, 2", (_shift_begin(),)):
            counts[name][judgement] += number
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1].total(), pair[0])))

    def pace(self) -> dict[str, float]:
        """Return the mean seconds between the verdicts of a reviewer in this shift, but pauses."""
        gap = "(julianday(time) - julianday(lag(time) OVER (PARTITION BY reviewer ORDER BY time)))"
        moments = f"SELECT reviewer, {gap} * 86400 AS gap FROM standing WHERE time > ?"
        moments += f" AND origin = '{DESK}' GROUP BY reviewer, time"
        found = f"SELECT reviewer, avg(gap) FROM ({moments}) WHERE gap < {HOLD_SECONDS} GROUP BY 1"
        return dict(self.file.select(found, (_shift_begin(),)))


def _shift_begin() -> str:
    return as_utc(datetime.now(UTC) - timedelta(seconds=SHIFT_SECONDS))
