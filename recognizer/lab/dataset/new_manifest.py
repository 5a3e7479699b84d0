"""Make a manifest of labelled photos, whatever the order of their files; the photos stay."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from recognizer.errors import DatasetError, counted
from recognizer.imaging.near_copies import near_copies
from recognizer.lab.dataset.check import warn_of_sources
from recognizer.lab.dataset.folds import deal_to_splits
from recognizer.lab.dataset.layouts import Collection
from recognizer.lab.dataset.manifest import (
    Photo,
    copies_of,
    folder_taxonomy,
    hash_photos,
    how_to_describe,
    plain_label,
)
from recognizer.taxonomy import Taxonomy, unknown_name

FEW_PHOTOS = 10  # a label with fewer photos to train on is hardly learned

_SHOWN = 3  # examples in a message


@dataclass(slots=True, kw_only=True)
class NewManifest:
    """A manifest that was made: photos with their splits, ordered by file, and lines of text."""

    photos: list[Photo] = field(default_factory=list)
    notes: list[str]  # what was decided
    warnings: list[str] = field(default_factory=list)  # what makes the result worth less
    left_out: list[str]  # which files are not in it, and why


def make_manifest(
    data: Collection,
    *,
    renamed: Mapping[str, str] | None = None,
    shares: Mapping[str, float],
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> NewManifest:
    """Split the photos of a collection by source; a photo without a source is its own.

    ``renamed`` is label of the collection -> the label that it stands for, empty to leave it out;
    ``shares`` is split -> its share of the photos.
    """
    notes = [f"Layout: {data.layout}", *data.notes]
    made = NewManifest(notes=notes, left_out=[*data.left_out])
    taxonomy, root = folder_taxonomy(data.root), data.root
    labels = _labels(data, renamed or {}, taxonomy, made.notes)
    entries = [entry for entry in data.entries if entry.label in labels]
    entries.sort(key=lambda entry: (entry.path.as_posix(), entry.label))
    hashes: dict[str, str | None] = {}
    looks = hash_photos([entry.path for entry in entries], on_progress)
    for entry, look in zip(entries, looks, strict=True):
        if isinstance(look, str):
            made.left_out.append(look)
            continue
        digest, hashes[digest] = look
        about = (digest, labels[entry.label], entry.source, "")  # it has no split yet
        made.photos.append(Photo(entry.path, *about, entry.license, taxonomy))
    _leave_copies_out(made, root)
    if not made.photos:
        raise DatasetError(f"{root}: no photo can be read: {'; '.join(made.left_out[:_SHOWN])}")
    _name_sources(made, root)
    groups = _group(made, [hashes[photo.sha256] for photo in made.photos], root)
    if len(set(groups)) < 2:
        raise DatasetError(
            f"all {len(groups)} photos are of one source, {made.photos[0].source!r}, or "
            "near-copies: nothing can be held out. Say where each photo comes from: one more "
            "folder below each label's folder, or a column source in a table"
        )
    splits = deal_to_splits(made.photos, groups, shares, seed)
    made.photos = [replace(p, split=split) for p, split in zip(made.photos, splits, strict=True)]
    _warn_of_few(made)
    return made


def _labels(
    data: Collection, renamed: Mapping[str, str], taxonomy: Taxonomy, notes: list[str]
) -> dict[str, str]:
    """Return the label of the manifest for each of the collection; those left out have none."""
    counts = Counter(entry.label for entry in data.entries)
    if missing := [name for name in renamed if name not in counts]:
        raise DatasetError(f"--rename: {unknown_name('label', missing[0], [*counts])} in this data")
    known = taxonomy.labels
    label_of = {}
    for name in sorted(counts):
        label = renamed.get(name, name if name in known else plain_label(name) or name)
        if label:
            label_of[name] = label
        if label != name:
            done = f"called {label}" if label else "left out"
            notes.append(f"The label {name!r} is {done} ({counts[name]} photos)")
    if unknown := {name: label for name, label in label_of.items() if label not in known}:
        described = [
            f"{unknown_name('label', label, [*known])} ({counts[name]} photos)"
            for name, label in unknown.items()
        ]
        one = next(iter(unknown))
        raise DatasetError(
            f"{'; '.join(described)}. For custom labels, "
            f"{how_to_describe(unknown[one], data.root)}. For a label of `recognizer info`, add "
            f"--rename {one}=LABEL; to leave these photos out, --rename {one}="
        )
    return label_of


def _leave_copies_out(made: NewManifest, root: Path) -> None:
    """Keep each content once, and contents with several labels not at all."""
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for photo in made.photos:
        labels[photo.sha256].add(photo.label)
    kept: dict[str, Photo] = {}
    copies = 0
    for photo in made.photos:
        if len(several := labels[photo.sha256]) > 1:
            names = ", ".join(sorted(several))
            made.left_out.append(f"{_name(photo, root)}: the same file has several labels: {names}")
        else:
            copies += photo.sha256 in kept
            kept.setdefault(photo.sha256, photo)
    made.photos = list(kept.values())
    if copies:
        made.notes.append(f"Skipped {copies} files that are the same as others, to the byte")


def _name_sources(made: NewManifest, root: Path) -> None:
    if not (without := sum(not photo.source for photo in made.photos)):
        return
    which = "no photo has a" if without == len(made.photos) else f"{without} photos have no"
    made.warnings.append(
        f"{which} source: each counts as its own. Photos of one seller or camera may then be in "
        "training and test, and the figures will look better than the model is. Give a source: "
        "one more folder below each label's folder, or a column source in a table"
    )
    made.photos = [
        photo if photo.source else replace(photo, source=f"photo/{_name(photo, root)}")
        for photo in made.photos
    ]


def _group(made: NewManifest, hashes: Sequence[str | None], root: Path) -> list[int]:
    """Return a group for each photo: those of a source, their near-copies, and so on."""
    if several := copies_of(made.photos, hashes):
        joined = sum(len({photo.source for photo in members}) > 1 for members in several)
        made.notes.append(
            f"{sum(map(len, several))} photos are near-copies of others, in {len(several)} groups; "
            f"each group is in one split, {joined} of them with all of their sources"
        )
    for members in several:
        if len({photo.label for photo in members}) > 1:
            shown = (f"{_name(photo, root)} ({photo.label})" for photo in members[:_SHOWN])
            made.warnings.append(f"near-copies with different labels: {', '.join(shown)}")
    sources = [photo.source for photo in made.photos]
    return [int(group) for group in near_copies(hashes, sources, match_orientations=True)]


def _warn_of_few(made: NewManifest) -> None:
    photos: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in made.photos:
        photos[photo.label].append(photo)
    for label, members in sorted(photos.items()):
        splits = Counter(photo.split for photo in members)
        if not splits["test"]:
            sources = counted(len({photo.source for photo in members}), "source")
            made.warnings.append(f"{label}: no photo to test on: it has {sources}")
        if splits["train"] < FEW_PHOTOS:
            train = counted(splits["train"], "photo")
            made.warnings.append(f"{label}: only {train} to train on; it will hardly be learned")
    made.warnings += warn_of_sources(made.photos)
    if not any(p.is_product for p in made.photos):
        made.warnings.append("no label is a product: nothing can become a lead")
    elif all(p.is_product for p in made.photos):
        made.warnings.append(
            "all labels are products: add photos of ordinary things (listing_other) and of "
            "look-alikes, or the model will call everything a product"
        )


def _name(photo: Photo, root: Path) -> str:
    return Path(os.path.relpath(photo.path, root)).as_posix()
