"""Make a manifest of labelled photos, whatever the order of their files; the photos stay."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from recognizer.errors import DatasetError, counted, unknown_name
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
from recognizer.taxonomy import Taxonomy

FEW_PHOTOS = 10  # a label with fewer photos to train on is hardly learned

_SHOWN = 3  # examples in a message


def make_manifest(
    data: Collection,
    *,
    test_share: float,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Collection:
    """Split the photos of a collection by source, ordered by file; one without is its own.

    ``test_share`` is of the photos; the rest is to train on.
    """
    root, taxonomy = data.root, folder_taxonomy(data.root)
    made = Collection(root, notes=[*data.notes], left_out=[*data.left_out])
    labels = _labels(data, taxonomy, made.notes)
    given = sorted((p.path.as_posix(), p.label, p) for p in data.photos)
    hashes: dict[str, str | None] = {}
    looks = hash_photos([photo.path for *_, photo in given], on_progress)
    for (*_, photo), look in zip(given, looks, strict=True):
        if isinstance(look, str):
            made.left_out.append(look)
            continue
        digest, hashes[digest] = look
        label = labels[photo.label]
        made.photos.append(replace(photo, sha256=digest, label=label, taxonomy=taxonomy))
    _leave_copies_out(made)
    if not made.photos:
        raise DatasetError(f"{root}: no photo can be read: {'; '.join(made.left_out[:_SHOWN])}")
    _name_sources(made)
    groups = _group(made, [hashes[photo.sha256] for photo in made.photos])
    if len(set(groups)) < 2:
        raise DatasetError(
            f"all {len(groups)} photos are of one source, {made.photos[0].source!r}, or "
            "near-copies: nothing can be held out. Say where each photo comes from: one more "
            "folder below each label's folder, or a column source in a table"
        )
    splits = deal_to_splits(made.photos, groups, test_share, seed)
    made.photos = [replace(p, split=split) for p, split in zip(made.photos, splits, strict=True)]
    _warn_of_few(made)
    return made


def _labels(data: Collection, taxonomy: Taxonomy, notes: list[str]) -> dict[str, str]:
    """Return the label of the manifest for each of the collection."""
    label_of, unknown, known = dict[str, str](), dict[str, str](), [*taxonomy.labels]
    for name, count in sorted(Counter(photo.label for photo in data.photos).items()):
        label = label_of[name] = name if name in known else plain_label(name) or name
        if label != name:
            notes.append(f"The label {name!r} is {label} ({count} photos)")
        if label not in known:
            unknown[label] = f"{unknown_name('label', label, known)} ({count} photos)"
    if unknown:
        custom = how_to_describe(next(iter(unknown)), data.root)
        raise DatasetError(
            f"{'; '.join(unknown.values())}. For custom labels, {custom}. For a label of "
            "`recognizer info`, rename the folder, or the label in the table"
        )
    return label_of


def _leave_copies_out(made: Collection) -> None:
    """Keep each content once, and contents with several labels not at all."""
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for photo in made.photos:
        labels[photo.sha256].add(photo.label)
    kept: dict[str, Photo] = {}
    for photo in made.photos:
        if len(several := labels[photo.sha256]) > 1:
            words = f"the same file has several labels: {', '.join(sorted(several))}"
            made.left_out.append(f"{_name(photo, made)}: {words}")
        else:
            kept.setdefault(photo.sha256, photo)
    if copies := sum(len(labels[photo.sha256]) == 1 for photo in made.photos) - len(kept):
        made.notes.append(f"Skipped {copies} files that are the same as others, to the byte")
    made.photos = [*kept.values()]


def _name_sources(made: Collection) -> None:
    if without := sum(not photo.source for photo in made.photos):
        which = "no photo has a" if without == len(made.photos) else f"{without} photos have no"
        made.warnings.append(
            f"{which} source: each counts as its own. Photos of one seller or camera may then be "
            "in training and test, and the figures will look better than the model is. Give a "
            "source: one more folder below each label's folder, or a column source in a table"
        )
    made.photos = [replace(p, source=p.source or f"photo/{_name(p, made)}") for p in made.photos]


def _group(made: Collection, hashes: Sequence[str | None]) -> list[int]:
    """Return a group for each photo: those of a source, their near-copies, and so on."""
    if several := copies_of(made.photos, hashes):
        made.notes.append(
            f"{sum(map(len, several))} photos are near-copies of others, in {len(several)} groups; "
            "each group is in one split, with all of its sources"
        )
    for members in several:
        if len({photo.label for photo in members}) > 1:
            shown = (f"{_name(photo, made)} ({photo.label})" for photo in members[:_SHOWN])
            made.warnings.append(f"near-copies with different labels: {', '.join(shown)}")
    sources = [photo.source for photo in made.photos]
    return [int(group) for group in near_copies(hashes, sources, match_orientations=True)]


def _warn_of_few(made: Collection) -> None:
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


def _name(photo: Photo, made: Collection) -> str:
    return Path(os.path.relpath(photo.path, made.root)).as_posix()
