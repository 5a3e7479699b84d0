"""The pictures of the documentation, which are renderings and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from datasets.synthetic.registry import SCENES
from datasets.synthetic.render import Photo, render
from datasets.synthetic.scene import LOOKALIKES, OTHERS, PRODUCTS
from recognizer.dataset.compose import Cutout, compose, cut_out, recast, several
from recognizer.dataset.sheets import Picture, contact_sheet

SIZE = 176
SAMPLES = 12
SEED = 900
LIST = "renderings.json"
COMMAND = "python -m datasets.synthetic pictures"

_TILE = 132  # side of a picture on a sheet, in pixels
_QUALITY = 82
_SIDE = 224  # of a composed picture, in pixels: what a model sees
COMPOSED = (  # what is shown, and what it lies on
    ("tusk_pair", "shirt_like_cloth"),
    ("tusk_hollow_pieces", "cardboard_boxes"),
    ("ivory_bangle", "books"),
    ("rhino_horn_whole", "tools"),
    ("rhino_horn_slices", "telephone"),
    ("pangolin_single", "apples"),
    ("pangolin_few", "books"),
)
BESIDE = "mug"
CARVINGS = ("ivory_figure", "ivory_ball", "ivory_bangle")
MATERIALS = (
    "wooden_bowl",
    "wooden_figure",
    "stone_egg",
    "resin_figure",
    "toy_bricks",
    "plates",
    "mug",
)


def write(output: Path, say: Callable[[str], None] = print) -> None:
    """Render one picture of each scene, and compose some; writes the sheets and their list.

    Args:
        output: The folder of the documentation's pictures.
        say: Where progress is told.
    """
    output.mkdir(parents=True, exist_ok=True)
    order = {label: place for place, label in enumerate((*PRODUCTS, *LOOKALIKES, *OTHERS))}
    names = sorted(SCENES, key=lambda name: (order[SCENES[name].label], name))
    photos = {}
    for name in names:
        photos[name] = render(name, SEED, SIZE, SAMPLES, with_mask=True)
        say(f"{len(photos)}/{len(names)}  {name}")
    sheets = {
        "scenes.jpg": contact_sheet([(name, _pixels(photos[name])) for name in names], _TILE, 11),
        "composed.jpg": contact_sheet(composed(photos), _TILE, 7),
        "recast.jpg": contact_sheet(recasts(photos), _TILE, 1 + len(MATERIALS)),
    }
    entries = []
    for file, sheet in sheets.items():
        data = cv2.imencode(
            ".jpg",
            cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR),
            [cv2.IMWRITE_JPEG_QUALITY, _QUALITY],
        )[1].tobytes()
        (output / file).write_bytes(data)
        entries.append(
            {"file": file, "sha256": hashlib.sha256(data).hexdigest(), "command": COMMAND}
        )
    (output / LIST).write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


def composed(photos: dict[str, Photo]) -> list[tuple[str, Picture]]:
    """Compose rendered objects on rendered backdrops: above one of each, below several."""
    pictures = []
    for most in (1, 9):
        for number, (subject, behind) in enumerate(COMPOSED):
            rng = np.random.default_rng([SEED, most, number])
            backdrop = cv2.resize(_pixels(photos[behind]), (_SIDE, _SIDE))
            objects = [_cutout(photos[subject])]
            if most > 1:
                objects = several(objects[0], lambda: None, most, rng)
            others = [] if most == 1 else [_cutout(photos[BESIDE])]
            pictures.append((subject, compose(backdrop, objects, others, rng)))
    return pictures


def recasts(photos: dict[str, Photo]) -> list[tuple[str, Picture]]:
    """Show carvings in other materials: the materials above, then a row for each carving."""
    pictures = [("carved in, shown as:", np.full((_TILE, _TILE, 3), 255, np.uint8))]
    pictures += [(name, _pixels(photos[name])) for name in MATERIALS]
    for number, carving in enumerate(CARVINGS):
        photo = photos[carving]
        pictures.append((carving, _pixels(photo)))
        for place, material in enumerate(MATERIALS):
            rng = np.random.default_rng([SEED, number, place])
            made = recast(_pixels(photo), _mask(photo), _cutout(photos[material]), rng)
            pictures.append(("", _pixels(photo) if made is None else made))
    return pictures


def _pixels(photo: Photo) -> Picture:
    data = np.frombuffer(photo.jpeg, np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)


def _cutout(photo: Photo) -> Cutout:
    return cut_out(_pixels(photo), _mask(photo))


def _mask(photo: Photo) -> Picture:
    assert photo.mask is not None  # noqa: S101 - each is rendered with one
    return np.asarray(photo.mask.astype(np.uint8) * np.uint8(255))
