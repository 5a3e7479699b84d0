"""The index of a review queue: its listings in the order of work, in an SQLite file.

It is made of journals and outcomes, and can be made again of them at any time. A journal is read
once; when it has grown, only what is new is read. Only listings that somebody has to look at are
listed, and the clear images of the audit sample, each as an item of its own.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from recognizer._sqlite import Store
from recognizer.known import near_copies
from recognizer.listing_columns import listing_of
from recognizer.model.bundle import Bundle
from recognizer.policy import Decision
from recognizer.review.outcomes import Judgement, Occasion, Outcome, OutcomeStore, listing_identity
from recognizer.review.server.keys import (
    digest_of,
    location_of,
    plain,
    to_key,
    words_of,
)
from recognizer.review.server.tables import (
    AFFECTED,
    AUDIT,
    LAST_SAID,
    PUT_IMAGE,
    PUT_LISTING,
    QUEUE,
    TABLES,
    UNSEEN,
)
from recognizer.rows.journal import JournalReader
from recognizer.rows.listings import Listing
from recognizer.rows.ranking import Rank, Ranking
from recognizer.rows.row import Row
from recognizer.status import Reason

Progress = Callable[[str, int, int], None]

_CACHE_KIBIBYTES = 64 << 10
_ROWS_AT_A_TIME = 500
_LISTINGS_AT_A_TIME = 100  # requests wait this long while the index is brought up to date
_AUDIT_KEY = b"\0audit\0"

_DERIVED = ("journal", "image", "touched", "listing", "words", "hold", "skip")


class QueueIndex(Store):
    """The index of a queue, in one file that one server uses at a time.

    Every use of the database is under :attr:`lock`, from whatever thread.

    Args:
        path: its file, which is made where it is missing.
        journals: the rows of one or more scans; of an image in several, the last one counts.
        outcomes: what people found out.
        bundles: the models that may be behind the rows: what one has no evidence for comes last.

    Raises:
        JournalError: a file cannot be used; as from all methods.
    """

    APPLICATION_ID = 0x574C5155
    KIND = "index of a review queue"
    ADVICE = "remove it (it is made again; outcomes are in another file), and start again"
    TABLES = TABLES

    def __init__(
        self,
        path: str | os.PathLike[str],
        journals: Sequence[Path],
        outcomes: OutcomeStore,
        bundles: Iterable[Bundle] = (),
    ) -> None:
        super().__init__(path, create=True)
        self.lock = threading.RLock()
        self.outcomes = outcomes
        self._rankings = {bundle.digest: Ranking(bundle) for bundle in bundles}
        self._paths = [Path(journal).absolute() for journal in journals]
        self._updating = threading.Lock()
        self._opened = ExitStack()
        try:
            self._readers = [self._opened.enter_context(JournalReader(p)) for p in self._paths]
            with self.write() as database:
                with suppress(sqlite3.OperationalError):  # a build of SQLite without FTS5
                    database.execute(
                        "CREATE VIRTUAL TABLE IF NOT EXISTS words"
                        " USING fts5(text, tokenize = 'trigram')"
                    )
                database.execute("CREATE TABLE IF NOT EXISTS words (text TEXT)")
            with self._reported():
                self._database.execute("PRAGMA journal_mode = WAL")  # what is lost is made again
                self._database.execute("PRAGMA synchronous = NORMAL")
                self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
            if not self._continues():
                self._clear()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the files."""
        self._opened.close()
        super().close()

    def secret(self, make: Callable[[], str]) -> str:
        """Return the secret that signs sessions; one that is made is kept."""
        with self.write() as database:
            database.execute("INSERT OR IGNORE INTO setting VALUES ('secret', ?)", (make(),))
            ((secret,),) = database.execute("SELECT value FROM setting WHERE name = 'secret'")
        return str(secret)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Yield the database inside a transaction, under the lock."""
        with self.lock, self._reported(), self._database:
            yield self._database

    def read(
        self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Return what a statement selects."""
        with self.lock, self._reported():
            return self._database.execute(statement, values).fetchall()

    def row_of(self, image: int) -> Row | None:
        """Return the row of an image; None where the index has no such image."""
        found = self.read("SELECT journal, offset FROM image WHERE number = ?", (image,))
        return self._row_at(*found[0]) if found else None

    def rows_of(self, key: bytes) -> list[tuple[int, Row]]:
        """Return the images of a listing, each with its number and row."""
        with self.lock:
            found = self.read(
                "SELECT number, journal, offset FROM image WHERE listing = ? ORDER BY source",
                (key,),
            )
            return [(number, self._row_at(journal, offset)) for number, journal, offset in found]

    def _row_at(self, journal: int, offset: int) -> Row:
        with self.lock:
            return self._readers[journal].row_at(offset)

    # --- bringing it up to date -------------------------------------------------------------------

    def _continues(self) -> bool:
        """Whether what was read of the journals is still where it was."""
        known = self.read("SELECT path, size, last, digest FROM journal ORDER BY number")
        if [path for path, *_ in known] != [*map(str, self._paths)]:
            return False
        for _, size, last, digest in known:
            path = Path(_)
            with path.open("rb") as file:
                file.seek(last)
                if digest and digest_of(file.read(size - last)) != digest:
                    return False
        return True

    def _clear(self) -> None:
        with self.write() as database:
            for table in _DERIVED:
                database.execute(f"DELETE FROM {table}")
            database.executemany(
                "INSERT INTO journal VALUES (?, ?, 0, 0, '')",
                ((number, str(path)) for number, path in enumerate(self._paths)),
            )

    def has_grown(self) -> bool:
        """Whether a journal or the outcomes have something new."""
        sizes = self.read("SELECT path, size FROM journal")
        ((heard,),) = self.read("SELECT coalesce(max(number), 0) FROM said")
        return len(self.outcomes) > heard or any(
            Path(path).stat().st_size > size for path, size in sizes
        )

    def update(self, report: Progress = lambda *_: None) -> None:
        """Read what is new in the journals and the outcomes."""
        with self._updating:
            for number, path in enumerate(self._paths):
                self._read_rows(number, path, report)
            if self._write_listings(report):
                self._group_copies(report)
            self.read_outcomes()

    def _read_rows(self, number: int, path: Path, report: Progress) -> None:
        ((size,),) = self.read("SELECT size FROM journal WHERE number = ?", (number,))
        total = path.stat().st_size
        with JournalReader(path) as reader, path.open("rb") as file:
            for batch in _batches(reader.rows_from(size), _ROWS_AT_A_TIME):
                begin, end, _ = batch[-1]
                file.seek(begin)
                digest = digest_of(file.read(end - begin))
                with self.write() as database:
                    for offset, _, row in batch:
                        _put_row(database, number, offset, row)
                    database.execute(
                        "UPDATE journal SET size = ?, last = ?, digest = ? WHERE number = ?",
                        (end, begin, digest, number),
                    )
                report(f"Reading {path.name}", end, max(total, end))

    def _write_listings(self, report: Progress) -> bool:
        """Write the listings whose images have changed, and return whether there were any."""
        ((left,),) = self.read("SELECT count(*) FROM touched")
        done = 0
        while done < left:
            with self.write() as database:
                keys = database.execute(
                    "SELECT key FROM touched LIMIT ?", (_LISTINGS_AT_A_TIME,)
                ).fetchall()
                for (key,) in keys:
                    self._write_listing(database, key)
                database.executemany("DELETE FROM touched WHERE key = ?", keys)
            done += len(keys)
            report("Indexing listings", done, left)
        return bool(left)

    def _write_listing(self, database: sqlite3.Connection, key: bytes) -> None:
        is_audit = key.startswith(_AUDIT_KEY)
        images = database.execute(
            "SELECT number, journal, offset, first, is_clear FROM image WHERE listing = ?", (key,)
        ).fetchall()
        if not images or (not is_audit and all(is_clear for *_, is_clear in images)):
            database.execute(
                "DELETE FROM words WHERE rowid = (SELECT number FROM listing WHERE key = ?)", (key,)
            )
            database.execute("DELETE FROM listing WHERE key = ?", (key,))
            return
        rows = {number: self._row_at(journal, at) for number, journal, at, *_ in images}
        name = listing_of(next(iter(rows.values())).item)
        listing = Listing.from_rows(name or "", [*rows.values()])
        best = next((n for n, row in rows.items() if row.source == listing.best), images[0][0])
        ranking = self._rankings.get(listing.model.digest, Ranking())
        age = min(first for *_, first, _ in images)
        rank = ranking.rank(listing, age)
        product = next((lead.name for lead in ranking.sorted(listing.leads)), None)
        if is_audit:  # in an order that says nothing of the scores
            rank = Rank(0, False, 0, int.from_bytes(key[-8:]) / 2**64, age)
        values = (
            *(key, listing_identity(rows[best].source if name is None else name), name is None),
            *(AUDIT if is_audit else QUEUE, *rank, listing.scanned.timestamp()),
            listing.time.timestamp() if listing.time else None,
            *(text and plain(text) for text in (listing.title, listing.seller)),
            *(product, plain(location_of(rows[best].source)), best),
            *(rows[best].sha256, rows[best].phash),
        )
        ((number,),) = database.execute(PUT_LISTING, values).fetchall()
        database.execute("DELETE FROM words WHERE rowid = ?", (number,))
        database.execute(
            "INSERT INTO words (rowid, text) VALUES (?, ?)", (number, words_of(name, rows.values()))
        )
        ((is_said,),) = database.execute("SELECT EXISTS (SELECT 1 FROM said)")
        if is_said:
            self._settle(database, number)

    def _group_copies(self, report: Progress) -> None:
        """Find the listings whose strongest images are near-copies, and fold them."""
        report("Comparing images", 0, 1)
        found = self.read(
            "SELECT number, phash, sha256, copies FROM listing WHERE section = 'queue'"
            " ORDER BY number"
        )
        first = near_copies([f[1] for f in found], [f[2] for f in found]).tolist()
        sizes = Counter(first)
        groups = [found[at][0] if sizes[at] > 1 else None for at in first]
        changed = [
            (group, number, before)
            for (number, _, _, before), group in zip(found, groups, strict=True)
            if group != before
        ]
        for batch in _batches(changed, _ROWS_AT_A_TIME):
            with self.write() as database:
                database.executemany(
                    "UPDATE listing SET copies = ?, folded = 0 WHERE number = ?",
                    (change[:2] for change in batch),
                )
        for batch in _batches({*groups, *(change[2] for change in changed)} - {None}, 100):
            with self.write() as database:
                for group in batch:
                    _fold(database, group)
        report("Comparing images", 1, 1)

    # --- outcomes ---------------------------------------------------------------------------------

    def read_outcomes(self) -> None:
        """Take over what was added to the outcomes, by this program or another."""
        with self.write() as database:
            ((last,),) = database.execute("SELECT coalesce(max(number), 0) FROM said").fetchall()
            affected: dict[int, None] = {}
            for number, outcome in self.outcomes.since(last):
                _hear(database, number, outcome)
                about = {"listing": outcome.listing, "sha256": outcome.sha256}
                if outcome.occasion is Occasion.AUDIT:
                    about["listing"] = ""  # it is about the image alone
                affected |= dict.fromkeys(n for (n,) in database.execute(AFFECTED, about))
            for listing in affected:
                self._settle(database, listing)

    def _settle(self, database: sqlite3.Connection, number: int) -> None:
        """Write what was said last of a listing into it."""
        key, name, section, copies = database.execute(
            "SELECT key, name, section, copies FROM listing WHERE number = ?", (number,)
        ).fetchone()
        about = {"key": key, "name": name}
        found = database.execute(LAST_SAID[section], about).fetchone()
        if section == QUEUE and found is not None and found[0] != Judgement.CONFIRMED:
            ((is_new,),) = database.execute(UNSEEN, {**about, "time": found[2]})
            found = None if is_new else found
        database.execute(
            "UPDATE listing SET state = ?, judge = ?, judged = ?, folded = 0 WHERE number = ?",
            (*(found or ("open", None, None)), number),
        )
        if copies is not None:
            _fold(database, copies)


