"""Labelled photos, read from a manifest or from a folder for each label.

A manifest is the CSV of ``datasets/README.md``; the unit of independence is the *source*.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import DatasetError
from recognizer.imaging import LoadedImage, load_image
from recognizer.model.description import TrainingImages
from recognizer.taxonomy import Kind, add_labels, load_taxonomy, unknown_name

MANIFEST = "manifest.csv"
LABELS = "taxonomy.toml"
"""The file in a data folder that describes labels of one's own."""

REQUIRED_COLUMNS = ("sha256", "file", "label", "source", "split")
BACKDROP_LABELS = frozenset({"listing_other", "scene_other", "texture"})
"""Photos of these labels serve as backdrops: what listings look like without any product."""

PATCH_PREFIX = "patch/"
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"}
)


@dataclass(frozen=True, slots=True)
class Photo:
    """One labelled photo; the photos of one source are not independent.

    Attributes:
        path: where the file is.
        sha256: of the file's bytes, hexadecimal.
        label: a label of the taxonomy.
        source: where it came from.
        split: ``train``, ``validation``, ``test``, or ``excluded`` (by a recipe).
        subtype: the source's own words for what is shown.
        license: as stated by the source; empty if it stated none.
        outline: if not empty, this is not the whole photo but the patch inside this polygon, to be
            laid on another background; points are (x, y) as shares of width and height.
    """

    path: Path
    sha256: str
    label: str
    source: str
    split: str
    subtype: str = ""
    license: str = ""
    outline: tuple[tuple[float, float], ...] = ()

    @property
    def kind(self) -> Kind:
        """The kind of its label."""
        return load_taxonomy().labels[self.label].kind

    @property
    def is_product(self) -> bool:
        """Whether it shows a product; the others are the negatives of every measurement."""
        return self.kind is Kind.PRODUCT

    @property
    def is_patch(self) -> bool:
        """Whether it is a patch of a photo that counts by itself."""
        return bool(self.outline)

    @property
    def is_evidence(self) -> bool:
        """Whether it is a whole photo that somebody took."""
        return not self.is_patch


def first_frame(photo: Photo, image: LoadedImage) -> NDArray[np.uint8]:
    """Return the first frame of a photo that was loaded, or raise a DatasetError."""
    if not image.frames:
        raise DatasetError(f"{photo.path}: {image.reason}: {image.detail}")
    return image.frames[0].rgb


def read_photo(photo: Photo, min_side: int) -> NDArray[np.uint8]:
    """Return the first frame of a photo, decoded as in serving, uint8, (height, width, 3), RGB.

    Raises:
        DatasetError: the photo cannot be decoded.
    """
    return first_frame(photo, load_image(photo.path, min_side=min_side))


def read_rows(
    path: str | os.PathLike[str], columns: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the place (``file:line``) and the cells of each row of a CSV table in UTF-8.

    Raises:
        DatasetError: the table cannot be read, or one of the columns is missing.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restval="")
            missing = [column for column in columns if column not in (reader.fieldnames or [])]
            if missing:
                raise DatasetError(f"{path}: no column {', '.join(missing)}")
            for row in reader:
                yield f"{path}:{reader.line_num}", row
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: {error}") from error


def load_photos(folder: str | Path) -> list[Photo]:
    """Read a data folder: one with a ``manifest.csv``, or one with a folder for each label.

    Without a manifest every photo is in the split ``train``, and its source is the data folder. The
    labels of a ``taxonomy.toml`` in the folder are known from then on
    (:func:`recognizer.taxonomy.add_labels`).

    Raises:
        DatasetError: there are no photos, a row breaks a rule, or a folder with images has the
            name of no label; the message names it.
        TaxonomyError: the folder's ``taxonomy.toml`` breaks a rule.
    """
    root = Path(folder)
    if (root / MANIFEST).is_file():
        photos = []
        for row in read_manifest(root):
            if isinstance(row, str):
                raise DatasetError(row)
            photos.append(row)
        if not photos:
            raise DatasetError(f"{root / MANIFEST}: no rows")
        return photos
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder")
    add_own_labels(root)
    known = load_taxonomy().labels
    images = {
        inside: [p for p in sorted(inside.rglob("*")) if p.suffix.lower() in IMAGE_SUFFIXES]
        for inside in sorted(root.iterdir())
        if inside.is_dir() and not inside.name.startswith(".")
    }
    for inside, paths in images.items():
        if paths and inside.name not in known:
            raise DatasetError(
                f"{inside} (images: {len(paths)}): {_unknown_label(inside.name, root)}"
            )
    photos = [
        Photo(path, sha256(path.read_bytes()).hexdigest(), inside.name, root.name, "train")
        for inside, paths in images.items()
        for path in paths
    ]
    if not photos:
        raise DatasetError(f"{root}: no {MANIFEST}, and no folders of images named after labels")
    return photos


def add_own_labels(root: Path) -> None:
    """Add the labels that a data folder describes itself, if it does."""
    if (root / LABELS).is_file():
        add_labels(root / LABELS)


def _unknown_label(name: str, root: Path) -> str:
    """Say that there is no such label, and how to have one."""
    own = re.sub("[^a-z0-9]+", "_", name.lower()).strip("_") or "my_label"
    rename = "" if own == name else f"call it {own}, and "
    unknown = unknown_name("label", name, [*load_taxonomy().labels])
    stop = "" if unknown.endswith("?") else "."
    return (
        f"{unknown}{stop} To train a label of your own, "
        f'{rename}write into {root / LABELS}: [label.{own}] and below it kind = "product", or '
        '"lookalike", "animal" or "other" if it is none (`recognizer taxonomy init` makes the file)'
    )


def read_manifest(root: Path) -> Iterator[Photo | str]:
    """Yield the photo of each row of a manifest, or in words what is wrong with the row.

    Raises:
        DatasetError: it cannot be read, or a required column is missing.
    """
    path = root / MANIFEST
    add_own_labels(root)
    known = load_taxonomy().labels
    for where, row in read_rows(path, REQUIRED_COLUMNS):
        wrong = _wrong(row, known, root)
        if wrong:
            yield f"{where}: {wrong}"
            continue
        yield Photo(
            path=root / row["file"],
            sha256=row["sha256"],
            label=row["label"],
            source=row["source"],
            split=row["split"],
            subtype=row.get("subtype") or "",
            license=row.get("license") or "",
        )


def _wrong(row: Mapping[str, str], known: Container[str], root: Path) -> str | None:
    empty = [column for column in REQUIRED_COLUMNS if not row[column]]
    if empty:
        return f"no {', '.join(empty)}"
    if row["label"] not in known:
        return _unknown_label(row["label"], root)
    if row["split"] not in {"train", "validation", "test"}:
        return f"unknown split {row['split']!r}"
    return None


def training_images(photos: Iterable[Photo], members: Container[str]) -> TrainingImages:
    """Return the numbers of photos, their sources and patches of some labels."""
    found = [p for p in photos if p.label in members]
    return TrainingImages(
        photos=sum(p.is_evidence for p in found),
        sources=len({p.source for p in found if p.is_evidence}),
        patches=sum(p.is_patch for p in found),
    )


def fingerprint(photos: Iterable[Photo]) -> str:
    """Return a sha256 over the content hashes, labels, sources and splits, whatever their order."""
    rows = sorted(f"{p.sha256},{p.label},{p.source},{p.split}{p.outline or ''}" for p in photos)
    return sha256("\n".join(rows).encode()).hexdigest()
