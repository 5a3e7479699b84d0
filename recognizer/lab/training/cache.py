"""A cache of decoded photos, as they are served, and of the features of frozen networks."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognizer._files import make_folder
from recognizer._sqlite import FileKind, SqliteFile
from recognizer.errors import TrainingError
from recognizer.imaging import PREPROCESSING_VERSION, model_input
from recognizer.lab.dataset.manifest import Photo, read_photo

RGB = NDArray[np.uint8]

_TABLES = """
CREATE TABLE photo (sha256 TEXT PRIMARY KEY, height INTEGER, width INTEGER, rgb BLOB);
CREATE TABLE feature (maker TEXT, sha256 TEXT, vector BLOB, PRIMARY KEY (maker, sha256))
"""
_PAGE_BYTES = 65536  # a photo takes some hundred kilobytes
_TOGETHER = 64  # photos in a transaction


class PhotoCache(SqliteFile):
    """A file of decoded photos, made if it is missing.

    Photos are reduced towards ``size``, the side of the model's input, as far as a JPEG allows.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.size = size
        self.kind = FileKind(
            application_id=0,
            version=PREPROCESSING_VERSION * 10_000 + size,
            schema=lambda: _TABLES,
            error=TrainingError,
            advice="delete it",
        )
        make_folder(path.parent)
        super().__init__(path, create=True)

    def _check(self, *, create: bool) -> None:
        _, version, tables = self._identity()
        if tables and version != self.kind.version:
            words = f"an input of {version % 10_000} pixels, preprocessing {version // 10_000}"
            raise TrainingError(f"{self.path} holds photos for {words}; delete it")
        super()._check(create=create)

    def _prepare(self) -> None:
        self._database.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        self._use_log()

    def fill(
        self,
        photos: Sequence[Photo],
        on_progress: Callable[[int, int], None] = lambda done, of: None,
    ) -> None:
        """Decode the photos that are not there, or raise a DatasetError that names one."""
        known = {name for (name,) in self.select("SELECT sha256 FROM photo")}
        missing = list({p.sha256: p for p in photos if p.sha256 not in known}.values())
        # OpenCV works outside the interpreter's lock.
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for first in range(0, len(missing), _TOGETHER):
                some = missing[first : first + _TOGETHER]
                decoded = zip(some, pool.map(lambda p: read_photo(p, self.size), some), strict=True)
                rows = [(p.sha256, *rgb.shape[:2], rgb.tobytes()) for p, rgb in decoded]
                self._insert("INSERT OR REPLACE INTO photo VALUES (?, ?, ?, ?)", rows)
                on_progress(first + len(rows), len(missing))

    def rgb(self, sha256: str) -> RGB:
        """Return a photo, uint8, (height, width, 3); not to be written to."""
        query = "SELECT height, width, rgb FROM photo WHERE sha256 = ?"
        ((height, width, pixels),) = self.select(query, (sha256,))  # in any thread
        return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)

    def squares(self, photos: Iterable[Photo]) -> RGB:
        """Return inputs of a model for photos as they are served, uint8, (N, size, size, 3)."""
        return np.stack([model_input(self.rgb(p.sha256), self.size) for p in photos])

    def features(self, maker: str) -> dict[str, NDArray[np.float32]]:
        """Return the features of a network, by its digest: sha256 -> float32, (channels,)."""
        query = "SELECT sha256, vector FROM feature WHERE maker = ?"
        rows = self.select(query, (maker,))
        return {sha256: np.frombuffer(vector, "<f4") for sha256, vector in rows}

    def add_features(
        self, maker: str, photos: Iterable[Photo], vectors: NDArray[np.float32]
    ) -> None:
        """Store the features of photos, float32, (N, channels), in one step."""
        pairs = zip(photos, vectors.astype("<f4"), strict=True)
        rows = [(maker, photo.sha256, vector.tobytes()) for photo, vector in pairs]
        self._insert("INSERT OR REPLACE INTO feature VALUES (?, ?, ?)", rows)

    def _insert(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with self.transaction() as database:
            database.executemany(statement, rows)
