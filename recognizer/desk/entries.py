"""The listings that people work through, and what was said of them, for desk and report."""

import hashlib
import os
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib import resources
from pathlib import Path, PurePath
from typing import Any, NamedTuple, TypeAlias

import msgspec

from recognizer._files import Closes
from recognizer.desk.outcomes import HAS_LEAD
from recognizer.desk.views import AFFECTED, AUDIT, ENTRIES, IS_FIRST, OPEN, QUEUE, SEEN, View
from recognizer.errors import ScanFileChangedError
from recognizer.policy.values import QUEUE_ORDER, Decision
from recognizer.rows.listings import group_copies
from recognizer.rows.queue import ENTRY_ORDER, IMAGE_ORDER, IS_LEAD
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile

Subject: TypeAlias = tuple[str | None, str | None]  # of a verdict: an image, its listing, or both
MAX_GROUP = 500  # listings that one decision can settle
PAGE_SIZE = 50
MAX_OF_SELLER = 5000  # listings

_REFRESH_SECONDS = 15.0  # that a scan may be ahead of the states of its listings
_REFRESH_SHARE = 0.05  # of the time at most, for reading all of them again

_TABLES, _SETTLE = (
    (resources.files("recognizer.desk") / "desk.sql").read_text("utf-8").split("\n\n")
)
# The plus keeps SQLite from walking the whole queue, which is in the order that is wanted.
_IS_MEMBER = (
    "copies = :copies AND +section = 'queue' AND (state IS NULL OR unit = :own)"
    " AND NOT EXISTS (SELECT 1 FROM temp.hold WHERE hold.unit = entry.unit AND hold.until > :now"
    " AND hold.reviewer IS NOT :reviewer)"
)
_IMAGES = "(unit = :unit OR image.id = :best)"  # of an entry; in the audit sample it has one
_BEST = "(SELECT {} FROM image WHERE image.id = best)"
_COMPUTED = {  # what an Entry has under another name than the table, or not from there
    "unit": "entry.unit",
    "key": "printf('%016x', entry.unit)",
    "level": "(SELECT decision FROM level WHERE level.place = entry.place)",
    "photo": _BEST.format("iif(status = 'failed', NULL, printf('%016x', key))"),
    "sha256": _BEST.format("sha256"),
    "price": _BEST.format("trim(price || ' ' || ifnull(currency, ''))"),
    "state": "ifnull(state, 'open')",
    **SEEN,
    "held_by": "(SELECT reviewer FROM temp.hold WHERE hold.unit = entry.unit AND until > :now)",
    "second": "(SELECT second FROM temp.hold WHERE hold.unit = entry.unit AND until > :now)",
}
_OF_SELLER = """(SELECT ranked.*, ifnull(section, 'clear') AS section, copies, state, judge
  FROM ranked LEFT JOIN temp.desk ON desk.unit = ranked.unit
  WHERE ranked.unit IN (SELECT unit FROM image WHERE seller = :seller)) AS entry"""


class Entry(NamedTuple):
    """A listing of the queue.

    ``key`` names it, and ``photo`` the image that stands for it, if it could be scored, also after
    a restart with another scan; ``best`` is its number in this file, and ``sha256`` its digest.
    ``second`` is true while somebody reviews it a second time, without seeing the first verdict.
    """

    unit: int
    key: str
    section: str
    level: Decision
    reports: int
    score: float | None
    first: datetime
    listed: datetime | None
    listing: str | None
    source: str
    title: str | None
    seller: str | None
    product: str | None
    location: str
    best: int
    photo: str | None
    sha256: str | None
    price: str | None
    copies: int | None
    state: str
    judge: str | None
    held_by: str | None
    last_seen: datetime | None
    scan: str | None
    second: int | None

    @property
    def is_blind(self) -> bool:
        """Whether its scores are hidden until it is decided, as in the audit sample."""
        return self.section == AUDIT and self.state == OPEN

    @property
    def name(self) -> str:
        return self.source if self.listing is None else self.listing


_COLUMNS = ", ".join(_COMPUTED.get(name, name) for name in Entry._fields)


