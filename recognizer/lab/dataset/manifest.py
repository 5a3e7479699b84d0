"""Labelled photos, read from a manifest (datasets/README.md) or from a folder for each label."""

import csv
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer._files import CsvRows, replacing
from recognizer.errors import DatasetError, unknown_name
from recognizer.imaging import MIN_HASH_SIDE, Limits, load_image, perceptual_hash
from recognizer.imaging.load import DETAIL_SIDE
from recognizer.imaging.near_copies import near_copies
from recognizer.imaging.sources import Refused, read_path
from recognizer.taxonomy import Kind, Taxonomy, load_taxonomy

MANIFEST = "manifest.csv"
LABELS = "taxonomy.toml"  # the file in a data folder that describes custom labels

REQUIRED_COLUMNS = ("sha256", "file", "label", "source", "split")
SPLITS = ("train", "validation", "test")
BACKDROP_LABELS = frozenset({"listing_other", "scene_other", "texture"})
"""Photos of these labels serve as backdrops: what listings look like without any product."""

ONE_SIDE, ONE_JPEG_QUALITY = DETAIL_SIDE, 80
"""The short side, in pixels, and the JPEG quality of all photos that are measured."""

_CHUNK = 32  # photos that are scored together

Item = TypeVar("Item")
Result = TypeVar("Result")

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"}
)


@dataclass(frozen=True, slots=True)
class Photo:
    """One labelled photo; the photos of one source are not independent.

    ``sha256`` is of the file's bytes, hexadecimal; ``license`` is as the source states it, or
    empty; ``taxonomy`` has the labels of its data, ``columns`` all other columns of the manifest.
    """

    path: Path
    sha256: str
    label: str
    source: str
    split: str
    license: str = ""
    taxonomy: Taxonomy = field(default_factory=load_taxonomy, repr=False, compare=False)
    columns: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_product(self) -> bool:
        """Whether it shows a product; the others are the negatives of every measurement."""
        return self.taxonomy.labels[self.label].kind is Kind.PRODUCT


def taxonomy_of(photos: Sequence[Photo]) -> Taxonomy:
    """Return the taxonomy that photos share; that of the package if there are none."""
    return photos[0].taxonomy if photos else load_taxonomy()


def read_photo(photo: Photo, min_side: int) -> NDArray[np.uint8]:
    """Return the first frame of a photo, decoded as in serving, uint8, (height, width, 3), RGB.

    A photo that cannot be read, or is not the one of the manifest, is a DatasetError.
    """
    image = load_image(photo.path, min_side=min_side)
    if not image.frames:
        raise DatasetError(f"{photo.path}: {image.reason}: {image.detail}")
    if image.sha256 != photo.sha256:
        raise DatasetError(f"{photo.path}: its sha256 is not that of the manifest")
    return image.frames[0].rgb


def at_one_quality(photo: Photo) -> bytes:
    """Return the first frame of a photo as a JPEG of one size and quality for all.

    The size and the JPEG tables of a stored file often tell where it comes from, and so what it
    shows. The short side is reduced by area to :data:`ONE_SIDE`; smaller photos keep their size.
    """
    rgb = read_photo(photo, ONE_SIDE)
    height, width = rgb.shape[:2]
    if (scale := ONE_SIDE / min(height, width)) < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, ONE_JPEG_QUALITY]
    return cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), quality)[1].tobytes()


