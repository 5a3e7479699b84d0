"""Labelled photos: from a manifest or from a folder for each label, and how they are split.

A manifest is the CSV of ``datasets/README.md``; the unit of independence is the *source*. This
module needs no torch.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recognizer.dataset.columns import read_rows
from recognizer.dataset.corrections import apply_corrections, load_corrections
from recognizer.errors import DatasetError, TaxonomyError
from recognizer.imaging import load_image
from recognizer.taxonomy import Kind, load_taxonomy

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from recognizer.training.config import TrainingConfig

MANIFEST = "manifest.csv"
REQUIRED_COLUMNS = ("sha256", "file", "label", "source", "split")
BACKDROP_LABELS = frozenset({"listing_other", "scene_other", "texture"})
"""Photos of these labels serve as backdrops: what listings look like without any product."""

SYNTHETIC_PREFIX = "synthetic/"
PATCH_PREFIX = "patch/"
PATCH_COLUMNS = ("sha256", "part", "label", "polygon")
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"}
)


@dataclass(frozen=True, slots=True)
class Photo:
    """One labelled photo.

    Attributes:
        path: where the file is.
        sha256: of the file's bytes, hexadecimal.
        label: a label of the taxonomy.
        source: where it came from; photos of one source are not independent.
        split: ``train``, ``validation``, ``test``, or ``excluded`` (see
            :attr:`~recognizer.training.config.TrainingConfig.exclude_sources`).
        subtype: free words of the source on what is shown.
        mask: a picture of the photo's size, white on the object, where there is one.
        license: as it was found at the source; empty where nothing was said.
        outline: where not empty, this is not the photo but the patch of it inside this polygon,
            to be laid on another background; points are (x, y) as shares of width and height.
    """

    path: Path
    sha256: str
    label: str
    source: str
    split: str
    subtype: str = ""
    mask: Path | None = None
    license: str = ""
    outline: tuple[tuple[float, float], ...] = ()

    @property
    def is_synthetic(self) -> bool:
        """Whether the photo was rendered, and so is no evidence of anything."""
        return self.source.startswith(SYNTHETIC_PREFIX)

    @property
    def is_patch(self) -> bool:
        """Whether this is a patch of a photo that counts elsewhere."""
        return bool(self.outline)

    @property
    def is_evidence(self) -> bool:
        """Whether this is a photo of the real thing, as somebody took it."""
        return not self.is_synthetic and not self.is_patch


def read_photo(photo: Photo, min_side: int) -> NDArray[np.uint8]:
    """Return the first frame of a photo, by the same road as in serving.

    Raises:
        DatasetError: the photo cannot be decoded.
    """
    image = load_image(photo.path, min_side=min_side)
    if not image.frames:
        raise DatasetError(f"{photo.path}: {image.reason}: {image.detail}")
    return image.frames[0].rgb


def load_photos(folder: str | Path) -> list[Photo]:
    """Read a data folder: one with a ``manifest.csv``, or one with a folder for each label.

    In a folder without a manifest every photo is of the split ``train`` and of the source that is
    named like the folder.

    Raises:
        DatasetError: there is nothing there, a row breaks a rule, or a folder beside those of
            labels holds pictures and is named like no label; the message names it.
    """
    root = Path(folder)
    if (root / MANIFEST).is_file():
        return _from_manifest(root)
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder")
    taxonomy = load_taxonomy()
    pictures = {
        inside: [p for p in sorted(inside.rglob("*")) if p.suffix.lower() in IMAGE_SUFFIXES]
        for inside in sorted(root.iterdir())
        if inside.is_dir() and not inside.name.startswith(".")
    }
    photos = [
        Photo(path, _sha256(path), inside.name, root.name, "train")
        for inside, paths in pictures.items()
        if inside.name in taxonomy.labels
        for path in paths
    ]
    if not photos:
        raise DatasetError(
            f"{root}: neither a {MANIFEST} nor folders named after labels of the taxonomy"
        )
    for inside, paths in pictures.items():
        if paths and inside.name not in taxonomy.labels:
            try:
                taxonomy.label(inside.name)
            except TaxonomyError as error:
                raise DatasetError(f"{inside}, with {len(paths)} pictures: {error}") from error
    return photos


def _from_manifest(root: Path) -> list[Photo]:
    photos = []
    for row in read_manifest(root):
        if isinstance(row, str):
            raise DatasetError(row)
        photos.append(row)
    if not photos:
        raise DatasetError(f"{root / MANIFEST}: no rows")
    return photos


def read_manifest(root: Path) -> Iterator[Photo | str]:
    """Read a manifest row by row.

    Yields:
        The photo of each row, or in words what is wrong with the row.

    Raises:
        DatasetError: it cannot be read, or a required column is missing.
    """
    path = root / MANIFEST
    known = load_taxonomy().labels
    for where, row in read_rows(path, REQUIRED_COLUMNS):
        wrong = _wrong(row, known)
        yield f"{where}: {wrong}" if wrong else _photo(root, row)


def _wrong(row: Mapping[str, str | None], known: Container[str]) -> str | None:
    empty = [column for column in REQUIRED_COLUMNS if not row[column]]
    if empty:
        return f"no {', '.join(empty)}"
    if row["label"] not in known:
        return f"unknown label {row['label']!r}"
    if row["split"] not in {"train", "validation", "test"}:
        return f"unknown split {row['split']!r}"
    return None


def _photo(root: Path, row: Mapping[str, str]) -> Photo:
    return Photo(
        root / row["file"],
        row["sha256"],
        row["label"],
        row["source"],
        row["split"],
        row.get("subtype") or "",
        _mask_of(root, row["file"]),
        row.get("license") or "",
    )


def _mask_of(root: Path, file: str) -> Path | None:
    """Return ``masks/...png`` for ``images/...``, as rendered sets have them."""
    parts = Path(file).parts
    if not parts or parts[0] != "images":
        return None
    mask = root.joinpath("masks", *parts[1:]).with_suffix(".png")
    return mask if mask.is_file() else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hold_out_validation(photos: Sequence[Photo], share: float, seed: int) -> list[Photo]:
    """Move a part of the training photos to the split ``validation``.

    Two parts: ``share`` of the photos, by content hash (photos of sources that training sees),
    and, for each label that is no product, whole sources up to ``share`` of its photos, since
    thresholds are to hold for false alarms from places that training never saw. Products come
    from too few sources to give one away. A label keeps at least half of its photos for training,
    and at least one source. Rendered photos stay in training. Which photos are held out depends
    on their hashes, their sources and the seed alone, not on their order.

    Returns:
        The same photos in the same order, with the new splits.
    """
    train = [p for p in photos if p.split == "train" and p.is_evidence]
    held = {p.sha256 for p in train if _draw(p.sha256, seed) < share}
    kinds = load_taxonomy().labels
    by_label: dict[str, list[Photo]] = {}
    for photo in train:
        by_label.setdefault(photo.label, []).append(photo)
    for label, members in by_label.items():
        counts = Counter(p.source for p in members)
        budget = share * len(members)
        for source in sorted(counts, key=lambda s: _draw(f"{label}/{s}", seed)):
            is_product = kinds[label].kind is Kind.PRODUCT
            if not is_product and len(counts) > 1 and counts[source] <= budget:
                budget -= counts[source]
                held.update(p.sha256 for p in members if p.source == source)
        given = sorted(
            (p.sha256 for p in members if p.sha256 in held), key=lambda s: _draw(s, seed)
        )
        held.difference_update(given[len(members) // 2 :])
    return [
        replace(p, split="validation") if p.split == "train" and p.sha256 in held else p
        for p in photos
    ]


def exclude_sources(photos: Sequence[Photo], sources: Sequence[str]) -> list[Photo]:
    """Move the training photos of some sources to the split ``excluded``.

    Raises:
        DatasetError: a source has no training photo.
    """
    unknown = set(sources) - {p.source for p in photos if p.split == "train"}
    if unknown:
        raise DatasetError(f"exclude_sources: no training photos of {', '.join(sorted(unknown))}")
    return [
        replace(p, split="excluded") if p.split == "train" and p.source in sources else p
        for p in photos
    ]


def left_out_places(config: TrainingConfig) -> list[str]:
    """Return the sources whose photos a recipe leaves out; parts of patches are no such places."""
    return [s for s in config.exclude_sources if not s.startswith(PATCH_PREFIX)]


def count_taught(photos: Iterable[Photo], members: Container[str]) -> dict[str, int]:
    """Return how many ``photos``, ``rendered`` ones and ``patches`` of some labels there are."""
    found = [p for p in photos if p.label in members]
    return {
        "photos": sum(p.is_evidence for p in found),
        "rendered": sum(p.is_synthetic for p in found),
        "patches": sum(p.is_patch for p in found),
    }


def patches(photos: Sequence[Photo], table: str | Path) -> list[Photo]:
    """Return the patches of training photos that a table outlines.

    The table is a CSV with the columns ``sha256`` (of the photo), ``part``, ``label`` (what the
    patch stands for) and ``polygon`` (``x,y`` pairs as shares, separated by spaces). The horn of a
    living rhino is rhino horn once it is cut off; the photo itself stays a living rhino. Rows of
    photos outside the training split give nothing.

    Raises:
        DatasetError: the table cannot be read, or a row breaks a rule; the message names it.
    """
    known = load_taxonomy().labels
    train = {p.sha256: p for p in photos if p.split == "train" and p.is_evidence}
    found = []
    for where, row in read_rows(table, PATCH_COLUMNS):
        if row["label"] not in known:
            raise DatasetError(f"{where}: unknown label {row['label']!r}")
        outline = _outline(row["polygon"], where)
        photo = train.get(row["sha256"])
        if photo is not None:
            found.append(
                replace(
                    photo,
                    label=row["label"],
                    source=f"{PATCH_PREFIX}{row['part']}",
                    subtype=row["part"],
                    outline=outline,
                )
            )
    return found


def _outline(text: str, where: str) -> tuple[tuple[float, float], ...]:
    try:
        points = tuple((float(x), float(y)) for x, y in (pair.split(",") for pair in text.split()))
    except ValueError as error:
        raise DatasetError(f"{where}: polygon: pairs x,y separated by spaces") from error
    if len(points) < 3 or not all(0 <= v <= 1 for point in points for v in point):
        raise DatasetError(f"{where}: polygon: at least three points, shares from 0 to 1")
    return points


def prepare(photos: Sequence[Photo], config: TrainingConfig) -> list[Photo]:
    """Return all photos with the labels and splits of a run, and the patches that it trains on.

    Training, export and evaluation of a run all start here, so that what is held out in one is
    held out in all.

    Raises:
        DatasetError: an excluded source is unknown, or a table (corrections, patches) is wrong.
    """
    if config.corrections:
        photos = apply_corrections(photos, load_corrections(config.corrections))
    held = hold_out_validation(photos, config.validation_share, config.split_seed)
    places = left_out_places(config)
    parts = set(config.exclude_sources) - set(places)
    held = exclude_sources(held, places)
    found = patches(held, config.patches) if config.patches else []
    unknown = parts - _parts(config.patches)
    if unknown:
        raise DatasetError(f"exclude_sources: no patches of {', '.join(sorted(unknown))}")
    return held + [p for p in found if p.source not in parts]


def _parts(table: str) -> set[str]:
    """Return the sources of all patches of a table, used or not: their photo may be held out."""
    rows = read_rows(table, PATCH_COLUMNS) if table else ()
    return {f"{PATCH_PREFIX}{row['part']}" for _, row in rows}


def _draw(text: str, seed: int) -> float:
    """Return a number from 0 to 1 that depends on nothing but the text and the seed."""
    digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def drawing_weights(
    photos: Sequence[Photo],
    label_power: float,
    source_power: float,
    label_weights: Mapping[str, float] | None = None,
) -> NDArray[np.float64]:
    """Return the probability with which each photo is drawn, balanced by label and by source.

    A label's share is its photo count to ``label_power`` (times its weight); within the label a
    source's share is its count to ``source_power``; within the source all photos are alike.

    Returns:
        float64, (len(photos),), summing to 1.
    """
    label_weights = label_weights or {}
    labels = Counter(p.label for p in photos)
    pairs = Counter((p.label, p.source) for p in photos)
    source_total: defaultdict[str, float] = defaultdict(float)
    for (label, _), count in pairs.items():
        source_total[label] += count**source_power
    weights: NDArray[np.float64] = np.array(
        [
            labels[p.label] ** label_power
            * label_weights.get(p.label, 1.0)
            * pairs[p.label, p.source] ** source_power
            / source_total[p.label]
            / pairs[p.label, p.source]
            for p in photos
        ]
    )
    return np.asarray(weights / weights.sum())


def fingerprint(photos: Iterable[Photo]) -> str:
    """Return a sha256 over the content hashes, labels, sources and splits, whatever their order."""
    rows = sorted(f"{p.sha256},{p.label},{p.source},{p.split}{p.outline or ''}" for p in photos)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()
