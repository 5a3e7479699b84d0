"""Check that a manifest is true and that its splits are apart.

A test photo with a copy in training measures memory. Copies are found by their perceptual hashes,
in any orientation, and confirmed by a bundle's features, since different but simple pictures can
have similar hashes. Crops and other views of one object have other hashes and are not found.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer.dataset.manifest import (
    MANIFEST,
    Photo,
    folder_taxonomy,
    load_photos,
    read_file,
    read_manifest,
)
from recognizer.dataset.outputs import run_photos
from recognizer.engine import Recognizer
from recognizer.errors import DatasetError
from recognizer.imaging import MIN_HASH_SIDE, load_image, perceptual_hash
from recognizer.known import near_pairs
from recognizer.known.hashes import to_bytes
from recognizer.model.numerics import unit_norm

SAME_PICTURE = 0.8
"""Cosine similarity of features from which two pictures with near hashes are the same one.

With the features of wildlife-v2 (and v1) almost all recompressed, slightly cropped, halved or
mirrored copies are above it, and almost all random pairs of photos below.
"""


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """A photo that is in two splits.

    ``distance`` is in bits of the perceptual hashes, in the orientation that brings them nearest;
    ``similarity`` is the cosine of the features, -1 to 1.
    """

    one: Photo
    other: Photo
    distance: int
    similarity: float

    def __str__(self) -> str:
        return (
            f"{self.one.split} {self.one.path} and {self.other.split} {self.other.path}: "
            f"{self.distance} bits apart, similarity {self.similarity:.2f}"
        )


@dataclass(frozen=True, slots=True)
class DataCheck:
    """The result of a check.

    ``photos`` are those of all rows that could be read; ``duplicates`` the near-duplicates across
    splits, the nearest first, and ``unconfirmed`` the number of pairs with near hashes whose
    features differ.
    """

    photos: tuple[Photo, ...]
    problems: tuple[str, ...]
    duplicates: tuple[NearDuplicate, ...]
    unconfirmed: int


def check_data(
    folders: Sequence[Path],
    recognizer: Recognizer,
    on_progress: Callable[[str, int, int], None] = lambda stage, done, of: None,
) -> DataCheck:
    """Check each data folder, and all of them together; a DatasetError if one has no photos."""
    photos: list[Photo] = []
    problems: list[str] = []
    taxonomy = recognizer.bundle.taxonomy
    for folder in folders:
        taxonomy = folder_taxonomy(folder, taxonomy)
    for folder in folders:
        if not (folder / MANIFEST).is_file():
            photos += load_photos(folder, taxonomy)
            continue
        for row in read_manifest(folder, taxonomy):
            if isinstance(row, str):
                problems.append(row)
            else:
                photos.append(row)
    problems += _contradictions(photos)
    hashes: list[str | None] = []
    with ThreadPoolExecutor(2) as pool:
        for phash, wrong in pool.map(_look_at, photos):
            hashes.append(phash)
            problems += [wrong] if wrong else []
            on_progress("hashes", len(hashes), len(photos))
    compared = [photo for photo, phash in zip(photos, hashes, strict=True) if phash is not None]
    if not compared:
        return DataCheck(tuple(photos), tuple(problems), (), 0)
    report = partial(on_progress, "features")
    features = unit_norm(run_photos(recognizer, compared, report)[1])
    known = to_bytes([phash for phash in hashes if phash is not None])
    duplicates, unconfirmed = _duplicates(compared, known, features)
    return DataCheck(tuple(photos), tuple(problems), tuple(duplicates), unconfirmed)


def _contradictions(photos: Sequence[Photo]) -> Iterator[str]:
    rows: defaultdict[str, list[Photo]] = defaultdict(list)
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for photo in photos:
        rows[photo.sha256].append(photo)
        splits[photo.source].add(photo.split)
    for found in rows.values():
        if len(found) > 1:
            as_what = "; ".join(sorted({f"{p.label}, {p.split}" for p in found}))
            yield f"{found[0].path} is listed {len(found)} times ({as_what})"
    for source, where in splits.items():
        if "test" in where and len(where) > 1:
            seen = ", ".join(sorted(where - {"test"}))
            yield f"the source {source} is in test and in {seen}; keep a source in one of them"


def _look_at(photo: Photo) -> tuple[str | None, str | None]:
    """Return a photo's perceptual hash, and what is wrong with the file."""
    try:
        content = read_file(photo.path)
    except DatasetError as error:
        return None, str(error)
    if hashlib.sha256(content).hexdigest() != photo.sha256:
        return None, f"{photo.path}: its sha256 is not that of the manifest"
    image = load_image(content, min_side=MIN_HASH_SIDE)
    if not image.frames:
        return None, f"{photo.path}: {image.reason}: {image.detail}"
    return perceptual_hash(image.frames[0].rgb), None


def _duplicates(
    photos: Sequence[Photo], hashes: NDArray[np.uint8], features: NDArray[np.float32]
) -> tuple[list[NearDuplicate], int]:
    """Return the near-duplicates across splits, and how many pairs only have near hashes."""
    distances: dict[tuple[int, int], int] = {}
    for left, right, apart in near_pairs(hashes, match_orientations=True):
        for a, b, bits in zip(left.tolist(), right.tolist(), apart.tolist(), strict=True):
            if photos[a].split != photos[b].split:
                distances[a, b] = min(bits, distances.get((a, b), bits))
    found = [
        NearDuplicate(photos[a], photos[b], distance, float(features[a] @ features[b]))
        for (a, b), distance in distances.items()
    ]
    confirmed = [pair for pair in found if pair.similarity >= SAME_PICTURE]
    confirmed.sort(key=lambda pair: (pair.distance, -pair.similarity))
    return confirmed, len(found) - len(confirmed)
