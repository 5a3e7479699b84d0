"""Thumbnails: how they are made, and the store in which a scan keeps those of its leads.

A worker makes the thumbnail of a lead from the pixels that it has decoded anyway: the review queue
then shows what was scored, even if the file is gone. It is written before its row.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer._sqlite import Store

THUMBNAIL_SIDE = 256
"""The longer side of a lead's thumbnail at most, in pixels; the review page draws it 240 wide."""

MAX_THUMBNAIL_BYTES = 256 << 10
"""Larger ones are none of ours, and not shown: noise of this side takes 60 KB."""

_JPEG_QUALITY = 80


@dataclass(frozen=True, slots=True)
class StoredThumbnail:
    """A small JPEG of a frame, numbered from 0 in its file; sizes are in pixels."""

    jpeg: bytes
    width: int
    height: int
    frame: int


def shrink(rgb: NDArray[np.uint8], side: int, frame: int) -> StoredThumbnail:
    """Make a thumbnail, at most ``side`` pixels long, of RGB, uint8 (height, width, 3)."""
    height, width = rgb.shape[:2]
    scale = side / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    return StoredThumbnail(jpeg.tobytes(), rgb.shape[1], rgb.shape[0], frame)


def thumbnails_path(journal: str | os.PathLike[str]) -> Path:
    """Return where the thumbnails of a journal are kept: beside it, under its name."""
    return Path(f"{os.fspath(journal)}.thumbnails")


class ThumbnailStore(Store):
    """The thumbnails of a journal, by digest; made again where it was deleted while in use."""

    APPLICATION_ID = 0x574C5448
    KIND = "store of thumbnails"
    TABLES = (
        "CREATE TABLE IF NOT EXISTS thumbnails"
        " (sha256 TEXT PRIMARY KEY, jpeg BLOB, width INTEGER, height INTEGER, frame INTEGER)"
    )
    ADVICE = (
        "make room or remove this file (it holds only thumbnails; the rows are safe), and give "
        "the same command again"
    )

    def add(self, thumbnails: Iterable[tuple[str, StoredThumbnail]]) -> None:
        """Keep thumbnails, each with the sha256 of its file, all or none of them."""
        rows = [(sha256, t.jpeg, t.width, t.height, t.frame) for sha256, t in thumbnails]
        self._write("INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?, ?, ?)", rows)

    def get(self, sha256: str | None) -> StoredThumbnail | None:
        """Return the thumbnail of a file with this digest; None where none can be shown."""
        with self._reported():
            row = self._database.execute(
                "SELECT jpeg, width, height, frame FROM thumbnails WHERE sha256 = ?"
                " AND typeof(jpeg) = 'blob' AND length(jpeg) <= ?",
                (sha256, MAX_THUMBNAIL_BYTES),
            ).fetchone()
        return None if row is None else StoredThumbnail(*row)
