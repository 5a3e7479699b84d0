"""Embeddings: the model's features of each image of a scan, to find images similar to a photo.

The scan keeps them beside the journal, by the digest of the image's bytes, in 8 bits for each
channel: a quarter of the size, and cosines hardly change. Each is written before its row.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer._sqlite import Store
from recognizer.errors import JournalError, UsageError
from recognizer.model.numerics import unit_norm
from recognizer.rows.journal import last_rows
from recognizer.rows.row import Row

_MAX_CHANNEL = 127  # the largest channel is scaled to it
_BLOCK = 4096  # embeddings that are compared at a time


def embeddings_path(journal: str | os.PathLike[str]) -> Path:
    """Return the default place of a journal's embeddings: beside it, under its name."""
    return Path(f"{os.fspath(journal)}.embeddings")


def quantize(vector: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return an embedding in 8 bits for each channel; its length is lost, its direction stays."""
    largest = float(np.abs(vector).max(initial=0))
    if not largest:
        return np.zeros(vector.shape, np.int8)
    return np.asarray(np.rint(vector * (_MAX_CHANNEL / largest)), np.int8)


class EmbeddingStore(Store):
    """The embeddings of a journal's images, by the model with this digest; None only reads."""

    APPLICATION_ID = 0x574C454D
    KIND = "store of embeddings"
    TABLES = (
        "CREATE TABLE IF NOT EXISTS model (digest TEXT NOT NULL);"
        "CREATE TABLE IF NOT EXISTS embeddings (sha256 BLOB PRIMARY KEY, vector BLOB NOT NULL)"
    )
    ADVICE = "name another file, or make it with scan --embeddings"

    def __init__(self, path: str | os.PathLike[str], model: str | None = None) -> None:
        super().__init__(path, create=model is not None)
        try:
            self.model = self._owner(model)
        except BaseException:
            self.close()
            raise

    def _owner(self, model: str | None) -> str:
        with self._reported(), self._database:
            found = self._database.execute("SELECT digest FROM model").fetchone()
            if found is None:
                self._database.execute("INSERT INTO model VALUES (?)", (model,))
                found = (model,)
        if model not in {None, found[0]}:
            raise JournalError(f"{self.path} holds embeddings of another model: name another file")
        return str(found[0])

    def __contains__(self, sha256: str | None) -> bool:
        return sha256 is not None and self.get(sha256) is not None

    def add(self, embeddings: Iterable[tuple[str, NDArray[np.int8]]]) -> None:
        """Keep embeddings, each with the sha256 of its image, all or none; wait for the disk."""
        rows = [(bytes.fromhex(sha256), vector.tobytes()) for sha256, vector in embeddings]
        with self._reported(), self._database:
            self._database.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?)", rows)

    def get(self, sha256: str) -> NDArray[np.int8] | None:
        """Return the embedding of an image, int8, (channels,); None where there is none."""
        statement = "SELECT vector FROM embeddings WHERE sha256 = ?"
        with self._reported():
            row = self._database.execute(statement, (bytes.fromhex(sha256),)).fetchone()
        return None if row is None else np.frombuffer(row[0], np.int8)

    def cosines(self, vector: NDArray[np.float32]) -> dict[str, float]:
        """Return the cosine of each image's embedding with a float32 (channels,), by digest."""
        direction = unit_norm(vector[None].astype(np.float32))[0]
        found: dict[str, float] = {}
        with self._reported():
            rows = self._database.execute("SELECT sha256, vector FROM embeddings")
            while block := rows.fetchmany(_BLOCK):
                if {len(stored) for _, stored in block} != {len(direction)}:
                    raise JournalError(f"{self.path} is damaged: embeddings differ in length")
                stored = np.frombuffer(b"".join(v for _, v in block), np.int8)
                cosines = unit_norm(stored.reshape(len(block), -1).astype(np.float32)) @ direction
                digests = (sha256.hex() for sha256, _ in block)
                found.update(zip(digests, cosines.tolist(), strict=True))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarImage:
    """An image of a scan, by its last row, and the cosine of its embedding with a photo's."""

    cosine: float
    row: Row


def similar_images(
    vector: NDArray[np.float32],
    journal: str | os.PathLike[str],
    store: EmbeddingStore,
    top: int,
) -> list[SimilarImage]:
    """Return the ``top`` images of a scan by the cosine of their embeddings with a photo's."""
    if top < 1:
        raise UsageError(f"top = {top}: give at least 1")
    cosines = store.cosines(vector)
    found = (
        SimilarImage(cosine=cosines[row.sha256], row=row)
        for row in last_rows(journal)
        if row.sha256 in cosines
    )
    return heapq.nlargest(top, found, key=lambda image: image.cosine)