def read_rows(
    path: str | os.PathLike[str], columns: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the place (``file:line``) and the cells of each row of a table in UTF-8."""
    if os.path.exists(path) and not os.path.isfile(path):  # a FIFO would be waited for
        raise DatasetError(f"{path} is not a regular file")
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = CsvRows(file)
            missing = [column for column in columns if column not in (reader.fieldnames or [])]
            if missing:
                raise DatasetError(f"{path}: no column {', '.join(missing)}")
            for row in reader:
                row.pop(None, None)  # cells beyond the header
                yield f"{path}:{reader.line_num}", row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def load_data(folders: Iterable[str | Path], taxonomy: Taxonomy | None = None) -> list[Photo]:
    """Read data folders of one taxonomy: the package's, ``taxonomy`` and their custom labels.

    Without a manifest every photo is in the split ``train``; its source is the folder inside the
    label's, or without one the data folder.
    """
    roots, photos = [*map(Path, folders)], []
    every = folder_taxonomy(*roots, base=taxonomy)
    for row in (row for root in roots for row in data_rows(root, every)):
        if isinstance(row, str):
            raise DatasetError(row)
        photos.append(row)
    return photos


def folder_taxonomy(*folders: Path, base: Taxonomy | None = None) -> Taxonomy:
    """Return a taxonomy with the labels that data folders describe themselves, if they do."""
    taxonomy = base or load_taxonomy()
    for file in (folder / LABELS for folder in folders):
        taxonomy = load_taxonomy(file, taxonomy) if file.exists() else taxonomy
    return taxonomy


def data_rows(root: Path, taxonomy: Taxonomy) -> Iterator[Photo | str]:
    """Yield the photos of a data folder, or in words what is wrong with a row of its manifest."""
    is_empty, rows = True, _in_manifest if (root / MANIFEST).exists() else _in_folders
    try:
        for row in rows(root, taxonomy):
            is_empty = False
            yield row
    except OSError as error:
        raise DatasetError(f"{error.filename or root}: {error.strerror or error}") from error
    if is_empty:
        raise DatasetError(f"{root}: no {MANIFEST} with rows; recognizer dataset split makes one")


def label_folders(shelf: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield each file in the folders of labels: label, folder within the label's or "", path."""
    for folder in sorted(shelf.iterdir()):
        if folder.is_dir() and not folder.name.startswith((".", "_")):
            for place, folders, names in os.walk(folder, onerror=raise_error):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                below = Path(place).relative_to(folder).parts
                for name in sorted(name for name in names if not name.startswith(".")):
                    yield folder.name, "".join(below[:1]), Path(place) / name


def raise_error(error: OSError) -> None:
    """Raise what ``os.walk`` would skip: a folder that cannot be read."""
    raise error


def _in_folders(root: Path, taxonomy: Taxonomy) -> Iterator[Photo | str]:
    for label, folder, path in label_folders(root):
        if path.suffix.lower() not in PHOTO_SUFFIXES:
            continue
        if label not in taxonomy.labels:
            raise DatasetError(f"{root / label}: {_unknown_label(label, root, taxonomy)}")
        digest = sha256(read_file(path)).hexdigest()
        yield Photo(path, digest, label, folder or root.name, "train", taxonomy=taxonomy)


def read_file(path: Path) -> bytes:
    """Return the bytes of a photo, or raise a DatasetError: a FIFO is not waited for."""
    try:
        return read_path(path, Limits())
    except Refused as error:
        raise DatasetError(f"{path}: {error.detail}") from error


def hash_photos(
    paths: Sequence[Path], on_progress: Callable[[int, int], None]
) -> Iterator[tuple[str, str | None] | str]:
    """Yield the sha256 and the perceptual hash, if any, of each photo, or what is wrong with it."""

    def look_at(path: Path) -> tuple[str, str | None] | str:
        try:
            str(path).encode("utf-8")
            content = read_file(path)
        except UnicodeEncodeError:
            return f"{path}: its name is not UTF-8: rename it"
        except DatasetError as error:
            return str(error)
        image = load_image(content, min_side=MIN_HASH_SIDE)
        if not image.frames:
            return f"{path}: {image.reason}: {image.detail}"
        return sha256(content).hexdigest(), perceptual_hash(image.frames[0].rgb)

    return in_chunks(lambda some: [look_at(path) for path in some], paths, on_progress)


def in_chunks(
    work: Callable[[Sequence[Item]], Sequence[Result]],
    items: Sequence[Item],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Iterator[Result]:
    """Yield what ``work`` returns for each photo or path, of which it takes a chunk, in order."""
    chunks = [items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK)]
    with ThreadPoolExecutor(2) as pool:
        for number, results in enumerate(pool.map(work, chunks), 1):
            on_progress(min(number * _CHUNK, len(items)), len(items))
            yield from results


def copies_of(photos: Sequence[Photo], hashes: Sequence[str | None]) -> list[list[Photo]]:
    """Return the groups of two photos and more that are near-copies, in any orientation."""
    groups: defaultdict[int, list[Photo]] = defaultdict(list)
    firsts = near_copies(hashes, [None] * len(hashes), match_orientations=True)
    for photo, first in zip(photos, firsts.tolist(), strict=True):
        groups[first].append(photo)
    return [group for group in groups.values() if len(group) > 1]


def plain_label(name: str) -> str:
    """Return a name as labels are written; empty if it has no letter or digit of ASCII."""
    return re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")


def _unknown_label(name: str, root: Path, taxonomy: Taxonomy) -> str:
    own = plain_label(name) or "my_label"
    rename = "" if own == name else f"call it {own}, and "
    unknown = unknown_name("label", name, [*taxonomy.labels])
    return f"{unknown}. To train a custom label, {rename}{how_to_describe(own, root)}"


def how_to_describe(label: str, root: Path) -> str:
    """Return what to do so that a data folder describes a custom label."""
    return (
        f'write into {root / LABELS}: [label.{label}] and below it kind = "product", or '
        '"lookalike", "animal" or "other" if it is none'
    )


def _in_manifest(root: Path, taxonomy: Taxonomy) -> Iterator[Photo | str]:
    for where, row in read_rows(root / MANIFEST, REQUIRED_COLUMNS):
        digest, file, label, source, split = (row[column] for column in REQUIRED_COLUMNS)
        rest = {name: text for name, text in row.items() if name not in REQUIRED_COLUMNS}
        if empty := [column for column in REQUIRED_COLUMNS if not row[column]]:
            yield f"{where}: no {', '.join(empty)}"
        elif label not in taxonomy.labels:
            yield f"{where}: {_unknown_label(label, root, taxonomy)}"
        elif split not in SPLITS:
            yield f"{where}: unknown split {split!r}"
        else:
            stated = row.get("license") or ""
            yield Photo(root / file, digest, label, source, split, stated, taxonomy, rest)


def fingerprint(photos: Iterable[Photo]) -> str:
    """Return a sha256 over the content hashes, labels, sources and splits, whatever their order."""
    rows = sorted(f"{p.sha256},{p.label},{p.source},{p.split}" for p in photos)
    return sha256("\n".join(rows).encode()).hexdigest()


def write_manifest(photos: Iterable[Photo], folder: Path, own_labels: Path) -> Path:
    """Write ``manifest.csv`` into a folder, with paths relative to it, and return its path.

    ``own_labels`` is the data's description of custom labels, if any, which goes with it.
    """
    if own_labels.is_file() and not (folder / LABELS).exists():
        shutil.copyfile(own_labels, folder / LABELS)
    path, start = folder / MANIFEST, folder.absolute()
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*REQUIRED_COLUMNS, "license"))
        for p in photos:
            relative = Path(os.path.relpath(p.path.absolute(), start)).as_posix()
            writer.writerow((p.sha256, relative, p.label, p.source, p.split, p.license))
    return path
