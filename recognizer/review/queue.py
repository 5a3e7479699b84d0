"""The review queue of a scan: counts over all images, and the strongest of each section.

The unit is a listing; an image that belongs to none is one of its own. The journal is read once.
What is kept of each image is small, and lies in a temporary table; the rows that are shown are read
again by their places in the file.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from recognizer._closing import Closes
from recognizer._sqlite import TemporaryStore
from recognizer.errors import UsageError
from recognizer.known import COPY_DISTANCE, near_copies
from recognizer.listing_columns import Role, as_count, as_text, listing_of, value_of
from recognizer.model.bundle import Bundle, bundle_behind
from recognizer.policy import Decision
from recognizer.rows.journal import JournalReader
from recognizer.rows.listings import Listing
from recognizer.rows.ranking import Ranking
from recognizer.rows.row import ModelReference, PolicyReference, Row
from recognizer.rows.summary import ScanSummary
from recognizer.status import Reason

SECTIONS = (Decision.PRIORITY, Decision.REVIEW, Decision.UNSCORED, Decision.CLEAR)
"""The sections, one for each decision, in the order in which they are worked through."""

MAX_COPIES = 100
"""So many near-copies of one listing are listed with it."""

MAX_PHOTOS = 13
"""So many images of one listing are read, the strongest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How many listings a page shows at most; ``priority`` and ``review`` share ``leads``."""

    leads: int = 2000
    unscored: int = 500
    clear: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The ``number``-th of ``of`` parts of a queue. A listing stays in its part for ever."""

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise UsageError(f"part {self.number}/{self.of}: give one of 1/{self.of} to ...")

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read a part as it is written: ``2/5``."""
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and len(text) < 16):
            raise UsageError(f"part {text!r}: write it as 2/5")
        return cls(number=int(number), of=int(of))

    def has(self, unit: bytes) -> bool:
        """Whether a listing is in this part."""
        digest = hashlib.blake2b(unit, digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.of == self.number - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A listing of the queue, or an image that belongs to none.

    Attributes:
        row: of its strongest image.
        listing: what its images come to; None for an image that belongs to none.
        photos: rows of its images, the strongest first, :data:`MAX_PHOTOS` at most.
        copies: the strongest images of the first :data:`MAX_COPIES` listings that show a near-copy.
        copy_count: how many of them there are.
        copy_sellers: and how many sellers those have.
    """

    row: Row
    listing: Listing | None = None
    photos: tuple[Row, ...] = ()
    copies: tuple[Row, ...] = ()
    copy_count: int = 0
    copy_sellers: int = 0


@dataclass(slots=True, kw_only=True)
class Summary(ScanSummary):
    """Counts over all images of a journal; ``begin`` and ``end`` are None without rows."""

    sections: Counter[Decision] = field(default_factory=Counter)
    models: Counter[ModelReference] = field(default_factory=Counter)
    policies: Counter[PolicyReference] = field(default_factory=Counter)
    begin: datetime | None = None
    end: datetime | None = None


# The order of recognizer.rows.ranking: of images within a listing, and of listings.
_IMAGE_ORDER = "section, ifnull(unproven, 0), score DESC, offset"
_ORDER = "section, unproven, reports DESC, score DESC, age, unit"
_RANK = f"""
CREATE TABLE units AS SELECT unit, ifnull(min(unproven), 0) AS unproven, max(reports) AS reports,
    min(time) AS age, coalesce(max(score) FILTER (WHERE unproven = 0),
        max(score) FILTER (WHERE unproven = 1)) AS score
    FROM images GROUP BY unit;
CREATE UNIQUE INDEX units_key ON units (unit);
CREATE TABLE ranked AS SELECT *, row_number() OVER (PARTITION BY copies ORDER BY {_ORDER}) AS place
    FROM (SELECT images.offset, copies, section, unit, seller, mine, units.unproven, units.reports,
        units.age, ifnull(units.score, images.score) AS score FROM (SELECT *, row_number()
            OVER (PARTITION BY unit ORDER BY {_IMAGE_ORDER}) AS nth FROM images) AS images
        JOIN units USING (unit) WHERE nth = 1);
CREATE INDEX ranked_copies ON ranked (copies, place);
CREATE INDEX images_unit ON images (unit);
-- The two sections of leads share one capacity.
CREATE TABLE own AS SELECT *, row_number() OVER (PARTITION BY max(section, 1) ORDER BY {_ORDER})
    AS number FROM ranked WHERE place = 1 AND mine;
CREATE INDEX own_copies ON own (copies);
CREATE TABLE shown AS SELECT * FROM own
"""


