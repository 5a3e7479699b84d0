"""Checks of labelled photos: is the manifest true, and are the splits really apart.

A test photo of which training saw a copy measures memory. Copies are found by their perceptual
hashes, turned and mirrored ones too, and confirmed by a bundle's features, since hashes of quite
different but simple pictures can be near.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import DatasetError
from recognizer.imaging import (
    LEAST_SIDE,
    MATCH_DISTANCE,
    load_image,
    model_input,
    perceptual_hash,
)
from recognizer.known import HashIndex
from recognizer.known.hashes import to_bytes, turned
from recognizer.recognizer import Recognizer
from recognizer.training.data import MANIFEST, Photo, load_photos, read_manifest

SAME_PICTURE = 0.8
"""Cosine similarity of features from which two pictures with near hashes are the same one.

By the features of wildlife-v1 almost all copies that were recompressed, cropped a little, halved or
mirrored are above it, and almost all pairs of photos taken at random below.
"""


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """A photo that is in two splits.

    Attributes:
        one: the photo.
        other: its copy, of another split.
        distance: bits in which their perceptual hashes differ, the copy turned or mirrored where
            that brings it nearer.
        similarity: cosine of their features, -1 to 1.
    """

    one: Photo
    other: Photo
    distance: int
    similarity: float

    def __str__(self) -> str:
        return (
            f"{self.one.split} {self.one.path} and {self.other.split} {self.other.path} are "
            f"near-duplicates: {self.distance} bits apart, similarity {self.similarity:.2f}"
        )


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found.

    Attributes:
        photos: the photos of all rows that could be read.
        problems: what is wrong, in words.
        duplicates: near-duplicates across splits, the nearest first.
        unconfirmed: pairs across splits with near hashes whose features differ: no duplicates.
    """

    photos: tuple[Photo, ...]
    problems: tuple[str, ...]
    duplicates: tuple[NearDuplicate, ...]
    unconfirmed: int


def check_data(
    folders: Sequence[Path],
    recognizer: Recognizer,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Check:
    """Check data folders, each for itself and all together.

    Args:
        folders: as for :func:`recognizer.training.data.load_photos`.
        recognizer: whose features confirm near-duplicates.
        on_progress: called with the photos done and their number.

    Raises:
        DatasetError: a folder is no data folder at all.
    """
    photos: list[Photo] = []
    problems: list[str] = []
    for folder in folders:
        if not (folder / MANIFEST).is_file():
            photos += load_photos(folder)
            continue
        for row in read_manifest(folder):
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
            on_progress(len(hashes), len(photos))
    duplicates, unconfirmed = _duplicates(photos, hashes, recognizer)
    return Check(tuple(photos), tuple(problems), tuple(duplicates), unconfirmed)


def _contradictions(photos: Sequence[Photo]) -> Iterator[str]:
    """Say what contradicts itself from row to row."""
    rows: defaultdict[str, list[Photo]] = defaultdict(list)
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for photo in photos:
        rows[photo.sha256].append(photo)
        splits[photo.source].add(photo.split)
    for found in rows.values():
        if len(found) > 1:
            yield f"{found[0].path} is listed {len(found)} times ({_words(found)})"
    for source, where in splits.items():
        if "test" in where and len(where) > 1:
            seen = ", ".join(sorted(where - {"test"}))
            yield f"the source {source} is in test and in {seen}: its test photos are no test"


def _words(photos: Sequence[Photo]) -> str:
    return "; ".join(sorted({f"{p.label}, {p.split}" for p in photos}))


def _look_at(photo: Photo) -> tuple[str | None, str | None]:
    """Return a photo's perceptual hash, and what is wrong with the file."""
    try:
        content = photo.path.read_bytes()
    except OSError as error:
        return None, f"{photo.path}: {error.strerror}"
    if hashlib.sha256(content).hexdigest() != photo.sha256:
        return None, f"{photo.path} is not the file of the manifest: other sha256"
    image = load_image(content, min_side=LEAST_SIDE)
    if not image.frames:
        return None, f"{photo.path}: {image.reason}: {image.detail}"
    return perceptual_hash(image.frames[0].rgb), None


def _duplicates(
    photos: Sequence[Photo], hashes: Sequence[str | None], recognizer: Recognizer
) -> tuple[list[NearDuplicate], int]:
    """Return the near-duplicates across splits, and how many pairs were none after all."""
    pairs = _near_pairs(photos, hashes)
    rows = sorted({row for pair in pairs for row in pair})
    features = dict(zip(rows, _features([photos[row] for row in rows], recognizer), strict=True))
    found = [
        NearDuplicate(photos[a], photos[b], distance, float(features[a] @ features[b]))
        for (a, b), distance in pairs.items()
    ]
    confirmed = [pair for pair in found if pair.similarity >= SAME_PICTURE]
    confirmed.sort(key=lambda pair: (pair.distance, -pair.similarity))
    return confirmed, len(found) - len(confirmed)


def _near_pairs(
    photos: Sequence[Photo], hashes: Sequence[str | None]
) -> dict[tuple[int, int], int]:
    """Return the pairs of rows of different splits with near hashes, and how near they are."""
    rows = [row for row, phash in enumerate(hashes) if phash is not None]
    if not rows:
        return {}
    known = to_bytes([phash for phash in hashes if phash is not None])
    index = HashIndex(known)
    pairs: dict[tuple[int, int], int] = {}
    every = np.stack([turned(phash) for phash in known], axis=1)
    for laid_down in every:  # one of the eight ways to lay the pictures down
        for left, right, distance in zip(*index.search(laid_down, MATCH_DISTANCE), strict=True):
            pair = tuple(sorted((rows[left], rows[right])))
            if photos[pair[0]].split != photos[pair[1]].split:
                key = (pair[0], pair[1])
                pairs[key] = min(int(distance), pairs.get(key, MATCH_DISTANCE))
    return pairs


def _features(photos: Sequence[Photo], recognizer: Recognizer) -> NDArray[np.float32]:
    """Return the features of photos that could be read before, of the length 1."""
    size = recognizer.bundle.input_size
    pictures = []
    for photo in photos:
        image = recognizer.load_image(photo.path)
        if not image.frames:
            raise DatasetError(f"{photo.path}: {image.reason}: {image.detail}")
        pictures.append(model_input(image.frames[0].rgb, size))
    if not pictures:
        return np.zeros((0, 0), np.float32)
    _, features = recognizer.features(np.stack(pictures))
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(length, 1e-12), np.float32)