def _put_row(database: sqlite3.Connection, journal: int, offset: int, row: Row) -> None:
    listing = listing_of(row.item)
    source = to_key(row.source)
    key = source if listing is None else to_key(listing)
    # A listing that had no image in an earlier scan may have one now, and the other way round.
    source = b"" if row.reason is Reason.NO_IMAGE and listing is not None else source
    is_clear = row.decision is Decision.CLEAR
    values = (
        *(source, journal, offset, row.time.timestamp(), row.sha256),
        *(row.is_image_lead, is_clear),
    )
    touched = [key]
    if listing is None and is_clear:  # most images of a scan: they are nobody's work
        database.execute("DELETE FROM image WHERE listing = ? AND source = ?", (key, source))
    else:
        database.execute(PUT_IMAGE, (key, *values))
    audit_key = _AUDIT_KEY + bytes.fromhex(row.sha256 or "")
    if is_clear and getattr(row, "audit", None) is not None:
        database.execute("DELETE FROM image WHERE listing = ?", (audit_key,))
        database.execute(PUT_IMAGE, (audit_key, *values))
        touched.append(audit_key)
    elif database.execute("DELETE FROM image WHERE listing = ?", (audit_key,)).rowcount:
        touched.append(audit_key)
    database.executemany("INSERT OR IGNORE INTO touched VALUES (?)", ((key,) for key in touched))


def _hear(database: sqlite3.Connection, number: int, outcome: Outcome) -> None:
    database.execute(
        "INSERT OR IGNORE INTO said VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(number, outcome.id, outcome.listing, outcome.sha256, outcome.time.timestamp()),
            *(outcome.reviewer, outcome.judgement, outcome.occasion, outcome.label, outcome.note),
            outcome.withdraws,
        ),
    )


def _fold(database: sqlite3.Connection, copies: int) -> None:
    """Of near-copies that are open, leave the first one in the queue."""
    database.execute(
        "UPDATE listing SET folded = number != (SELECT number FROM listing WHERE copies = ?1"
        " AND state = 'open' ORDER BY place, unproven, by_reports, by_score, first, key LIMIT 1)"
        " WHERE copies = ?1 AND state = 'open'",
        (copies,),
    )


def _batches(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    source = iter(values)
    while batch := list(itertools.islice(source, size)):
        yield batch