class Images(TemporaryStore):
    """The last row of each image; near-copies share the offset of the first one as ``copies``."""

    def __init__(self) -> None:
        super().__init__(
            "CREATE TABLE images (key INTEGER PRIMARY KEY, offset INTEGER, copies INTEGER,"
            " sha256 TEXT, phash TEXT, section INTEGER, score REAL, alike INTEGER, time REAL,"
            " unit BLOB, seller TEXT, reports INTEGER, unproven INTEGER, mine INTEGER)"
        )

    def put(
        self,
        row: Row,
        offset: int,
        *,
        rank: tuple[bool | None, float] = (None, 0.0),
        alike: int = 0,
        part: Part | None = None,
    ) -> None:
        """Keep what counts of a row.

        Args:
            row: the row.
            offset: of its line.
            rank: whether its leads have no evidence (None without a lead), and the score that it
                is ranked by.
            alike: numbers the rows that count alike in the summary.
            part: of the queue; None for all of it.
        """
        item = row.item or {}
        unit = unit_of(row)
        values = (
            *(row.key - (1 << 63), offset, offset, row.sha256, row.phash),
            *(SECTIONS.index(row.decision), rank[1], alike, row.time.timestamp(), unit),
            _text(as_text(value_of(item, Role.SELLER))),
            as_count(value_of(item, Role.REPORTS)) or 0,
            *(rank[0], part is None or part.has(unit)),
        )
        with self._reported():
            self._database.execute(
                f"INSERT OR REPLACE INTO images VALUES ({', '.join('?' * len(values))})",
                values,
            )

    def group_copies(self, distance: int = COPY_DISTANCE) -> None:
        """Find the near-copies, whose hashes differ in at most ``distance`` bits."""
        with self._reported():
            images = self.select("SELECT key, offset, phash, sha256 FROM images ORDER BY offset")
            first = near_copies([i[2] for i in images], [i[3] for i in images], distance).tolist()
            self._database.executemany(
                "UPDATE images SET copies = ? WHERE key = ?",
                (
                    (images[group][1], image[0])
                    for image, group in zip(images, first, strict=True)
                    if images[group] is not image
                ),
            )

    def rank(self, capacity: Capacity) -> None:
        """Rank near-copies, and the listings that stand for them; keep those that are shown."""
        limits = (capacity.leads, capacity.leads, capacity.unscored, capacity.clear)
        with self._reported():
            self._database.executescript(_RANK)
            self._database.executemany(
                "DELETE FROM shown WHERE section = ? AND number > ?", enumerate(limits)
            )

    def select(self, statement: str, *values: int | bytes) -> list[tuple[Any, ...]]:
        """Return what a statement selects."""
        with self._reported():
            return self._database.execute(statement, values).fetchall()

    def count(self, what: str, *values: int) -> int:
        """Return how many rows of a table there are."""
        ((count,),) = self.select(f"SELECT count(*) FROM {what}", *values)
        return int(count)


