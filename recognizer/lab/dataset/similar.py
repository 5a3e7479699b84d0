"""Photos that look alike to the model: near-copies that perceptual hashes miss, such as crops.

Two photos of one object, or of one scene, are as close as a crop and the photo that it is from, so
that what is found has to be looked at.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recognizer._files import replacing
from recognizer.engine import Recognizer
from recognizer.lab.dataset.manifest import Photo, in_chunks, read_photo
from recognizer.lab.templates import picture_uri, render
from recognizer.model.numerics import unit_norm

COPY_COSINE = 0.95
"""Of 10,485 photos of the released models' data, 9 had one of another source as near as this: all
copies or crops. At 0.9 most pairs only look alike."""

MAX_PAIRS = 40  # that are drawn
_SIDE = 240  # pixels, of a photo in the picture
_ROWS_AT_ONCE = 1000  # bounds the memory of the comparison


Pair: TypeAlias = tuple[float, int, int]  # the cosine of two photos, and their numbers


def embed_photos(
    recognizer: Recognizer,
    photos: Sequence[Photo],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> NDArray[np.float32]:
    """Return the embeddings of whole photos, of unit length, float32 (N, channels)."""
    side = recognizer.bundle.input.size

    def embed(some: Sequence[Photo]) -> Sequence[NDArray[np.float32]]:
        return [*recognizer.features([read_photo(photo, side) for photo in some])[1]]

    return unit_norm(np.stack([*in_chunks(embed, photos, on_progress)]))


def nearest_pairs(embeddings: NDArray[np.float32], parts: Sequence[object]) -> list[Pair]:
    """Return for each photo the nearest one of another part, such as a split, closest first.

    ``embeddings``, (N, channels), are of unit length; ``parts`` has N values. A pair is there once.
    """
    _, part = np.unique(np.array([str(one) for one in parts]), return_inverse=True)
    found = dict[tuple[int, int], float]()
    for start in range(0, len(embeddings), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        cosines = embeddings[rows] @ embeddings.T
        cosines[part[rows, None] == part] = -1
        for row, place in enumerate(cosines.argmax(axis=1).tolist(), start):
            if (cosine := float(cosines[row - start, place])) > -1:
                found[min(row, place), max(row, place)] = cosine
    return sorted(((cosine, *pair) for pair, cosine in found.items()), reverse=True)


def write_pairs(path: Path, photos: Sequence[Photo], pairs: Sequence[Pair]) -> None:
    """Write an HTML page of the closest pairs."""
    shown = [
        (cosine, [(photos[i], picture_uri(read_photo(photos[i], _SIDE), _SIDE)) for i in both])
        for cosine, *both in pairs[:MAX_PAIRS]
    ]
    page = render("dataset/similar.html.j2", pairs=shown, count=len(pairs))
    with replacing(path) as partial:
        partial.write_text(page, encoding="utf-8")
