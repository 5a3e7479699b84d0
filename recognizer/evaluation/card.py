"""The model card, made from the bundle and its evaluation.

No figure is written by hand, except in the notes: what people know of the data.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from recognizer.dataset.manifest import Photo
from recognizer.evaluation.evaluate import Evaluation
from recognizer.evaluation.templates import render
from recognizer.model.bundle import Bundle
from recognizer.model.description import percent

SOURCES_FILE = "sources.csv"


def render_card(
    bundle: Bundle,
    evaluation: Evaluation,
    seen: Evaluation,
    photos: Sequence[Photo],
    notes: str = "",
) -> str:
    """Return the model card as Markdown.

    ``evaluation`` and ``seen`` are on the test and the validation split, ``photos`` those that were
    used, for their licences. ``notes``, Markdown, go under the known weaknesses.
    """
    return render(
        "model_card.md.j2",
        bundle=bundle,
        evaluation=evaluation,
        seen=seen,
        licenses=count_licenses(photos),
        sources=SOURCES_FILE,
        percent=percent,
        notes=notes.strip(),
    )


UNSTATED = "unstated"


def count_licenses(photos: Sequence[Photo]) -> Mapping[str, tuple[int, int]]:
    """Return licence -> its photos and its sources, the most common first."""
    sources: defaultdict[str, set[str]] = defaultdict(set)
    counts = Counter(photo.license or UNSTATED for photo in photos)
    for photo in photos:
        sources[photo.license or UNSTATED].add(photo.source)
    return {name: (count, len(sources[name])) for name, count in counts.most_common()}


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