class Queue(Closes):
    """The review queue of a scan. Of near-copies, the strongest has an entry, with the others.

    Attributes:
        listings: how many listings there are, images that belong to none included.
    """

    def __init__(
        self,
        journal: str | os.PathLike[str],
        bundles: Sequence[Bundle],
        capacity: Capacity | None = None,
        part: Part | None = None,
    ) -> None:
        self._reader = JournalReader(journal)
        self._images = Images()
        try:
            self.summary = self._read(bundles, part)
            models = self.summary.models.most_common(1)
            self.bundle = (
                bundle_behind(models[0][0].title, models[0][0].digest, bundles)
                if models
                else bundles[0]
            )
            self._images.group_copies()
            self._images.rank(capacity or Capacity())
            self.listings = self._images.count("ranked")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the files."""
        self._reader.close()
        self._images.close()

    def _read(self, bundles: Sequence[Bundle], part: Part | None) -> Summary:
        rankings, unknown = {bundle.digest: Ranking(bundle) for bundle in bundles}, Ranking()
        alike: dict[tuple[object, ...], int] = {}
        examples: list[Row] = []
        for offset, row in self._reader.rows():
            key = (row.decision, row.status, row.reason, row.lead_labels, row.model, row.policy)
            number = alike.setdefault((*key, row.audit is not None), len(alike))
            if number == len(examples):
                examples.append(row)
            ranking = rankings.get(row.model.digest, unknown)
            self._images.put(row, offset, rank=_rank(row, ranking), alike=number, part=part)
        summary = Summary()
        for number, count in self._images.select("SELECT alike, count(*) FROM images GROUP BY 1"):
            row = examples[number]
            summary.add(row, is_new=True, count=count)
            summary.sections[row.decision] += count
            summary.models[row.model] += count
            summary.policies[row.policy] += count
        if summary.images:
            ((begin, end),) = self._images.select("SELECT min(time), max(time) FROM images")
            summary.begin = datetime.fromtimestamp(begin, UTC)
            summary.end = datetime.fromtimestamp(end, UTC)
        return summary

    def count(self, section: Decision) -> int:
        """Return how many entries a section has."""
        return self._images.count("shown WHERE section = ?", SECTIONS.index(section))

    def total(self, section: Decision) -> int:
        """Return how many listings of this part a section has."""
        return self._images.count(
            "ranked WHERE section = ? AND copies IN (SELECT copies FROM own)",
            SECTIONS.index(section),
        )

    def covered(self, section: Decision) -> int:
        """Return how many listings of a section are shown, as entries or as copies of one."""
        return self._images.count(
            "ranked WHERE section = ? AND copies IN (SELECT copies FROM shown)",
            SECTIONS.index(section),
        )

    def entries(self, section: Decision) -> Iterator[Entry]:
        """Yield the entries of a section, the first to be looked at first; each is read now."""
        for unit, copies in self._images.select(
            "SELECT unit, copies FROM shown WHERE section = ? ORDER BY number",
            SECTIONS.index(section),
        ):
            others = self._images.select(
                "SELECT offset FROM ranked WHERE copies = ? AND place BETWEEN 2 AND ?"
                " ORDER BY place",
                copies,
                MAX_COPIES + 1,
            )
            ((count, sellers),) = self._images.select(
                "SELECT count(*), count(DISTINCT seller) FROM ranked"
                " WHERE copies = ? AND place > 1",
                copies,
            )
            photos = self._photos(unit)
            name = listing_of(photos[0].item)
            yield Entry(
                row=photos[0],
                listing=None if name is None else Listing.from_rows(name, photos),
                photos=photos,
                copies=tuple(self._reader.row_at(other) for (other,) in others),
                copy_count=count,
                copy_sellers=sellers,
            )

    def _photos(self, unit: bytes) -> tuple[Row, ...]:
        found = self._images.select(
            f"SELECT offset FROM images WHERE unit = ? ORDER BY {_IMAGE_ORDER} LIMIT {MAX_PHOTOS}",
            unit,
        )
        return tuple(self._reader.row_at(offset) for (offset,) in found)


def find_copies(
    journal: str | os.PathLike[str], distance: int = COPY_DISTANCE
) -> tuple[int, list[list[Row]]]:
    """Return how many images a scan has, and the rows of each group of near-copies."""
    with JournalReader(journal) as reader, Images() as images:
        for offset, row in reader.rows():
            images.put(row, offset)
        images.group_copies(distance)
        groups: dict[int, list[Row]] = {}
        for copies, offset in images.select(
            "SELECT copies, offset FROM images WHERE copies IN (SELECT copies FROM images"
            " WHERE copies != offset) ORDER BY offset"
        ):
            groups.setdefault(copies, []).append(reader.row_at(offset))
        return images.count("images"), [*groups.values()]


def unit_of(row: Row) -> bytes:
    """Return what tells the listing of a row from others; an image without one has its source."""
    name = listing_of(row.item)
    return (f"listing {name}" if name is not None else f"image {row.source}").encode(
        "utf-8", "surrogatepass"
    )


def _rank(row: Row, ranking: Ranking) -> tuple[bool | None, float]:
    """Return whether the leads of a row have no evidence, and the score that it is ranked by.

    It is that of the highest lead with evidence, else of the highest lead; without a lead, of the
    highest family or, where the row is clear, the highest product. Of the clear ones, those of the
    audit sample come first; a listing without an image comes after what failed.
    """
    if row.leads:
        lead = ranking.sorted(row.leads)[0]
        return ranking.is_unproven(lead.name, lead.kind), lead.score
    if row.reason is Reason.NO_IMAGE:
        return None, -1.0
    scores = row.family or {}
    if row.decision is Decision.CLEAR and row.scores and ranking.products:
        scores = {name: row.scores[name] for name in ranking.products if name in row.scores}
    return None, max(scores.values(), default=0.0) + (row.audit is not None)


def _text(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "replace").decode()
