"""Labelled photos of one color for each label, and manifests, for tests of data and training."""

import json
import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from recognizer.lab.dataset.manifest import Photo, load_data
from tests.conftest import encoded, picture

COLOR_OF = {"ivory_worked": "red", "ceramic": "green", "listing_other": "blue"}
SMALL_RECIPE = {
    "name": "tiny",
    "backbone": "test_efficientnet",
    "weights": "none",
    "input_size": 32,
    "photos": 16,
    "batch_size": 8,
    "device": "cpu",
}
"""The smallest recipe that still trains a real network."""
MANIFEST_COLUMNS = ("sha256", "file", "label", "source", "split", "subtype")


def photo(i, label="ceramic", source="a", split="train"):
    """Describe a photo that need not exist."""
    return Photo(Path(f"{i}.jpg"), f"{i:064x}", label, source, split)


def write_photos(root, count=12):
    """Write a folder for each label, and return its photos."""
    for label, color in COLOR_OF.items():
        (root / label).mkdir(parents=True)
        for i in range(count):
            data = encoded(picture(color, seed=i + 100 * len(label)))
            (root / label / f"{i:02}.jpg").write_bytes(data)
    return load_data([root])


def write_manifest(folder, rows):
    """Write a manifest from rows by column; a column that a row lacks is empty."""
    lines = [",".join(row.get(column, "") for column in MANIFEST_COLUMNS) for row in rows]
    text = "\n".join([",".join(MANIFEST_COLUMNS), *lines]) + "\n"
    (folder / "manifest.csv").write_text(text, encoding="utf-8")


def store(folder, name, content, **row):
    """Write a photo, and return its row of a manifest."""
    (folder / name).write_bytes(content)
    return {"sha256": sha256(content).hexdigest(), "file": name, **row}


def write_split_photos(folder):
    """Make a folder with a manifest: 12 training and 6 test photos a label, in six sources."""
    folder.mkdir()
    rows = []
    for label, color in COLOR_OF.items():
        for i in range(18):
            content = encoded(picture(color, seed=i + 100 * len(label)))
            split = "test" if i >= 12 else "train"
            about = {"label": label, "source": f"{split}/{'abc'[i % 3]}", "split": split}
            rows.append(store(folder, f"{label}-{i:02}.jpg", content, **about))
    write_manifest(folder, rows)
    return folder


def write_recipe(path, **changes):
    """Write the recipe of a small network, with what differs from :data:`SMALL_RECIPE`."""
    values = {**SMALL_RECIPE, **changes}
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    return path


def deal(photos, *splits, sources=()):
    """Deal the photos out among the splits in turn, and among as many sources."""
    sources = sources or splits
    return [
        replace(p, split=splits[i % len(splits)], source=sources[i % len(sources)])
        for i, p in enumerate(photos)
    ]


def carry_small_recipe(folder, patch):
    """Let the package's default recipe have a small network of random weights in place of its own.

    All other keys stay as they are. The recipe is written into ``folder``.
    """
    package = Path(__file__).parents[1] / "export" / "recipes" / "small-cpu.toml"
    recipe = package.read_text("utf-8")
    small = {"backbone": '"test_efficientnet"', "weights": '"none"', "input_size": "32"}
    for key, value in {**small, "pooling": '"mean"'}.items():
        recipe, count = re.subn(rf"^{key} = .*", f"{key} = {value}", recipe, flags=re.MULTILINE)
        assert count == 1
    path = folder / "small-cpu.toml"
    path.write_text(recipe, encoding="utf-8")
    patch.setattr("recognizer.lab.training.config.carried_recipes", lambda: {"small-cpu": path})
