"""Where the notebooks find their photos: in your data folder, or in a stand-in made on the spot.

Set the environment variable ``RECOGNIZER_DATA`` to a folder in the format of
``datasets/README.md``. Without it, the sample pictures of the repository are cut, tinted and
compressed in a few ways, as if several shops had photographed the same things. That is enough to
run every line of the notebooks, and good for nothing else: the pictures are renderings, and the
same things are shown in training and in test.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from recognizer.dataset.annotations import PATCH_COLUMNS
from recognizer.dataset.manifest import MANIFEST, REQUIRED_COLUMNS, Photo

DATA_VARIABLE = "RECOGNIZER_DATA"
REPOSITORY = Path(__file__).resolve().parent.parent
SAMPLES = REPOSITORY / "datasets" / "samples"
SMALL_RECIPE = Path(__file__).with_name("small.toml")
FULL_RECIPE = REPOSITORY / "export" / "wildlife-v4" / "train.toml"

_SIDE = 320  # of a stand-in photo in pixels


@dataclass(frozen=True)
class Shop:
    """How a pretended source photographs things.

    Attributes:
        name: of the source.
        split: of its photos.
        window: left, top and side of the square that it shows, as shares of the picture.
        gain: factor on red, green and blue.
        quality: of its JPEG files.
    """

    name: str
    split: str
    window: tuple[float, float, float]
    gain: tuple[float, float, float]
    quality: int


SHOPS = (
    Shop("demo/shop-1", "train", (0.00, 0.00, 1.00), (1.00, 1.00, 1.00), 92),
    Shop("demo/shop-2", "train", (0.06, 0.02, 0.90), (1.06, 1.00, 0.90), 85),
    Shop("demo/shop-3", "train", (0.02, 0.08, 0.88), (0.92, 0.98, 1.06), 70),
    Shop("demo/shop-4", "train", (0.08, 0.08, 0.84), (0.80, 0.80, 0.80), 60),
    Shop("demo/market-1", "test", (0.04, 0.10, 0.86), (1.08, 1.04, 0.96), 75),
    Shop("demo/market-2", "test", (0.10, 0.04, 0.82), (0.86, 0.90, 0.96), 50),
)


def is_demo() -> bool:
    """Whether the stand-in is used."""
    return not os.environ.get(DATA_VARIABLE)


def data_folder() -> Path:
    """Return the folder of photos: yours, or the stand-in, which is made where it is missing."""
    if not is_demo():
        return Path(os.environ[DATA_VARIABLE])
    folder = scratch_folder() / "data"
    if not folder.exists():
        write_demo_data(SAMPLES, folder)
    return folder


def sample_files() -> list[Path]:
    """Return the sample pictures that come with the repository."""
    entries = json.loads((SAMPLES / "samples.json").read_text(encoding="utf-8"))
    return [SAMPLES / entry["file"] for entry in entries]


def scratch_folder() -> Path:
    """Return a temporary folder. For a real run, name one that stays."""
    return Path(_scratch().name)


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="recognizer-notebook-", ignore_cleanup_errors=True)


def write_demo_data(samples: Path, folder: Path) -> None:
    """Write a data folder, with its manifest, in which each shop shows each sample once."""
    folder.mkdir(parents=True)
    rows = []
    for entry in json.loads((samples / "samples.json").read_text(encoding="utf-8")):
        picture = cv2.imread(str(samples / entry["file"]), cv2.IMREAD_COLOR_RGB)
        for shop in SHOPS:
            jpeg = _photograph(picture, shop)
            file = f"{shop.name.rpartition('/')[2]}-{Path(entry['file']).stem}.jpg"
            (folder / file).write_bytes(jpeg)
            digest = hashlib.sha256(jpeg).hexdigest()
            rows.append((digest, file, entry["label"], shop.name, shop.split))
    if not rows:
        raise FileNotFoundError(f"no pictures in {samples}: see its README.md")
    with (folder / MANIFEST).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([REQUIRED_COLUMNS, *rows])


def write_demo_patches(photos: Sequence[Photo]) -> Path:
    """Outline the middle of the stand-in's horns and tusks, as a table of patches."""
    path = scratch_folder() / "patches.csv"
    square = "0.35,0.35 0.65,0.35 0.65,0.65 0.35,0.65"
    rows = [
        (p.sha256, "middle", p.label, square)
        for p in photos
        if p.split == "train" and p.label in {"rhino_horn", "ivory_raw"}
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([PATCH_COLUMNS, *rows])
    return path


def _photograph(picture: np.ndarray, shop: Shop) -> bytes:
    left, top, share = shop.window
    height, width = picture.shape[:2]
    side = int(share * min(height, width))
    y, x = int(top * height), int(left * width)
    view = picture[y : y + side, x : x + side] * np.array(shop.gain)
    view = cv2.resize(np.clip(view, 0, 255).astype(np.uint8), (_SIDE, _SIDE))
    options = [cv2.IMWRITE_JPEG_QUALITY, shop.quality]
    return cv2.imencode(".jpg", cv2.cvtColor(view, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def some_of(photos: Sequence[Photo], most: int) -> list[Photo]:
    """Return at most ``most`` photos of each label in each split, whatever their order."""
    counts: Counter[tuple[str, str]] = Counter()
    chosen = []
    for photo in sorted(photos, key=lambda p: p.sha256):
        counts[photo.label, photo.split] += 1
        if counts[photo.label, photo.split] <= most:
            chosen.append(photo)
    return chosen
