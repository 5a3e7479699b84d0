"""Shortcuts: properties of stored files that tell products from others without a look at them.

A collection that keeps products larger, or compresses them otherwise, teaches and measures that.
CleanVision and cleanlab's Datalab look for such correlations in brightness, blur and size of
pictures; here it is the files.
"""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, JpegImagePlugin
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from recognizer.lab.dataset.manifest import Photo, in_chunks, read_file

MAX_AUC = 0.6  # above it a property is worth a warning: 0.5 is none, and content moves it a little

_FOLDS = 5  # each leaves out sources of its own
MIN_SOURCES, MIN_PHOTOS = _FOLDS, 20  # with a product and without: at least a source for each fold

_MIN_OF_LEAF = 20
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


@dataclass(frozen=True, slots=True)
class Shortcut:
    """How well a property of files tells photos of products from others, of other sources.

    ``auc`` is the area under the ROC curve, 0.5 for not at all.
    """

    name: str
    auc: float


def measure_shortcuts(
    photos: Sequence[Photo], on_progress: Callable[[int, int], None] = lambda done, of: None
) -> tuple[Shortcut, ...]:
    """Measure each property of the photos' files alone, and all together, the strongest first.

    A small tree is fitted with whole sources left out: what tells a source alone is not a shortcut
    to others, and an area below 0.5 counts as that. Empty with too few photos or sources.
    """
    positive = np.array([photo.is_product for photo in photos])
    sources = np.array([photo.source for photo in photos])
    counts = [(side.sum(), len(set(sources[side]))) for side in (positive, ~positive)]
    if any(shown < MIN_PHOTOS or of < MIN_SOURCES for shown, of in counts):
        return ()
    table = [*in_chunks(lambda some: [_properties(p) for p in some], photos, on_progress)]
    groups: Mapping[str, Sequence[str]] = {
        "size": ("short side", "long side"),
        "aspect": ("aspect",),
        "format": ("format",),
        "JPEG tables": ("luminance", "chroma", "subsampling", "progressive"),
        "bytes per pixel": ("density",),
    }
    groups = {**groups, "all of these": [name for names in groups.values() for name in names]}
    splitter = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    folds = list(splitter.split(positive, positive, sources))
    small = {"min_samples_leaf": _MIN_OF_LEAF, "max_leaf_nodes": 16}
    tree = DecisionTreeClassifier(**small, class_weight="balanced", random_state=0)
    found = []
    for name, columns in groups.items():
        values = np.array([[row[column] for column in columns] for row in table])
        scores = cross_val_predict(tree, values, positive, cv=folds, method="predict_proba")[:, 1]
        auc = round(max(0.5, float(roc_auc_score(positive, scores))), 3)
        found.append(Shortcut(name, auc))
    return tuple(sorted(found, key=lambda one: -one.auc))


def _properties(photo: Photo) -> dict[str, float]:
    content = read_file(photo.path)
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
        tables = getattr(image, "quantization", None) or {}
        is_jpeg = isinstance(image, JpegImagePlugin.JpegImageFile)
        kind = image.format or ""
        return {
            "short side": min(width, height),
            "long side": max(width, height),
            "aspect": width / height,
            "format": _FORMATS.index(kind) if kind in _FORMATS else -1,
            "luminance": float(np.mean(tables[0])) if 0 in tables else -1,
            "chroma": float(np.mean(tables[1])) if 1 in tables else -1,
            "subsampling": JpegImagePlugin.get_sampling(image) if is_jpeg else -1,
            "progressive": float(bool(image.info.get("progressive"))),
            "density": math.log(len(content) / (width * height)),
        }
