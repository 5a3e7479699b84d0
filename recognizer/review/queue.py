"""The review queue of a scan: counts over all images, and the strongest of each section.

The journal is read once. What is kept of each image is small, and lies in a temporary table; the
rows that are shown are read again by their places in the file.
"""

from __future__ import annotations

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
from recognizer.model.bundle import Bundle
from recognizer.policy import Decision
from recognizer.rows.journal import JournalReader
from recognizer.rows.row import ModelReference, PolicyReference, Row
from recognizer.rows.summary import ScanSummary
from recognizer.status import Reason
from recognizer.taxonomy import Kind

SECTIONS = (Decision.PRIORITY, Decision.REVIEW, Decision.UNSCORED, Decision.CLEAR)
"""The sections, one for each decision, in the order in which they are worked through."""

MAX_COPIES = 100
"""So many near-copies of one image are listed with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How many images a page shows at most; ``priority`` and ``review`` share ``leads``."""

    leads: int = 2000
    unscored: int = 500
    clear: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An image of the queue, by its row, and the first :data:`MAX_COPIES` of its near-copies."""

    row: Row
    copies: tuple[Row, ...] = ()
    copy_count: int = 0


@dataclass(slots=True, kw_only=True)
class Summary(ScanSummary):
    """Counts over all images of a journal; ``begin`` and ``end`` are None without rows."""

    sections: Counter[Decision] = field(default_factory=Counter)
    models: Counter[ModelReference] = field(default_factory=Counter)
    policies: Counter[PolicyReference] = field(default_factory=Counter)
    begin: datetime | None = None
    end: datetime | None = None


class Images(TemporaryStore):
    """The last row of each image; near-copies share the offset of the first one as ``copies``."""

    def __init__(self) -> None:
        super().__init__(
            "CREATE TABLE images (key INTEGER PRIMARY KEY, offset INTEGER, copies INTEGER,"
            " sha256 TEXT, phash TEXT, section INTEGER, score REAL, alike INTEGER, time REAL)"
        )

    def put(
        self, row: Row, offset: int, *, score: float = 0, alike: int = 0, time: float = 0
    ) -> None:
        """Keep what counts of a row; ``alike`` numbers the rows that count alike in the summary."""
        section = SECTIONS.index(row.decision)
        values = (row.key - (1 << 63), offset, offset, row.sha256, row.phash, section, score, alike)
        with self._reported():
            self._database.execute(
                "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values, time)
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
        """Rank near-copies, and the images that stand for them; keep those that are shown."""
        limits = (capacity.leads, capacity.leads, capacity.unscored, capacity.clear)
        with self._reported():
            self._database.executescript(
                "CREATE TABLE ranked AS SELECT *, row_number() OVER"
                " (PARTITION BY copies ORDER BY section, score DESC, offset) AS place FROM images;"
                "CREATE INDEX ranked_copies ON ranked (copies, place);"
                # The two sections of leads share one capacity.
                "CREATE TABLE shown AS SELECT *, row_number() OVER"
                " (PARTITION BY max(section, 1) ORDER BY section, score DESC, offset) AS number"
                " FROM ranked WHERE place = 1"
            )
            self._database.executemany(
                "DELETE FROM shown WHERE section = ? AND number > ?", enumerate(limits)
            )

    def select(self, statement: str, *values: int) -> list[tuple[Any, ...]]:
        """Return what a statement selects."""
        with self._reported():
            return self._database.execute(statement, values).fetchall()

    def count(self, what: str, *values: int) -> int:
        """Return how many rows of a table there are."""
        ((count,),) = self.select(f"SELECT count(*) FROM {what}", *values)  # noqa: S608 - ours
        return int(count)


class Queue(Closes):
    """The review queue of a scan. Of near-copies, the strongest has an entry, with the others."""

    def __init__(
        self,
        journal: str | os.PathLike[str],
        bundles: Sequence[Bundle],
        capacity: Capacity | None = None,
    ) -> None:
        self._reader = JournalReader(journal)
        self._images = Images()
        try:
            self.summary = self._read(bundles)
            self.bundle = _bundle_behind(self.summary, bundles, journal)
            self._images.group_copies()
            self._images.rank(capacity or Capacity())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the files."""
        self._reader.close()
        self._images.close()

    def _read(self, bundles: Sequence[Bundle]) -> Summary:
        products = {
            bundle.digest: [label.name for label in bundle.labels if label.kind is Kind.PRODUCT]
            for bundle in bundles
        }
        alike: dict[tuple[object, ...], int] = {}
        examples: list[Row] = []
        for offset, row in self._reader.rows():
            key = (row.decision, row.status, row.reason, row.lead_labels, row.model, row.policy)
            number = alike.setdefault(key, len(alike))
            if number == len(examples):
                examples.append(row)
            score, time = _score(row, products.get(row.model.digest)), row.time.timestamp()
            self._images.put(row, offset, score=score, alike=number, time=time)
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

    def covered(self, section: Decision) -> int:
        """Return how many images of a section are shown, as entries or as copies of one."""
        return self._images.count(
            "ranked WHERE section = ? AND copies IN (SELECT copies FROM shown)",
            SECTIONS.index(section),
        )

    def entries(self, section: Decision) -> Iterator[Entry]:
        """Yield the entries of a section, the first to be looked at first; each is read now."""
        for offset, copies in self._images.select(
            "SELECT offset, copies FROM shown WHERE section = ? ORDER BY number",
            SECTIONS.index(section),
        ):
            others = self._images.select(
                "SELECT offset FROM ranked WHERE copies = ? AND place BETWEEN 2 AND ?"
                " ORDER BY place",
                copies,
                MAX_COPIES + 1,
            )
            yield Entry(
                row=self._reader.row_at(offset),
                copies=tuple(self._reader.row_at(other) for (other,) in others),
                copy_count=self._images.count("ranked WHERE copies = ? AND place > 1", copies),
            )


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


def _score(row: Row, products: Sequence[str] | None) -> float:
    """Return what a row is ranked by: its highest lead; else its highest product, or family."""
    if row.reason is Reason.NO_IMAGE:
        return -1.0  # after what failed
    if row.leads:
        return row.leads[0].score
    if row.decision is Decision.CLEAR and row.scores and products is not None:
        return max((row.scores[name] for name in products if name in row.scores), default=0.0)
    return max((row.family or {}).values(), default=0.0)


def _bundle_behind(
    summary: Summary, bundles: Sequence[Bundle], journal: str | os.PathLike[str]
) -> Bundle:
    for model, _ in summary.models.most_common(1):
        for bundle in bundles:
            if bundle.digest == model.digest:
                return bundle
        offered = ", ".join(f"{bundle.title} ({bundle.digest[:12]})" for bundle in bundles)
        raise UsageError(
            f"{os.fspath(journal)}: most of its rows were made by {model.title} "
            f"({model.digest[:12]}), and not by {offered}: give the folder of {model.title} with "
            "recognizer report --bundle"
        )
    return bundles[0]
