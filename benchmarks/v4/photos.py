"""The photos of a data folder, decoded once, and the table that describes them.

Every photo goes through the decoder that serves (``recognizer.imaging``), at full size, into one
file of pixels, so that experiments neither decode again nor can differ in how they decode.

    python benchmarks/v4/photos.py --data DATA --runs runs/v4

``--served 240`` also keeps the model inputs of the training photos, decoded as served: JPEGs with
more pixels than are needed at reduced size.
"""

from __future__ import annotations

import argparse
import functools
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recognizer.dataset.manifest import Photo, read_photo
from recognizer.imaging import load_image, model_input
from recognizer.taxonomy import Kind, load_taxonomy

HERE = Path(__file__).parent
DATASETS = HERE.parent.parent / "datasets"
PIXELS, TABLE = "pixels.u8", "photos.parquet"


def build(data: Path, folder: Path, workers: int) -> None:
    """Decode every photo of the manifest into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.read_csv(data / "manifest.csv", keep_default_na=False)
    sizes = table.width.to_numpy(np.int64) * table.height.to_numpy(np.int64) * 3
    table["offset"] = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    np.memmap(folder / PIXELS, np.uint8, "w+", shape=(int(sizes.sum()),)).flush()
    parts = np.array_split(np.arange(len(table)), workers * 8)
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(functools.partial(_fill, table, data, folder), parts))
    table.to_parquet(folder / TABLE)


def _fill(table: pd.DataFrame, data: Path, folder: Path, rows: NDArray[np.intp]) -> None:
    pixels = np.memmap(folder / PIXELS, np.uint8, "r+")
    for i in rows:
        row = table.iloc[int(i)]
        image = load_image(data / row.file)
        rgb = image.frames[0].rgb
        if rgb.shape != (row.height, row.width, 3) or image.sha256 != row.sha256:
            raise SystemExit(f"{row.file}: {rgb.shape}, not as the manifest says")
        pixels[row.offset : row.offset + rgb.size] = rgb.ravel()


def build_served(data: Path, folder: Path, size: int, workers: int) -> None:
    """Keep the model inputs of the training photos."""
    table = Photos(folder).table
    some = np.flatnonzero(table.split == "train")
    np.memmap(_served(folder, size), np.uint8, "w+", shape=(len(table), size, size, 3)).flush()
    parts = np.array_split(some, workers * 8)
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(functools.partial(_fill_served, data, folder, size), parts))


def _fill_served(data: Path, folder: Path, size: int, places: NDArray[np.intp]) -> None:
    cv2.setNumThreads(1)
    table = Photos(folder).table
    inputs = np.memmap(_served(folder, size), np.uint8, "r+").reshape(-1, size, size, 3)
    for i in places:
        r = table.iloc[int(i)]
        photo = Photo(data / r.file, r.sha256, r.label, r.source, r.split, r.subtype)
        inputs[i] = model_input(read_photo(photo, size), size)


def _served(folder: Path, size: int) -> Path:
    return folder / f"served-{size}.u8"


class Photos:
    """The decoded photos: a table and a function from row number to pixels.

    Attributes:
        table: the manifest, with ``label`` corrected (``datasets/corrections.csv``) and made finer
            (``datasets/relabel.csv``), ``group`` and ``fold`` (-1 for test) of the source,
            ``product``, the ``row`` in the manifest, and without what is excluded.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pixels = np.memmap(folder / PIXELS, np.uint8, "r")
        table = pd.read_parquet(folder / TABLE)
        table["row"] = np.arange(len(table))
        for name in ("relabel.csv", "corrections.csv"):
            changed = pd.read_csv(DATASETS / name).set_index("sha256").label
            table["label"] = table.sha256.map(changed).fillna(table.label)
        folds = pd.read_csv(DATASETS / "folds.csv").set_index("source")
        table["group"] = table.source.map(folds.group).fillna(table.source)
        table["fold"] = table.source.map(folds.fold).fillna(-1).astype(int)
        table.loc[table.split == "test", "fold"] = -1
        taxonomy = load_taxonomy().labels
        product = {name for name, label in taxonomy.items() if label.kind is Kind.PRODUCT}
        table["product"] = table.label.isin(product)
        self.table = table[table.label != "exclude"].reset_index(drop=True)

    def __len__(self) -> int:
        return len(self.table)

    def rgb(self, i: int) -> NDArray[np.uint8]:
        """Return a photo, uint8, (height, width, 3), RGB; a view, not to be written to."""
        row = self._rows[i]
        return self._pixels[row[0] : row[0] + row[1] * row[2] * 3].reshape(row[1], row[2], 3)

    @functools.cached_property
    def _rows(self) -> list[tuple[int, int, int]]:
        t = self.table
        return list(zip(t.offset.tolist(), t.height.tolist(), t.width.tolist(), strict=True))

    @functools.cache  # noqa: B019 - one object for each program
    def _inputs(self, size: int) -> NDArray[np.uint8] | None:
        path = _served(self._folder, size)
        return np.memmap(path, np.uint8, "r").reshape(-1, size, size, 3) if path.exists() else None

    def square(self, i: int, size: int) -> NDArray[np.uint8]:
        """Return the model input of a training photo, as served where ``--served`` has kept it."""
        kept = self._inputs(size)
        return model_input(self.rgb(i), size) if kept is None else kept[i]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--served", type=int, default=0, help="keep model inputs of this size")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    if asked.served:
        build_served(asked.data, asked.runs / "cache", asked.served, asked.workers)
    else:
        build(asked.data, asked.runs / "cache", asked.workers)
