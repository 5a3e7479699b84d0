"""Check that a manifest is true and that its splits are apart.

A test photo with a copy in training measures memory.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from recognizer.lab.dataset.folds import read_folds
from recognizer.lab.dataset.manifest import (
    Photo,
    copies_of,
    data_rows,
    folder_taxonomy,
    hash_photos,
)


def check_data(
    folders: Sequence[Path],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
    folds: Path | None = None,
) -> tuple[list[Photo], list[str]]:
    """Check each data folder, and all of them together; a DatasetError if one has no photos.

    Returns the photos of all rows that could be read, and a line for each thing that is wrong.
    ``folds`` is a table of groups of sources, for :func:`read_folds`.
    """
    taxonomy = folder_taxonomy(*folders)
    rows = [row for folder in folders for row in data_rows(folder, taxonomy)]
    photos = [row for row in rows if isinstance(row, Photo)]
    problems = [row for row in rows if isinstance(row, str)]
    problems += _contradictions(photos)
    if folds is not None:
        groups = {source: group for source, (group, _) in read_folds(folds).items()}
        problems += _torn(photos, "group", [groups.get(p.source, "") for p in photos])
    hashes: list[str | None] = []
    looks = hash_photos([photo.path for photo in photos], on_progress)
    for photo, look in zip(photos, looks, strict=True):
        digest, phash = (photo.sha256, None) if isinstance(look, str) else look
        if isinstance(look, str):
            problems.append(look)
        elif digest != photo.sha256:
            problems.append(f"{photo.path}: its sha256 is not that of the manifest")
        hashes.append(phash if digest == photo.sha256 else None)
    problems += (
        f"near-duplicates across splits: {', '.join(f'{p.path} ({p.split})' for p in group)}"
        for group in copies_of(photos, hashes)
        if len({p.split for p in group}) > 1
    )
    return photos, problems


def warn_of_sources(photos: Sequence[Photo]) -> list[str]:
    """Return a line for each product whose training photos are of one source, or most of them."""
    found = defaultdict[str, Counter[str]](Counter)
    for photo in photos:
        if photo.is_product and photo.split == "train":
            found[photo.label][photo.source] += 1
    lines = []
    for label, sources in sorted(found.items()):
        (source, most), of = sources.most_common(1)[0], sources.total()
        if most > of / 2:
            share = f"all {of}" if most == of else f"{most} of {of}"
            lines.append(f"{label}: {share} training photos are of one source, {source}")
    return lines


def _contradictions(photos: Sequence[Photo]) -> Iterator[str]:
    rows: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        rows[photo.sha256].append(photo)
    for found in rows.values():
        if len(found) > 1:
            as_what = "; ".join(sorted({f"{p.label}, {p.split}" for p in found}))
            yield f"{found[0].path} is listed {len(found)} times ({as_what})"
    yield from _torn(photos, "source", [photo.source for photo in photos])


def _torn(photos: Sequence[Photo], what: str, names: Sequence[str]) -> Iterator[str]:
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for photo, name in zip(photos, names, strict=True):
        splits[name].add(photo.split)
    for name, where in splits.items():
        if name and "test" in where and len(where) > 1:
            seen = ", ".join(sorted(where - {"test"}))
            yield f"the {what} {name} is in test and in {seen}; keep a {what} in one of them"
