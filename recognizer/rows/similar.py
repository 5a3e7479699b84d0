"""Similar images: those of a scan whose embeddings are near that of a photo.

A scan keeps embeddings in 8 bits for each channel: a quarter of the size, with nearly the same
cosines.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import ScanFileError
from recognizer.known import COPY_DISTANCE
from recognizer.known.hashes import to_bytes
from recognizer.model.numerics import unit_norm
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile

_MAX_CHANNEL = 127  # the largest channel is scaled to it
_BLOCK = 4096  # embeddings that are compared at a time


def quantize(vector: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return an embedding in 8 bits for each channel; its length is lost, its direction stays."""
    largest = float(np.abs(vector).max(initial=0))
    if not largest:
        return np.zeros(vector.shape, np.int8)
    return np.asarray(np.rint(vector * (_MAX_CHANNEL / largest)), np.int8)


def similar_images(
    file: ScanFile, vector: NDArray[np.float32], model: str, top: int
) -> list[tuple[float, Row]]:
    """Return the ``top`` cosines of embeddings of a scan with a photo's, each with its row.

    Embeddings of another model than that with this digest cannot be compared; where the scan has
    none of it, a ScanFileError says what to do.
    """
    return [
        (cosine, row)
        for cosine, image in _nearest(file, vector, model, top)
        for row in file.rows("image.id = ?", (image,))
    ]


def nearest_images(file: ScanFile, image: int, top: int) -> list[int]:
    """Return the numbers of the images that are most like one of the scan, the nearest first.

    By their embeddings if the scan has kept them; else these are its near-copies.
    """
    ((phash, vector, model),) = file.select(
        "SELECT phash, vector, digest FROM image JOIN model ON model.id = model"
        " LEFT JOIN embedding ON embedding.image = image.id WHERE image.id = ?",
        (image,),
    )
    if vector is not None:
        own = np.frombuffer(vector, np.int8).astype(np.float32)
        nearest = _nearest(file, own, model, top + 1)
    else:
        nearest = [] if phash is None else _near_copies(file, phash, top + 1)
    return [other for _, other in nearest if other != image][:top]


def _nearest(
    file: ScanFile, vector: NDArray[np.float32], model: str, top: int
) -> list[tuple[float, int]]:
    direction = unit_norm(vector[None].astype(np.float32))[0]

    def cosines(vectors: list[bytes]) -> NDArray[np.float32]:
        stored = np.frombuffer(b"".join(vectors), np.int8).reshape(len(vectors), direction.size)
        return np.asarray(unit_norm(stored.astype(np.float32)) @ direction)

    statement = (
        "SELECT image.id, vector FROM embedding JOIN image ON image.id = embedding.image"
        " JOIN model ON model.id = image.model WHERE model.digest = ?"
    )
    nearest = _highest(file, statement, (model,), cosines, top)
    if not nearest:
        raise ScanFileError(f"{file.path} has no embeddings of this model: scan with --embeddings")
    return nearest


def _near_copies(file: ScanFile, phash: str, top: int) -> list[tuple[float, int]]:
    def likeness(hashes: list[str]) -> NDArray[np.int64]:
        bits = to_bytes(hashes) ^ to_bytes([phash])
        return np.asarray(-np.bitwise_count(bits).sum(axis=1, dtype=np.int64))

    statement = "SELECT image.id, phash FROM image WHERE phash IS NOT NULL"
    nearest = _highest(file, statement, (), likeness, top)
    return [(score, image) for score, image in nearest if -score <= COPY_DISTANCE]


def _highest(
    file: ScanFile,
    statement: str,
    values: tuple[object, ...],
    score: Callable[[list[Any]], NDArray[Any]],
    top: int,
) -> list[tuple[float, int]]:
    """Return the ``top`` scores with the numbers of their images, a block of them at a time."""
    highest: list[tuple[float, int]] = []
    last = 0
    while block := file.select(
        f"{statement} AND image.id > ? ORDER BY image.id LIMIT {_BLOCK}", (*values, last)
    ):
        last = block[-1][0]
        try:
            scores = score([value for _, value in block]).tolist()
        except ValueError as error:  # a hash or an embedding of another length
            raise file.damaged(error) from error
        found = ((one, -image) for one, (image, _) in zip(scores, block, strict=True))
        highest = heapq.nlargest(top, [*highest, *found])
    return [(one, -image) for one, image in highest]
