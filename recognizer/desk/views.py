"""A view of the queue: listings and their order, as the query of a URL and as SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from recognizer.desk.outcomes import Judgement
from recognizer.policy.values import Decision
from recognizer.rows.identity import MAX_NAME
from recognizer.rows.queue import ENTRY_ORDER

QUEUE, AUDIT = "queue", "audit"  # sections: listings with leads or failures; the audit sample

OPEN = "open"
STATES = (OPEN, *(str(judgement) for judgement in Judgement), "all")

MAX_WORDS = 8  # that are searched

ENTRIES = "temp.desk AS entry"
"""All entries of the queue in SQL, with their states."""

IS_FIRST = (
    "(copies IS NULL OR state IS NOT NULL OR unit = (SELECT unit FROM temp.desk AS copy WHERE"
    f" copy.copies = entry.copies AND copy.state IS NULL ORDER BY {ENTRY_ORDER} LIMIT 1))"
)
"""Whether an entry is the first of its near-copies that are open, or is not open itself, in SQL."""
AFFECTED = """
SELECT unit FROM entry WHERE listing = :listing OR (listing IS NULL AND source = :listing)
UNION SELECT unit FROM image WHERE sha256 = :sha256
UNION SELECT entry.unit FROM entry JOIN image ON image.id = entry.best
  WHERE section = 'audit' AND image.sha256 = :sha256
"""
"""The units whose state an outcome on a listing or an image may change, in SQL."""
_LAST_SEEN = """
(SELECT max(last_seen) FROM seen JOIN image ON image.id = seen.image WHERE image.unit = entry.unit)
"""
_SCAN = f"""
(SELECT CASE WHEN entry.first >= value THEN 'new' WHEN {_LAST_SEEN} < value THEN 'missed' END
  FROM setting WHERE name = 'last_scan')
"""
SEEN = {"last_seen": _LAST_SEEN, "scan": _SCAN}
"""When an entry was last seen, and whether it is new in the last scan or not in it, in SQL."""
SORTS = {
    "score": "product IS NULL, score DESC",
    "new": "ifnull(listed, first) DESC",
    "old": "ifnull(listed, first)",
    "seller": "seller IS NULL, seller COLLATE NOCASE",
    "seen": f"{_LAST_SEEN} DESC",
}
"""Orders other than that of the queue, in SQL, by their names in the query of a URL."""

_CHOICES = {"section": (QUEUE, AUDIT), "state": STATES, "level": (*Decision,), "sort": (*SORTS,)}
_CHOICES["scan"] = ("new", "missed")
_CONDITIONS = {
    "product": "entry.unit IN (SELECT unit FROM temp.lead WHERE product = :product)",
    "seller": "seller = :seller COLLATE NOCASE",
    "location": "location = :location",
    "reported": "reports > 0",
}
_OF_QUEUE = {
    "level": "place = (SELECT place FROM level WHERE decision = :level)",
    "min_score": "product IS NOT NULL AND score >= :min_score + 0.0",
    "scan": f"{_SCAN} = :scan",
}
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)
_HAS_WORD = (
    "EXISTS (SELECT 1 FROM image, json_each(ifnull(item, '[]')) AS value"
    " WHERE image.unit = entry.unit AND value.value LIKE {word} ESCAPE '\\'"
    " UNION ALL SELECT 1 FROM image WHERE (image.unit = entry.unit OR image.id = entry.best)"
    " AND (image.source LIKE {word} ESCAPE '\\' OR image.listing LIKE {word} ESCAPE '\\'))"
)


class View(NamedTuple):
    """A choice of listings, in the order ``sort``; empty texts mean any.

    ``reported``: with reports by users; each of the words ``q`` is in some column. Scores are those
    of leads.
    """

    section: str = QUEUE
    state: str = OPEN
    product: str = ""
    level: str = ""
    seller: str = ""
    location: str = ""
    reported: str = ""
    q: str = ""
    min_score: str = ""
    scan: str = ""
    sort: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> View:
        """Read a view from the query of a URL, without values that make no sense."""
        given = {name: query.get(name, "").strip()[:MAX_NAME] for name in cls._fields}
        for name, values in _CHOICES.items():
            if given[name] not in values:
                del given[name]
        score = given.pop("min_score").replace(",", ".")
        if _NUMBER.fullmatch(score):
            given["min_score"] = score
        return cls(**{name: value for name, value in given.items() if value})

    def to_query(self, **changes: str) -> dict[str, str]:
        values = self._replace(**changes)._asdict()
        return {
            name: value for name, value in values.items() if value != self._field_defaults[name]
        }

    @property
    def is_folded(self) -> bool:
        """Whether of near-copies that are open only the first is in it: not with filters."""
        return self._replace(section=QUEUE, state=OPEN, sort="") == View()

    @property
    def order(self) -> str:
        """The order of its listings in SQL; decided ones come as they were decided."""
        if self.sort:
            return f"{SORTS[self.sort]}, {ENTRY_ORDER}"
        orders = {OPEN: ENTRY_ORDER, "all": f"state IS NOT NULL, {ENTRY_ORDER}"}
        return orders.get(self.state, "number DESC, unit")

    def condition(self, *, also_copies: bool = False) -> tuple[str, dict[str, Any]]:
        """Return an SQL condition on listings, and its values; ``also_copies``: folded ones too."""
        values: dict[str, Any] = self._asdict()
        given = _CONDITIONS | (_OF_QUEUE if self.section == QUEUE else {})
        parts = ["section = :section", *(given[name] for name in given if values[name])]
        states = {OPEN: "state IS NULL", "all": "1"}
        parts.append(states.get(self.state, "state = :state"))
        if self.is_folded and not also_copies:
            parts.append(IS_FIRST)
        for number, word in enumerate(self.q.split()[:MAX_WORDS]):
            # LIKE ignores the case of ASCII alone.
            escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            cases = [str.lower] if word.isascii() else [str.lower, str.upper, str.capitalize]
            named = {f"word{number}_{at}": f"%{case(escaped)}%" for at, case in enumerate(cases)}
            parts.append(f"({' OR '.join(_HAS_WORD.format(word=f':{name}') for name in named)})")
            values |= named
        return " AND ".join(parts), values
