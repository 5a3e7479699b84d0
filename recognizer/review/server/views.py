"""A view of the queue: which listings are looked at, as the query of a URL and as SQL."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from recognizer.policy import Decision
from recognizer.review.outcomes import Judgement
from recognizer.review.server.tables import AUDIT, QUEUE
from recognizer.rows.listings import QUEUE_ORDER

OPEN = "open"
STATES = (OPEN, *(str(judgement) for judgement in Judgement))
"""Of a listing: not judged, or what was said of it last."""

MAX_WORDS = 8  # that are searched
_DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Which listings are looked at; empty texts mean any.

    ``section`` is ``queue`` or ``audit``, ``state`` one of :data:`STATES` or ``all``. ``since`` and
    ``until`` are the days, as YYYY-MM-DD, on which a listing was made (else scanned). ``new`` means
    what first came in the last 24 hours, ``reported`` what users have reported, and ``q`` are words
    of which each is in some column.
    """

    section: str = QUEUE
    state: str = OPEN
    product: str = ""
    level: str = ""
    seller: str = ""
    location: str = ""
    since: str = ""
    until: str = ""
    new: str = ""
    reported: str = ""
    q: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> View:
        """Read a view from the query of a URL; what makes no sense is left out."""
        given = {key.name: query.get(key.name, "").strip()[:200] for key in fields(cls)}
        allowed: dict[str, tuple[str, ...]] = {
            "section": (QUEUE, AUDIT),
            "state": (*STATES, "all"),
            "level": (*Decision,),
        }
        for name, values in allowed.items():
            if given[name] not in values:
                del given[name]
        for name in ("since", "until"):
            if _day(given[name]) is None:
                del given[name]
        return cls(**{name: value for name, value in given.items() if value})

    def to_query(self, **changes: str) -> dict[str, str]:
        """Return what a URL has to say for it."""
        changed = replace(self, **changes)
        values = {key.name: getattr(changed, key.name) for key in fields(self)}
        return {
            key.name: values[key.name] for key in fields(self) if values[key.name] != key.default
        }

    def condition(self, *, folded: bool) -> tuple[str, dict[str, Any]]:
        """Return an SQL condition on listings, and its values; ``folded``: near-copies too."""
        values: dict[str, Any] = {"section": self.section}
        parts = ["section = :section"]
        for name in ("product", "seller", "location"):
            if value := getattr(self, name):
                parts.append(f"{name} = :{name}")
                values[name] = value
        if self.state != "all":
            parts.append("state = :state")
            values["state"] = self.state
        if not folded:
            parts.append("folded = 0")
        if self.level and self.section == QUEUE:
            parts.append("place = :place")
            values["place"] = QUEUE_ORDER.index(Decision(self.level))
        for name, sign, days in (("since", ">=", 0), ("until", "<", 1)):
            if (day := _day(getattr(self, name))) is not None:
                parts.append(f"coalesce(listed, first) {sign} :{name}")
                values[name] = day + days * _DAY
        if self.new:
            parts.append("first >= :new")
            values["new"] = time.time() - _DAY
        if self.reported:
            parts.append("by_reports < 0")
        for place, word in enumerate(self.q.split()[:MAX_WORDS]):
            condition, values[f"word{place}"] = _search(word, f":word{place}")
            parts.append(f"listing.number IN (SELECT rowid FROM words WHERE {condition})")
        return " AND ".join(parts), values


def _search(word: str, name: str) -> tuple[str, str]:
    """Return a condition that finds a word; the trigram index answers it where it has no escape."""
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"text LIKE {name}" + " ESCAPE '\\'" * (escaped != word), f"%{escaped}%"


def _day(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


def late_conditions(limits: Mapping[Decision, float]) -> dict[int, str]:
    """Return, by the place of a level, the SQL condition on which its listings are late.

    ``limits`` are hours by level.
    """
    now = time.time()
    places = {QUEUE_ORDER.index(level): hours for level, hours in limits.items()}
    return {p: f"(place = {p} AND first < {now - 3600 * hours!r})" for p, hours in places.items()}
