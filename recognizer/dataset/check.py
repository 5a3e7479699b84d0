"""Check that a manifest is true and that its splits are apart.

A test photo with a copy in training measures memory. Copies are found by their perceptual hashes,
in any orientation, as when a manifest is made. Crops and other views of one object have other
hashes and are not found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from recognizer.dataset.manifest import Photo, data_rows, folder_taxonomy, hash_photos
from recognizer.known.index import COPY_DISTANCE, near_pairs, to_bytes
from recognizer.taxonomy import load_taxonomy


class DataCheck(NamedTuple):
    """The photos of all rows that could be read, and what is wrong; the nearest pairs first."""

    photos: list[Photo]
    problems: list[str]
    duplicates: list[str]


def check_data(
    folders: Sequence[Path], on_progress: Callable[[int, int], None] = lambda done, of: None
) -> DataCheck:
    """Check each data folder, and all of them together; a DatasetError if one has no photos."""
    photos: list[Photo] = []
    problems: list[str] = []
    taxonomy = load_taxonomy()
    for folder in folders:
        taxonomy = folder_taxonomy(folder, taxonomy)
    for folder in folders:
        for row in data_rows(folder, taxonomy):
            if isinstance(row, str):
                problems.append(row)
            else:
                photos.append(row)
    problems += _contradictions(photos)
    hashed: list[Photo] = []
    hashes: list[str] = []
    looks = hash_photos([photo.path for photo in photos], on_progress)
    for photo, look in zip(photos, looks, strict=True):
        if isinstance(look, str):
            problems.append(look)
        elif look[0] != photo.sha256:
            problems.append(f"{photo.path}: its sha256 is not that of the manifest")
        elif look[1] is not None:
            hashed.append(photo)
            hashes.append(look[1])
    return DataCheck(photos, problems, _duplicates(hashed, hashes))


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


def _duplicates(photos: Sequence[Photo], hashes: Sequence[str]) -> list[str]:
    nearest: dict[tuple[int, int], int] = {}
    pairs = near_pairs(to_bytes(hashes), COPY_DISTANCE, match_orientations=True)
    for left, right, apart in pairs:
        for a, b, bits in zip(left.tolist(), right.tolist(), apart.tolist(), strict=True):
            if photos[a].split != photos[b].split:
                nearest[a, b] = min(bits, nearest.get((a, b), bits))
    return [
        f"near-duplicates: {photos[a].split} {photos[a].path} and {photos[b].split} "
        f"{photos[b].path}: {bits} bits apart"
        for (a, b), bits in sorted(nearest.items(), key=lambda pair: pair[1])
    ]
