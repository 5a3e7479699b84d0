"""Make a manifest of labelled photos: read, compare, split, and say what was done.

The photos stay where they are. Nothing depends on the order in which files are listed.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import file_digest, sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer._atomic import replacing
from recognizer.dataset.folds import deal_to_splits
from recognizer.dataset.layouts import Collection, CollectionEntry, is_image
from recognizer.dataset.manifest import LABELS, MANIFEST, SPLITS, Photo, folder_taxonomy, read_rows
from recognizer.dataset.origins import find_origins
from recognizer.errors import DatasetError
from recognizer.imaging import MIN_HASH_SIDE, Limits, load_image, perceptual_hash
from recognizer.imaging.sources import Refused, read_path
from recognizer.known import near_copies
from recognizer.taxonomy import Taxonomy, unknown_name

COLUMNS = ("sha256", "file", "label", "source", "split", "subtype", "license")
FEW_PHOTOS = 10
"""A label with fewer photos to train on is hardly learned."""

_LICENSES = ("license", "licence")
_SHOWN = 3  # examples in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class NewManifest:
    """A manifest that was made: its photos with their splits, ordered by file.

    ``layout`` and ``source`` say what the data look like and where the sources come from;
    ``notes`` what was decided, ``warnings`` what makes the result worth less, and ``left_out``
    which files are not in it, and why: one line each.
    """

    photos: tuple[Photo, ...]
    layout: str
    source: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A photo of a collection whose file was read."""

    entry: CollectionEntry
    label: str
    source: str | None
    sha256: str
    phash: str | None


