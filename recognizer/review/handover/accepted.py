"""What a console has accepted, in a file beside the journal: nothing is submitted twice."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from recognizer._sqlite import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A listing that a console has accepted.

    Attributes:
        item: its ID there.
        content: digest of what was submitted.
        listing: the identity of the listing; None for an image that belongs to none.
        images: sha256 of the images that were leads.
        answer: the ID that the console has given, if it gives one.
    """

    item: str
    content: str
    listing: str | None
    images: Sequence[str]
    answer: str | None = None


def accepted_path(journal: str | os.PathLike[str]) -> Path:
    """Return where it is remembered what a console has accepted of a journal."""
    path = Path(journal)
    return path.with_name(f"{path.name}.handover")


class AcceptedStore(Store):
    """Which listings of a journal a console has accepted, and what of each.

    Args:
        path: its file (:func:`accepted_path`).
        create: make it where there is none, and open it for additions.

    Raises:
        ScanFileError: it cannot be used; as from the methods.
    """

    APPLICATION_ID = 0x574C484F
    KIND = "record of a handover"
    ADVICE = "move it away, and every lead is submitted again"
    TABLES = """
        CREATE TABLE IF NOT EXISTS accepted (
          number INTEGER PRIMARY KEY AUTOINCREMENT, console TEXT NOT NULL, item TEXT NOT NULL,
          content TEXT NOT NULL, listing TEXT, images TEXT NOT NULL, answer TEXT, time TEXT NOT NULL
        );
        CREATE UNIQUE INDEX IF NOT EXISTS accepted_item ON accepted (console, item, content);
        CREATE INDEX IF NOT EXISTS accepted_of_item ON accepted (item)
    """

    def has(self, console: str, item: str, content: str) -> bool:
        """Whether a console has accepted exactly this of an item."""
        with self._reported():
            found = self._database.execute(
                "SELECT 1 FROM accepted WHERE console = ? AND item = ? AND content = ?",
                (console, item, content),
            ).fetchone()
        return found is not None

    def add(self, console: str, accepted: Iterable[Accepted]) -> None:
        """Remember what was accepted; it is on the disk when this returns."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._reported(), self._database:
            self._database.executemany(
                "INSERT OR IGNORE INTO accepted"
                " (console, item, content, listing, images, answer, time)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        *(console, one.item, one.content, one.listing),
                        *(json.dumps([*one.images]), one.answer, now),
                    )
                    for one in accepted
                ),
            )

    def find(self, item: str) -> Accepted | None:
        """Return what was last accepted of an item; None for an item that is not of this scan."""
        with self._reported():
            found = self._database.execute(
                "SELECT item, content, listing, images, answer FROM accepted WHERE item = ?"
                " ORDER BY number DESC LIMIT 1",
                (item,),
            ).fetchone()
        if found is None:
            return None
        own, content, listing, images, answer = found
        return Accepted(
            item=own, content=content, listing=listing, images=json.loads(images), answer=answer
        )
