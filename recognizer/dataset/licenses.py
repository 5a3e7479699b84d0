"""The sources of photos, and the licences that they state."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recognizer.dataset.manifest import Photo

UNSTATED = "unstated"


@dataclass(frozen=True, slots=True)
class LicenseCount:
    """The numbers of photos and of sources under one licence."""

    photos: int
    sources: int


def count_licenses(photos: Sequence[Photo]) -> Mapping[str, LicenseCount]:
    """Return the counts for each licence, the most common first."""
    sources: defaultdict[str, set[str]] = defaultdict(set)
    counts = Counter(photo.license or UNSTATED for photo in photos)
    for photo in photos:
        sources[photo.license or UNSTATED].add(photo.source)
    return {name: LicenseCount(n, len(sources[name])) for name, n in counts.most_common()}


def write_sources(photos: Sequence[Photo], path: Path) -> None:
    """Write a table of the sources: licences, splits, labels, and how many photos."""
    by_source: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_source[photo.source].append(photo)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["source", "photos", "splits", "labels", "licenses"])
        for source, own in sorted(by_source.items()):
            columns = (
                {p.split for p in own},
                {p.label for p in own},
                {p.license or UNSTATED for p in own},
            )
            writer.writerow([source, len(own), *("; ".join(sorted(c)) for c in columns)])
