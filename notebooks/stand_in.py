"""Photos for the notebooks if you have none yet: the sample images, as six shops would show them.

That is enough to run every line, and good for nothing else: the images are renderings, and the same
things are shown in training and in test.
"""

from __future__ import annotations

import base64
import functools
import html
import io
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from IPython.display import HTML
from PIL import Image

SAMPLES = Path(__file__).resolve().parents[1] / "datasets" / "samples"
_SIDE = 320  # pixels
_SHOPS = {  # left, top, right, bottom, as shares; JPEG quality
    "anna": (0.00, 0.00, 1.00, 1.00, 90),
    "bert": (0.00, 0.00, 0.80, 0.75, 80),
    "carla": (0.25, 0.10, 1.00, 0.85, 70),
    "dora": (0.10, 0.25, 0.85, 1.00, 60),
    "emil": (0.00, 0.20, 0.75, 0.95, 85),
    "finn": (0.20, 0.00, 0.95, 0.70, 75),
}


def photos_folder() -> str:
    """Return ``$RECOGNIZER_DATA``, or stand-ins: a folder for each label and shop."""
    if given := os.environ.get("RECOGNIZER_DATA"):
        return given
    folder = scratch("photos")
    if not folder.exists():
        for entry in json.loads((SAMPLES / "samples.json").read_text(encoding="utf-8")):
            image = Image.open(SAMPLES / entry["file"]).convert("RGB")
            width, height = image.size
            for shop, (left, top, right, bottom, quality) in _SHOPS.items():
                box = (left * width, top * height, right * width, bottom * height)
                file = folder / entry["label"] / shop / entry["file"]
                file.parent.mkdir(parents=True, exist_ok=True)
                shown = image.crop(tuple(map(int, box)))
                shown.thumbnail((_SIDE, _SIDE))
                shown.save(file, quality=quality)
    return str(folder)


def scratch(name: str) -> Path:
    """Return a path in a temporary folder, which goes when the notebook ends."""
    return Path(_folder().name) / name


def show(pictures: Iterable[tuple[str, np.ndarray]], side: int = 150) -> HTML:
    """Show pictures, RGB, above words; ``side`` is the longer one of each in pixels."""
    shown = ""
    for words, rgb in pictures:
        picture, file = Image.fromarray(rgb), io.BytesIO()
        picture.thumbnail((side, side))
        picture.save(file, "JPEG")
        jpeg = base64.b64encode(file.getvalue()).decode("ascii")
        image = f'<img src="data:image/jpeg;base64,{jpeg}">'
        shown += f'<figure style="display: inline-block">{image}<p>{html.escape(words)}</figure>'
    return HTML(shown)


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="recognizer-notebook-", ignore_cleanup_errors=True)
