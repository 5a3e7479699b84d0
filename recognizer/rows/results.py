"""What a scan hands over, and where it is kept: the rows with all that belongs to them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recognizer._closing import Closes
from recognizer.rows.embeddings import EmbeddingStore
from recognizer.rows.files import FileState, FileStore, files_path
from recognizer.rows.journal import Journal
from recognizer.rows.row import Row
from recognizer.rows.thumbnails import StoredThumbnail, ThumbnailStore, thumbnails_path
from recognizer.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of an item.

    Attributes:
        index: number of the item in this scan, from 0.
        key: of the item, in this scan and in later ones.
        row: its new row; None if the last one still holds.
        thumbnail: of a lead.
        embedding: int8, (channels,).
        file: the state of the file that was read, and the sha256 of its bytes.
    """

    index: int
    key: int
    row: Row | None = None
    thumbnail: StoredThumbnail | None = None
    embedding: NDArray[np.int8] | None = None
    file: tuple[FileState, str] | None = None


class Results(Closes):
    """The results of a scan: a journal, and the stores beside it.

    Args:
        path: of the journal.
        thumbnails: whether to keep the thumbnails of leads.
        files: whether to keep the states of files, so that unchanged ones are not read again.
        embeddings: where to keep embeddings; an image without one counts as not scored yet.
        model: digest of the model that makes them.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        thumbnails: bool = True,
        files: bool = True,
        embeddings: str | os.PathLike[str] | None = None,
        model: str = "",
    ) -> None:
        with ExitStack() as opened:
            self.journal = opened.enter_context(Journal(path))
            self.thumbnails = (
                opened.enter_context(ThumbnailStore(thumbnails_path(path), create=True))
                if thumbnails
                else None
            )
            self._files = (
                opened.enter_context(FileStore(files_path(path), create=True)) if files else None
            )
            self.embeddings = (
                None
                if embeddings is None
                else opened.enter_context(EmbeddingStore(embeddings, model))
            )
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Write what waits, and release the files."""
        self._opened.close()

    def known(self, key: int) -> bytes | None:
        """Return the result key of an item's last row; None if it has to be scored."""
        known = self.journal.known(key)
        if known is None or self.embeddings is None:
            return known
        row = self.last_row(key)
        is_complete = row.status is Status.FAILED or row.sha256 in self.embeddings
        return known if is_complete else None

    def last_row(self, key: int) -> Row:
        """Return the last row of an item that has one."""
        return self.journal.last_row(key)

    def sha256(self, key: int, state: FileState) -> str | None:
        """Return the sha256 of an item's file as it was read in this state; None if it was not."""
        return None if self._files is None else self._files.sha256(key, state)

    def append(self, results: Sequence[Result]) -> None:
        """Write results; the rows among them, once this returns, are on the disk."""
        new = [(r.row, r) for r in results if r.row is not None and r.row.sha256 is not None]
        leads = [(row.sha256 or "", r.thumbnail) for row, r in new if r.thumbnail is not None]
        if leads and self.thumbnails is not None:
            self.thumbnails.add(leads)
        vectors = [(row.sha256 or "", r.embedding) for row, r in new if r.embedding is not None]
        if vectors and self.embeddings is not None:
            self.embeddings.add(vectors)
        if rows := [r.row for r in results if r.row is not None]:
            self.journal.append(rows)
        if self._files is not None:
            self._files.add((r.key, *r.file) for r in results if r.file is not None)

    def check(self) -> None:
        """Raise a JournalChangedError if the journal was removed, renamed or changed meanwhile."""
        self.journal.check()
