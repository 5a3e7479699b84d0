"""Labelled photos of one colour for each label, and manifests, for tests of data and training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from recognizer.dataset.annotations import PATCH_COLUMNS
from recognizer.dataset.manifest import Photo, load_photos
from tests.conftest import encoded, picture

COLOR_OF = {"ivory_worked": "red", "ceramic": "green", "listing_other": "blue"}
SQUARE = "0.3,0.3 0.7,0.3 0.7,0.7 0.3,0.7"
MANIFEST_COLUMNS = ("sha256", "file", "label", "source", "split", "subtype")


def write_photos(root: Path, count: int = 12) -> list[Photo]:
    """Write a folder for each label, and return its photos."""
    for label, color in COLOR_OF.items():
        (root / label).mkdir(parents=True)
        for i in range(count):
            data = encoded(picture(color, seed=i + 100 * len(label)))
            (root / label / f"{i:02}.jpg").write_bytes(data)
    return load_photos(root)


def write_manifest(folder: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write a manifest from rows by column; a column that a row lacks is empty."""
    lines = [",".join(row.get(column, "") for column in MANIFEST_COLUMNS) for row in rows]
    text = "\n".join([",".join(MANIFEST_COLUMNS), *lines]) + "\n"
    (folder / "manifest.csv").write_text(text, encoding="utf-8")


def write_patches(path: Path, outlined: dict[str, str]) -> Path:
    """Write a table that outlines a square of each photo: sha256 -> label."""
    rows = [f'{sha},part,{label},"{SQUARE}"' for sha, label in outlined.items()]
    path.write_text("\n".join([",".join(PATCH_COLUMNS), *rows]) + "\n", encoding="utf-8")
    return path


def write_split_photos(folder: Path) -> Path:
    """Make a folder with a manifest: 12 training and 6 test photos a label, in six sources."""
    folder.mkdir()
    rows = []
    for label, color in COLOR_OF.items():
        for i in range(18):
            content = encoded(picture(color, seed=i + 100 * len(label)))
            file = f"{label}-{i:02}.jpg"
            (folder / file).write_bytes(content)
            split = "test" if i >= 12 else "train"
            row = {"sha256": sha256(content).hexdigest(), "file": file, "label": label}
            rows.append({**row, "source": f"{split}/{'abc'[i % 3]}", "split": split})
    write_manifest(folder, rows)
    return folder
