"""Similar images: those of a scan whose embeddings are near that of a photo.

A scan keeps embeddings in 8 bits for each channel: a quarter of the size, with nearly the same
cosines.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import ScanFileError, UsageError
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarImage:
    """An image of a scan, and the cosine of its embedding with a photo's."""

    cosine: float
    row: Row


def similar_images(
    file: ScanFile, vector: NDArray[np.float32], model: str, top: int
) -> list[SimilarImage]:
    """Return the ``top`` images of a scan by the cosine of their embeddings with a photo's.

    Embeddings of another model than that with this digest cannot be compared; where the scan has
    none of it, a ScanFileError says what to do.
    """
    if top < 1:
        raise UsageError(f"top = {top}: give at least 1")
    return [
        SimilarImage(cosine=cosine, row=row)
        for cosine, image in _nearest(file, vector, model, top)
        if (row := file.row(image)) is not None
    ]


def nearest_images(file: ScanFile, image: int, top: int) -> list[int]:
    """Return the numbers of the images that are most like one of the scan, the nearest first.

    By their embeddings if the scan has kept them; else these are its near-copies.
    """
    own = file.select(
        "SELECT vector, digest FROM embedding JOIN image ON image.id = embedding.image"
        " JOIN model ON model.id = model WHERE image.id = ?",
        (image,),
    )
    if own:
        vector = np.frombuffer(own[0][0], np.int8).astype(np.float32)
        found = [other for _, other in _nearest(file, vector, own[0][1], top + 1)]
    else:
        hashes = dict(file.select("SELECT id, phash FROM image WHERE phash IS NOT NULL"))
        if image not in hashes:
            return []
        bits = to_bytes([hashes[image]]) ^ to_bytes([*hashes.values()])
        apart = np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
        order = np.argsort(apart, kind="stable")[: top + 1]
        numbers = [*hashes]
        found = [numbers[at] for at in order.tolist() if apart[at] <= COPY_DISTANCE]
    return [other for other in found if other != image][:top]


def _nearest(
    file: ScanFile, vector: NDArray[np.float32], model: str, top: int
) -> list[tuple[float, int]]:
    direction = unit_norm(vector[None].astype(np.float32))[0]
    nearest: list[tuple[float, int]] = []
    last, is_empty = 0, True
    while block := file.select(
        "SELECT embedding.image, vector FROM embedding JOIN image ON image.id = embedding.image"
        " JOIN model ON model.id = image.model WHERE model.digest = ? AND embedding.image > ?"
        f" ORDER BY embedding.image LIMIT {_BLOCK}",
        (model, last),
    ):
        last, is_empty = block[-1][0], False
        stored = np.frombuffer(b"".join(vector for _, vector in block), np.int8)
        if stored.size != len(block) * direction.size:
            raise file.damaged(ValueError("an embedding of another length"))
        cosines = unit_norm(stored.reshape(len(block), -1).astype(np.float32)) @ direction
        found = (
            (cosine, -image) for (image, _), cosine in zip(block, cosines.tolist(), strict=True)
        )
        nearest = heapq.nlargest(top, [*nearest, *found])
    if is_empty:
        raise ScanFileError(f"{file.path} has no embeddings of this model: scan with --embeddings")
    return [(cosine, -image) for cosine, image in nearest]
