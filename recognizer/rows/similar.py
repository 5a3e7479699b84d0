"""Images that are alike: near-copies by their hash or equal bytes, others by their embeddings."""

import heapq
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import ScanFileError
from recognizer.known.index import COPY_DISTANCE, near_copies, to_bytes
from recognizer.model.numerics import unit_norm
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile

_MAX_CHANNEL = 127  # the largest channel is scaled to it


def group_copies(file: ScanFile) -> None:
    """Fold the entries of the queue whose best images are near-copies, if that is out of date.

    In a file that is open for reading only, this connection alone has them folded.
    """
    if not file.is_writable:
        file.execute("DROP TABLE IF EXISTS temp.entry")
    if file.setting("grouped") == "1":
        return
    update = "UPDATE entry SET copies = ? WHERE unit = ? AND best = ?"
    if file.is_writable:  # others may write while the hashes are compared
        mark = os.urandom(8).hex()
        file.set_setting("grouped", mark)
        changes = _changed_groups(file)
        with file.transaction() as database:
            database.executemany(update, changes)
            database.execute(
                "UPDATE setting SET value = '1' WHERE name = 'grouped' AND value = ?", (mark,)
            )
    else:
        file.execute("CREATE TEMP TABLE entry AS SELECT * FROM main.entry")
        file.execute("CREATE INDEX temp.entry_unit ON entry (unit)")
        for change in _changed_groups(file):
            file.execute(update, change)
        file.execute("CREATE INDEX temp.entry_copies ON entry (copies)")


def _changed_groups(file: ScanFile) -> list[tuple[int | None, int, int]]:
    """Return the group, unit and best image of entries whose group has changed."""
    entries = file.select(
        "SELECT entry.unit, best, entry.copies, phash, iif(status = 'failed', NULL, sha256)"
        " FROM entry JOIN image ON image.id = best WHERE section = 'queue' ORDER BY best"
    )
    first = near_copies([e[3] for e in entries], [e[4] for e in entries]).tolist()
    groups = {at for position, at in enumerate(first) if at != position}
    return [
        (group, unit, best)
        for (unit, best, before, *_), at in zip(entries, first, strict=True)
        if (group := entries[at][0] if at in groups else None) != before
    ]


def find_copies(file: ScanFile) -> Iterator[list[Row]]:
    """Yield the rows of each group of near-copies, or of equal bytes, among a scan's images."""
    images = file.select(
        "SELECT id, phash, sha256 FROM image WHERE coalesce(phash, sha256) IS NOT NULL"
        " AND status != 'failed' ORDER BY id"  # equal error pages are no images
    )
    first = near_copies([i[1] for i in images], [i[2] for i in images]).tolist()
    groups: dict[int, list[int]] = {}
    for (image, *_), at in zip(images, first, strict=True):
        groups.setdefault(at, []).append(image)
    for members in groups.values():
        if len(members) > 1:
            some = json.dumps(members)
            yield [*file.rows("image.id IN (SELECT value FROM json_each(?))", (some,))]


# --- embeddings -----------------------------------------------------------------------------------


def quantize(vector: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return an embedding in 8 bits a channel: its length is lost, cosines are nearly the same."""
    largest = float(np.abs(vector).max(initial=0))
    return np.asarray(np.rint(vector * (_MAX_CHANNEL / (largest or 1))), np.int8)


def similar_images(
    file: ScanFile, vector: NDArray[np.float32], model: str, top: int
) -> list[tuple[float, Row]]:
    """Return the ``top`` cosines of embeddings of a scan with a photo's, each with its row.

    If the scan has no embeddings of the model with this digest, that is a ScanFileError.
    """
    nearest = _nearest(file, vector, model, top)
    return [(cosine, next(file.rows("image.id = ?", (image,)))) for cosine, image in nearest]


def nearest_images(file: ScanFile, image: int, top: int) -> list[int]:
    """Return the images most like one, the nearest first, by embeddings, else by near-copies."""
    ((phash, vector, model),) = file.select(
        "SELECT phash, vector, digest FROM image JOIN model ON model.id = model"
        " LEFT JOIN embedding ON embedding.image = image.id WHERE image.id = ?",
        (image,),
    )
    if vector is not None:
        nearest = _nearest(file, np.frombuffer(vector, np.int8).astype("f4"), model, top + 1)
    else:
        nearest = [] if phash is None else _near_copies(file, phash, top + 1)
    return [other for _, other in nearest if other != image][:top]


def _nearest(
    file: ScanFile, vector: NDArray[np.float32], model: str, top: int
) -> list[tuple[float, int]]:
    direction = unit_norm(vector[None].astype(np.float32))[0]

    def cosines(vectors: Sequence[bytes]) -> NDArray[np.float32]:
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
    def likeness(hashes: Sequence[str]) -> NDArray[np.int64]:
        bits = to_bytes(hashes) ^ to_bytes([phash])
        return np.asarray(-np.bitwise_count(bits).sum(axis=1, dtype=np.int64))

    statement = "SELECT id, phash FROM image WHERE phash IS NOT NULL"
    nearest = _highest(file, statement, (), likeness, top)
    return [(score, image) for score, image in nearest if -score <= COPY_DISTANCE]


def _highest(
    file: ScanFile,
    statement: str,
    values: tuple[object, ...],
    score: Callable[[Sequence[Any]], NDArray[Any]],
    top: int,
) -> list[tuple[float, int]]:
    """Return the ``top`` scores with the numbers of their images; of equal ones the first image."""
    highest: list[tuple[float, int]] = []
    for block in file.blocks(statement, values):
        images, texts = zip(*block, strict=True)
        try:
            scored = zip(score(texts).tolist(), images, strict=True)
        except ValueError as error:  # a hash or an embedding of another length
            raise file.damaged(error) from error
        highest = heapq.nsmallest(top, [*highest, *scored], lambda one: (-one[0], one[1]))
    return highest