def from_key(key: str) -> int:
    """Return the number behind a key: its 64 bits, in hexadecimal."""
    return int.from_bytes(bytes.fromhex(key), "big", signed=True)


class Image(NamedTuple):
    """An image: its number in this file, its row and its key."""

    number: int
    row: Row
    key: str

    @property
    def name(self) -> str:
        return PurePath(self.row.source).name or self.row.source


class Entries(Closes):
    """The listings of a scan, and their outcomes in its own file or another."""

    def __init__(self, scan: Path, outcomes: Path | None = None, *, write: bool = False) -> None:
        self._counts: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}  # since the last change
        self._lock = threading.RLock()
        self._synced = 0  # the number of the last outcome that is in the states
        self._version, self._refresh_at = 0, 0.0
        self.file = ScanFile(scan, write=write)
        try:
            for statement in _TABLES.format(order=ENTRY_ORDER, is_lead=IS_LEAD).split(";\n"):
                self.file.execute(statement)
            if outcomes is not None and os.path.realpath(outcomes) != os.path.realpath(scan):
                self.file.use_outcomes_of(outcomes)
            self._files = {path: path.stat() for path in {scan, outcomes or scan}}
            self.refresh()
        except BaseException:
            self.file.close()
            raise

    def close(self) -> None:
        self.file.close()

    def refresh(self) -> None:
        """Read the states again if a scan or another program has changed the files."""
        with self._lock:
            begin = time.monotonic()
            group_copies(self.file)
            ((version,),) = self.file.select("PRAGMA data_version")
            ((last,),) = self.file.select("SELECT coalesce(max(number), 0) FROM outcome")
            if (version, last) != (self._version, self._synced):
                self._counts.clear()
                for statement in _SETTLE.format(which="IS NOT NULL").split(";\n"):
                    self.file.execute(statement)
            self._version, self._synced = version, last
            took = time.monotonic() - begin
            self._refresh_at = begin + took + max(_REFRESH_SECONDS, took / _REFRESH_SHARE)

    def check(self) -> None:
        """Raise :class:`ScanFileChangedError` unless the files are where they were."""
        for path, before in self._files.items():
            with suppress(OSError):
                if os.path.samestat(path.stat(), before):
                    continue
            words = f"{path} was moved, removed or replaced while it was in use"
            raise ScanFileChangedError(f"{words}: put it back and start again")

    @contextmanager
    def _current(self) -> Iterator[None]:
        """Lock the queue, with states refreshed from all outcomes."""
        with self._lock:
            self.check()
            if time.monotonic() > self._refresh_at:
                self.refresh()
            self._sync()
            yield

    def _sync(self) -> None:
        """Read the outcomes that were added since the last time."""
        last, units = self._synced, set[int]()
        for number, listing, sha256 in self.file.select(
            "SELECT max(number), listing, sha256 FROM outcome WHERE number > ?"
            " GROUP BY listing, sha256",
            (self._synced,),
        ):
            last = max(last, number)
            about = {"listing": listing, "sha256": sha256}
            units.update(unit for (unit,) in self.file.select(AFFECTED, about))
        if last != self._synced:
            self._counts.clear()
        self._settle(units)
        self._synced = last

    def _settle(self, units: Iterable[int]) -> None:
        """Read the states of listings again."""
        for unit in units:
            for statement in _SETTLE.format(which="= ?").split(";\n"):
                self.file.execute(statement, (unit,))

    def entry(self, unit: int) -> Entry | None:
        return self._first("entry.unit = :unit", {"unit": unit})

    def photos(self, entry: Entry, limit: int = -1, offset: int = 0) -> list[Image]:
        """Return the images of a listing, the one that stands for it first."""
        order = f"{IMAGE_ORDER} LIMIT {limit:d} OFFSET {offset:d}"
        return self._images(_IMAGES, entry._asdict(), order)

    def photo_count(self, entry: Entry) -> int:
        statement = f"SELECT count(*) FROM image WHERE {_IMAGES} AND reason IS NOT 'no_image'"
        return int(self.file.select(statement, entry._asdict())[0][0])

    def image(self, key: int) -> Image | None:
        return next(iter(self._images("image.key = :key", {"key": key})), None)

    def _images(
        self, condition: str, values: Mapping[str, Any], order: str = "image.id"
    ) -> list[Image]:
        with self._lock:
            rows = dict(self.file.numbered_rows(condition, values, order))
            some = ", ".join(map(str, rows)) or "NULL"
            keys = f"SELECT id, printf('%016x', key) FROM image WHERE id IN ({some})"
            key_of = dict(self.file.select(keys))
            return [Image(number, row, key_of[number]) for number, row in rows.items()]

    def about(
        self,
        entry: Entry,
        also: Collection[int] = (),
        without: Collection[int] = (),
        first: int = -1,
    ) -> list[Subject]:
        """Return the subjects of a verdict on a listing: digests of images, each with the listing.

        They are the scored images with a lead of a product, or with keys in ``also``, but for those
        in ``without``, among so many ``first`` ones; an image without a listing, or of the audit
        sample, is always one. Without any image, the subject is the listing alone.
        """
        is_image = entry.section == AUDIT or entry.listing is None
        rows = self.file.select(
            "SELECT key, sha256, status != 'failed', product IS NOT NULL FROM image"
            f" WHERE {_IMAGES} ORDER BY {IMAGE_ORDER} LIMIT {first:d}",
            entry._asdict(),
        )
        found: dict[Subject, None] = dict.fromkeys(
            (sha256, entry.listing)
            for key, sha256, is_scored, is_lead in rows
            if is_scored and (is_image or ((is_lead or key in also) and key not in without))
        )
        return [*found] or [(None, entry.name)]

    def of_best(self, entry: Entry, also: Iterable[Any] = ()) -> list[Subject]:
        """Return the subjects of a verdict on the image that stands for a listing, or on these."""
        some = [pair for pair in self.about(entry) if pair[0] in {None, entry.sha256, *also}]
        return some or [(None, entry.name)]

    def labelled(self, entry: Entry, label: str | None) -> set[str]:
        """Return the digests of the images of a listing with a lead of a label."""
        values = {**entry._asdict(), "label": label}
        found = self.file.select(f"SELECT sha256 FROM image WHERE {_IMAGES} AND {HAS_LEAD}", values)
        return {sha256 for (sha256,) in found}

    def shown(self, entry: Entry, about: Iterable[Subject] = ()) -> str:
        """Return 16 digits over the best image of a listing and the subjects of a verdict on it."""
        images = [entry.sha256, *(sha256 for sha256, _ in about or self.about(entry))]
        return hashlib.blake2b("\n".join(filter(None, images)).encode(), digest_size=8).hexdigest()

    def members(self, entry: Entry, reviewer: str | None) -> list[Entry]:
        """Return a listing and its near-copies that are open and in nobody else's hands."""
        if entry.copies is None or entry.second:
            return [entry]
        values = {"copies": entry.copies, "own": entry.unit, "reviewer": reviewer}
        return self._select(_IS_MEMBER, values, limit=MAX_GROUP)

    def page(
        self, view: View, at: int = 1, *, size: int = PAGE_SIZE, also: str = "1", fold: bool = True
    ) -> tuple[list[Entry], int]:
        """Return page ``at`` of a view, or the last, and the view's length; ``also`` is SQL."""
        with self._current():
            condition, values = view.condition(also_copies=not fold)
            condition = f"{condition} AND {also}"
            statement = f"SELECT count(*) FROM {ENTRIES} WHERE {condition}"
            ((total,),) = self.file.select(statement, values)
            offset = (min(max(1, at), max(1, -(-total // size))) - 1) * size
            found = self._select(condition, values, limit=size, offset=offset, order=view.order)
            return found, total

    def of_seller(self, seller: str) -> list[Entry]:
        """Return the listings of a seller, clear ones too, in the order of the queue."""
        with self._current():
            return self._select("1", {"seller": seller}, limit=MAX_OF_SELLER, source=_OF_SELLER)

    def copies_of_others(self, seller: str) -> list[tuple[Any, ...]]:
        """Return sellers with near-copies of a seller's leads, and in how many listings each."""
        return self.file.select(
            "SELECT seller, count(*) FROM entry WHERE copies IN (SELECT copies FROM entry WHERE"
            " seller = :seller) AND seller != :seller GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50",
            {"seller": seller},
        )

    def _first(
        self, condition: str, values: Mapping[str, Any], order: str = ENTRY_ORDER
    ) -> Entry | None:
        return next(iter(self._select(condition, values, limit=1, order=order)), None)

    def _select(
        self,
        condition: str,
        values: Mapping[str, Any],
        *,
        limit: int,
        offset: int = 0,
        order: str = ENTRY_ORDER,
        source: str = ENTRIES,
    ) -> list[Entry]:
        with self._lock:
            found = self.file.select(
                f"SELECT {_COLUMNS} FROM {source} WHERE {condition}"
                f" ORDER BY {order} LIMIT {limit:d} OFFSET {offset:d}",
                {**values, "now": time.time()},
            )
        return msgspec.convert(found, list[Entry])

    def columns(self) -> dict[str, bool]:
        """Return which columns the queue can be filtered by, and whether it has listings."""
        found = self._select_cached(
            "SELECT count(listing), count(seller), max(reports > 0), count(state),"
            " count(DISTINCT location) > 1,"
            f" EXISTS (SELECT 1 FROM setting WHERE name = 'last_scan') FROM {ENTRIES}",
            {},
        )
        names = ("listing", "seller", "reports", "state", "location", "scan")
        return {name: bool(value) for name, value in zip(names, found[0], strict=True)}

    def choices(self, column: str, view: View) -> list[tuple[Any, ...]]:
        """Return values of ``product`` or ``location``, and how many listings each would show."""
        condition, values = view._replace(**{column: ""}).condition(also_copies=True)
        source, choice = ENTRIES, column
        if column == "product":  # all of its leads, not only the strongest one
            leads = "SELECT DISTINCT unit AS of, product AS lead FROM temp.lead"
            source, choice = f"{ENTRIES} JOIN ({leads}) ON of = entry.unit", "lead"
        return self._select_cached(
            f"SELECT {choice}, count(*) FILTER (WHERE {condition}) FROM {source}"
            f" WHERE {choice} > '' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 60",
            values,
        )

    def open_counts(self, view: View | None = None) -> dict[str, int]:
        """Return how many listings are open, or in a view, by level and of the audit sample."""
        condition, values = f"state IS NULL AND {IS_FIRST}", dict[str, Any]()
        if view is not None and view._replace(section=QUEUE, sort="") != View():  # with filters
            condition, values = view.condition()
        statement = f"SELECT section, place, count(*) FROM {ENTRIES} WHERE {condition}"
        found = self._select_cached(f"{statement} GROUP BY 1, 2", values)
        counts = {str(QUEUE_ORDER[place]): n for section, place, n in found if section == QUEUE}
        counts[AUDIT] = sum(n for section, _, n in found if section == AUDIT)
        return counts

    def _select_cached(self, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return the records of a statement on states, as selected since they changed last."""
        key = statement, *values.values()
        with self._lock:
            if key not in self._counts:
                self._counts[key] = self.file.select(statement, values)
            return self._counts[key]

    def outcomes_of(self, entry: Entry) -> list[tuple[Any, ...]]:
        """Return the last outcomes of a listing, its near-copies and the bytes of its leads.

        Each is a time, a reviewer, a judgement, a label, a note, and whether of another listing.
        """
        return self.file.select(
            "SELECT DISTINCT time, reviewer, judgement, label, note,"
            " listing IS NOT NULL AND listing != :name FROM standing"
            " WHERE listing = :name OR sha256 IN (SELECT sha256 FROM image"
            f" WHERE {_IMAGES} AND (product IS NOT NULL OR :section = 'audit'))"
            " OR listing IN (SELECT listing FROM entry WHERE copies = :copies)"
            " ORDER BY moment DESC LIMIT 20",
            {"name": entry.name, **entry._asdict()},
        )
