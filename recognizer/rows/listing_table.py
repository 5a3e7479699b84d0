"""The listings of a journal, in the order of the queue, with the near-copies of one another.

The journal is read once. What is kept of each image is small and lies in a temporary table; the
rows of one listing are read again by their places in the file. Memory grows by some hundred bytes
for each image that is not a copy of another: the hashes that are compared.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from recognizer._sqlite import TemporaryStore
from recognizer.errors import UsageError
from recognizer.known import near_copies
from recognizer.listing_columns import Role, as_text, listing_of, value_of
from recognizer.model.bundle import Bundle
from recognizer.rows.journal import JournalReader
from recognizer.rows.listings import Listing
from recognizer.rows.ranking import Ranking
from recognizer.rows.row import Outline
from recognizer.status import Reason

_MAX_NAMED = 30  # columns that an error message lists

_TABLES = """
CREATE TABLE image (listing BLOB, source BLOB, offset INTEGER, seller TEXT, sha256 TEXT, phash TEXT,
    copies TEXT, PRIMARY KEY (listing, source)) WITHOUT ROWID;
CREATE TABLE hash (phash TEXT PRIMARY KEY, copies TEXT) WITHOUT ROWID;
CREATE TABLE listing (id BLOB PRIMARY KEY, place INTEGER, unproven INTEGER, reports INTEGER,
    score REAL, age REAL, seller TEXT, copies TEXT, content BLOB)
"""

# Each photo is compared with all others. What counts for a listing is its best photo.
_COUNTS = """
CREATE INDEX image_copies ON image (copies, seller, listing);
CREATE TABLE sellers AS SELECT copies, seller, count(DISTINCT listing) AS listings FROM image
    WHERE copies IN (SELECT copies FROM image GROUP BY copies
        HAVING min(listing) != max(listing)) GROUP BY copies, seller;
CREATE UNIQUE INDEX sellers_key ON sellers (copies, seller);
CREATE TABLE groups AS SELECT copies, count(DISTINCT listing) AS listings,
    count(DISTINCT seller) AS sellers FROM image
    WHERE copies IN (SELECT copies FROM sellers) GROUP BY copies;
CREATE UNIQUE INDEX groups_key ON groups (copies);
CREATE INDEX listing_order ON listing (place, unproven, reports, score, age, id);
CREATE TABLE first AS SELECT copies, id FROM (SELECT copies, id, row_number() OVER
    (PARTITION BY copies ORDER BY place, unproven, reports, score, age, id) AS number
    FROM listing WHERE copies IN (SELECT copies FROM groups)) WHERE number = 1;
CREATE UNIQUE INDEX first_key ON first (copies)
"""

_ORDERED = """
SELECT listing.content, coalesce(groups.listings - 1, 0),
    coalesce(groups.sellers - (sellers.listings IS 1 AND sellers.seller IS NOT NULL), 0), first.id,
    listing.id