def make_manifest(
    found: Collection,
    *,
    source: str | None = None,
    renamed: Mapping[str, str] | None = None,
    shares: Mapping[str, float],
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> NewManifest:
    """Split the photos of a collection by source.

    Args:
        found: the collection.
        source: where sources come from, see :func:`recognizer.dataset.origins.find_origins`.
        renamed: label of the collection -> the label that it stands for; empty to leave it out.
        shares: split -> its share of the photos.
        seed: of the draw.
        on_progress: called with the number of files that were read, and of all.
    """
    notes, warnings, left_out = [*found.notes], list[str](), [*found.left_out]
    taxonomy = folder_taxonomy(found.root)
    labels = _labels(found, renamed or {}, taxonomy, notes)
    origins = find_origins(found, source)
    pairs = [
        (entry, origin)
        for entry, origin in zip(found.entries, origins.sources, strict=True)
        if entry.label in labels
    ]
    seen = _look_at_all(pairs, labels, left_out, on_progress)
    seen = _without_copies(seen, found.root, notes, left_out)
    if not seen:
        raise DatasetError(f"{found.root}: no photo can be read: {'; '.join(left_out[:_SHOWN])}")
    seen = _name_sources(seen, found.root, warnings)
    groups = _group(seen, found.root, notes, warnings)
    photos = [_photo(one, taxonomy) for one in seen]
    if len(set(groups.tolist())) < 2:
        raise DatasetError(
            f"all {len(seen)} photos are of one source, {seen[0].source!r}, or near-copies: "
            "nothing can be held out. Say where they come from (--source COLUMN), or take each "
            "photo as its own source with --source photo; the figures will then look better "
            "than the model is"
        )
    splits = deal_to_splits(photos, groups.tolist(), shares, seed)
    photos = [replace(photo, split=split) for photo, split in zip(photos, splits, strict=True)]
    if any("split" in one.entry.fields for one in seen):
        notes.append("The splits that the data came with were not used: sources may be in several")
    _warn_of_few(photos, warnings)
    return NewManifest(
        photos=tuple(photos),
        layout=found.words,
        source=origins.words,
        notes=tuple(notes),
        warnings=tuple(warnings),
        left_out=tuple(left_out),
    )


def _photo(one: _Seen, taxonomy: Taxonomy) -> Photo:
    fields = one.entry.fields
    return Photo(
        path=one.entry.path,
        sha256=one.sha256,
        label=one.label,
        source=one.source or "",
        split="",
        subtype=fields.get("subtype", ""),
        license=next((fields[key] for key in _LICENSES if key in fields), ""),
        taxonomy=taxonomy,
    )


def write_manifest(photos: Iterable[Photo], folder: Path, own_labels: Path | None = None) -> Path:
    """Write ``manifest.csv`` into a folder, with paths relative to it, and return its path.

    ``own_labels`` is the data's description of custom labels, which goes with the manifest.
    """
    path = folder / MANIFEST
    if own_labels is not None and not (folder / LABELS).exists():
        shutil.copyfile(own_labels, folder / LABELS)
    with (
        replacing(path) as partial,
        # JSON can hold half a character, for example in a seller's name.
        partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for p in photos:
            place = Path(os.path.relpath(p.path.absolute(), folder.absolute())).as_posix()
            writer.writerow([p.sha256, place, p.label, p.source, p.split, p.subtype, p.license])
    return path


def _labels(
    found: Collection, renamed: Mapping[str, str], taxonomy: Taxonomy, notes: list[str]
) -> dict[str, str]:
    """Return the label of the manifest for each of the collection; those left out have none."""
    counts = Counter(entry.label for entry in found.entries)
    missing = [name for name in renamed if name not in counts]
    if missing:
        raise DatasetError(f"--rename: {unknown_name('label', missing[0], [*counts])} in this data")
    known = taxonomy.labels
    label_of = {}
    for name in sorted(counts):
        label = renamed.get(name, name if name in known else plain_label(name))
        if label:
            label_of[name] = label
        if label != name:
            notes.append(
                f"The label {name!r} is {f'called {label}' if label else 'left out'} "
                f"({counts[name]} photos)"
            )
    unknown = {name: label for name, label in label_of.items() if label not in known}
    if unknown:
        described = [
            f"{unknown_name('label', label, [*known])} ({counts[name]} photos)"
            for name, label in unknown.items()
        ]
        one = next(iter(unknown))
        raise DatasetError(
            f"{'; '.join(described)}. For custom labels, run `recognizer dataset labels "
            f"{found.root}`, say in the file that it writes what they are, and run this again. "
            f"For a label of `recognizer info`, add --rename {one}=LABEL; to leave these photos "
            f"out, --rename {one}="
        )
    return label_of


def plain_label(name: str) -> str:
    """Return a label's name in lower case with underscores, as labels are written."""
    return re.sub("[^a-z0-9]+", "_", name.lower()).strip("_") or name


def _look_at_all(
    pairs: Sequence[tuple[CollectionEntry, str | None]],
    labels: Mapping[str, str],
    left_out: list[str],
    on_progress: Callable[[int, int], None],
) -> list[_Seen]:
    """Read each file once; the photos are ordered by path."""
    pairs = sorted(pairs, key=lambda pair: (pair[0].path.as_posix(), pair[0].label))
    seen = []
    with ThreadPoolExecutor(2) as pool:
        looks = pool.map(_look_at, [entry.path for entry, _ in pairs])
        for done, ((entry, source), look) in enumerate(zip(pairs, looks, strict=True), 1):
            if isinstance(look, str):
                left_out.append(f"{entry.path}: {look}")
            else:
                seen.append(_Seen(entry, labels[entry.label], source, *look))
            on_progress(done, len(pairs))
    return seen


def _look_at(path: Path) -> tuple[str, str | None] | str:
    """Return a file's sha256 and perceptual hash, or what is wrong with it."""
    try:
        str(path).encode("utf-8")
        content = read_path(path, Limits())
    except UnicodeEncodeError:
        return "its name is not UTF-8: rename it"
    except Refused as error:
        return error.detail
    image = load_image(content, min_side=MIN_HASH_SIDE)
    if not image.frames:
        return f"{image.reason}: {image.detail}"
    return sha256(content).hexdigest(), perceptual_hash(image.frames[0].rgb)


def _without_copies(
    seen: Sequence[_Seen], root: Path, notes: list[str], left_out: list[str]
) -> list[_Seen]:
    """Return each content once; contents with several labels not at all."""
    by_content: defaultdict[str, list[_Seen]] = defaultdict(list)
    for one in seen:
        by_content[one.sha256].append(one)
    kept = []
    copies = 0
    for one in seen:
        same = by_content[one.sha256]
        labels = sorted({other.label for other in same})
        if len(labels) > 1:
            left_out.append(
                f"{_name(one, root)}: the same file has several labels: {', '.join(labels)}"
            )
        elif one is same[0]:
            kept.append(one)
        else:
            copies += 1
    if copies:
        notes.append(f"Skipped {copies} files that are the same as others, to the byte")
    return kept


def _name_sources(seen: Sequence[_Seen], root: Path, warnings: list[str]) -> list[_Seen]:
    """Return the photos with a source each; a photo without one is its own."""
    without = sum(one.source is None for one in seen)
    if without:
        which = "no photo has" if without == len(seen) else f"{without} photos have no"
        warnings.append(
            f"{which} {'a ' if without == len(seen) else ''}source: each counts as its own. "
            "Photos of one seller or camera may then be in training and test, and the figures "
            "will look better than the model is. Give a source: a column (--source NAME), or one "
            "more folder below each label's folder"
        )
    return [
        one if one.source is not None else replace(one, source=f"photo/{_name(one, root)}")
        for one in seen
    ]


def _group(
    seen: Sequence[_Seen], root: Path, notes: list[str], warnings: list[str]
) -> NDArray[np.intp]:
    """Return a group for each photo: those of a source, their near-copies, and so on."""
    hashes = [one.phash for one in seen]
    copies = near_copies(hashes, [None] * len(seen), match_orientations=True)
    of_group: defaultdict[int, list[_Seen]] = defaultdict(list)
    for one, first in zip(seen, copies.tolist(), strict=True):
        of_group[first].append(one)
    several = [members for members in of_group.values() if len(members) > 1]
    if several:
        joined = [members for members in several if len({one.source for one in members}) > 1]
        notes.append(
            f"{sum(map(len, several))} photos are near-copies of others, in {len(several)} groups; "
            f"each group is in one split, {len(joined)} of them with all of their sources"
        )
    for members in several:
        if len({one.label for one in members}) > 1:
            names = ", ".join(f"{_name(one, root)} ({one.label})" for one in members[:_SHOWN])
            warnings.append(f"near-copies with different labels: {names}")
    return near_copies(hashes, [one.source for one in seen], match_orientations=True)


def _warn_of_few(photos: Sequence[Photo], warnings: list[str]) -> None:
    by_label: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_label[photo.label].append(photo)
    for label, members in sorted(by_label.items()):
        train = sum(p.split == "train" for p in members)
        sources = len({p.source for p in members})
        if not any(p.split == "test" for p in members):
            why = f"it has {sources} source{'s' * (sources != 1)}"
            warnings.append(f"{label}: no photo to test on: {why}")
        if train < FEW_PHOTOS:
            warnings.append(f"{label}: only {train} photos to train on; it will hardly be learned")
    if not any(p.is_product for p in photos):
        warnings.append("no label is a product: nothing can become a lead")
    elif not any(not p.is_product for p in photos):
        warnings.append(
            "all labels are products: add photos of ordinary things (listing_other) and of "
            "look-alikes, or the model will call everything a product"
        )


def _name(one: _Seen, root: Path) -> str:
    return one.entry.path.relative_to(root).as_posix()


# --- a published list -----------------------------------------------------------------------------


def match_list(
    table: Path,
    folder: Path,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[list[Photo], list[Photo]]:
    """Return the photos of a published list that a folder holds, and those that it lacks.

    Photos of others cannot be handed on. Their content hashes can, with label, source and split: a
    CSV table with ``sha256``, ``label``, ``source`` and ``split``. Files are found by their
    content, whatever they are called.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    files = [p for p in sorted(folder.rglob("*")) if is_image(p) and p.is_file()]
    paths: dict[str, Path] = {}
    for done, file in enumerate(files, 1):
        with file.open("rb") as opened:
            paths.setdefault(file_digest(opened, "sha256").hexdigest(), file)
        on_progress(done, len(files))
    taxonomy = folder_taxonomy(folder)
    here, missing = list[Photo](), list[Photo]()
    for where, row in read_rows(table, ("sha256", "label", "source", "split")):
        if row["split"] not in SPLITS or row["label"] not in taxonomy.labels:
            raise DatasetError(f"{where}: an unknown label, or a split that is none of the three")
        photo = Photo(
            path=paths.get(row["sha256"], Path()),
            sha256=row["sha256"],
            label=row["label"],
            source=row["source"],
            split=row["split"],
            subtype=row.get("subtype", ""),
            license=row.get("license", ""),
            taxonomy=taxonomy,
        )
        (here if row["sha256"] in paths else missing).append(photo)
    return here, missing