FROM listing LEFT JOIN groups ON groups.copies = listing.copies
LEFT JOIN first ON first.copies = listing.copies
LEFT JOIN sellers ON sellers.copies = listing.copies AND sellers.seller IS listing.seller
ORDER BY place, unproven, reports, score, age, listing.id
"""


class ListingTable(TemporaryStore):
    """The listings of a journal.

    Args:
        journal: the rows of one or more scans; of each image, the last row counts.
        column: the column that tells listings apart; None to find it
            (:func:`recognizer.listing_columns.listing_of`).
        bundles: the models that may be behind the rows: what one has no evidence for comes last.

    Attributes:
        strays: images that belong to no listing; each is one of its own, called by its source.

    Raises:
        JournalError: the journal cannot be read; as from every method.
        UsageError: no image has the column.
    """

    def __init__(
        self,
        journal: str | os.PathLike[str],
        column: str | None = None,
        bundles: Iterable[Bundle] = (),
    ) -> None:
        super().__init__(_TABLES)
        self._rankings = {bundle.digest: Ranking(bundle) for bundle in bundles}
        self._reader = JournalReader(journal)
        try:
            self._read(column)
            self._group()
            self._make()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the files."""
        self._reader.close()
        super().close()

    def __len__(self) -> int:
        with self._reported():
            ((count,),) = self._database.execute("SELECT count(*) FROM listing")
        return int(count)

    def __iter__(self) -> Iterator[Listing]:
        """Yield the listings in the order of the queue (:mod:`recognizer.rows.ranking`)."""
        with self._reported():
            for content, listings, sellers, first, own in self._database.execute(_ORDERED):
                listing = Listing.from_json_line(content)
                if listings:
                    listing = replace(
                        listing,
                        also_in_listings=listings,
                        also_in_sellers=sellers,
                        copy_of=None if first in {None, own} else _text(first),
                    )
                yield listing

    def _read(self, column: str | None) -> None:
        has_column = column is None
        others: dict[str, None] = {}

        def records() -> Iterator[tuple[object, ...]]:
            nonlocal has_column
            for offset, row in self._reader.outlines():
                item = row.item or {}
                has_column = has_column or column in item
                if not has_column and len(others) < _MAX_NAMED:
                    others.update(dict.fromkeys(item))
                yield _image(listing_of(row.item, column), row, offset)

        with self._reported():  # one whose columns have changed has two rows; the later one counts
            self._database.executemany(
                "REPLACE INTO image VALUES (?, ?, ?, ?, ?, ?, NULL)", records()
            )
        with self._reported():
            ((images,),) = self._database.execute("SELECT count(*) FROM image")
            ((self.strays,),) = self._database.execute(
                "SELECT count(*) FROM image WHERE listing = source"
            )
        if images and not has_column:
            names = ", ".join(map(repr, [*others][:_MAX_NAMED])) or "no columns at all"
            raise UsageError(
                f"no image in {self._reader.path} has the listing column {column!r}, but {names}"
            )

    def _group(self) -> None:
        """Give near-copies, and images of equal bytes, the same ``copies``."""
        with self._reported():
            found = self._database.execute(
                "SELECT DISTINCT phash FROM image WHERE phash IS NOT NULL ORDER BY phash"
            )
            hashes = [phash for (phash,) in found]
            first = near_copies(hashes, [None] * len(hashes)).tolist()
            self._database.executemany(
                "INSERT INTO hash VALUES (?, ?)",
                ((phash, hashes[group]) for phash, group in zip(hashes, first, strict=True)),
            )
            self._database.execute(
                "UPDATE image SET copies = coalesce("
                "(SELECT copies FROM hash WHERE hash.phash = image.phash), sha256)"
            )

    def _make(self) -> None:
        with self._reported():
            images = self._database.execute(
                "SELECT listing, offset, copies, seller, source FROM image ORDER BY listing, source"
            )
            self._database.executemany(
                "INSERT INTO listing VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self._record(key, [*group])
                    for key, group in itertools.groupby(images, key=lambda image: image[0])
                ),
            )
            self._database.executescript(_COUNTS)

    def _record(
        self, key: bytes, images: list[tuple[bytes, int, str | None, str | None, bytes]]
    ) -> tuple[object, ...]:
        rows = [self._reader.row_at(offset) for _, offset, _, _, _ in images]
        listing = Listing.from_rows(_text(key), rows)
        ranking = self._rankings.get(listing.model.digest, Ranking())
        rank = ranking.rank(listing, min(row.time for row in rows).timestamp())
        if lead := next(iter(ranking.sorted(listing.leads)), None):
            listing = replace(listing, product=lead.name, score=lead.score)
        best = next(
            (i for i, row in zip(images, rows, strict=True) if row.source == listing.best), None
        )
        _, _, copies, seller, _ = best or (None, None, None, None, None)
        return key, *rank, seller, copies, listing.to_json_line()


def _image(listing: str | None, row: Outline, offset: int) -> tuple[object, ...]:
    """Return what is kept of an image."""
    seller = as_text(value_of(row.item, Role.SELLER)) if row.item else None
    source = _bytes(row.source)
    # A listing that had no image in an earlier scan may have one now, and the other way round.
    name = b"" if row.reason is Reason.NO_IMAGE and listing is not None else source
    key = source if listing is None else _bytes(listing)
    clean = seller and seller.encode("utf-8", "replace").decode()
    return key, name, offset, clean, row.sha256, row.phash


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a path need not be valid text


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")
