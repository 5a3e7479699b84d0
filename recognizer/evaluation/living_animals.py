"""Is a living animal cleared, and its horn on a table found?

A zoo's photos should not become leads. Patches of living animals teach what a product is made of;
those of held-out animals test it: the whole photo should be called the animal, and the patch, laid
on ordinary photos, should be found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.dataset.annotations import patches
from recognizer.dataset.compose import compose
from recognizer.dataset.cutout import cut_out, outline_mask
from recognizer.dataset.manifest import BACKDROP_LABELS, Photo, read_photo
from recognizer.engine import Recognizer
from recognizer.evaluation.metrics import bootstrap_mean, share
from recognizer.model.evidence import Estimate
from recognizer.taxonomy import Kind

BACKDROPS = 8
"""The number of photos that each patch is laid on."""

RATE = 0.01
_SIDE = 320  # pixels, of the composed pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutPatches:
    """Figures over the held-out patches of one product, and the photos that they are from.

    ``photos`` are of living animals, with the shares whose highest score is the animal's, or a
    product's. ``found`` is the share of the ordinary photos with a patch on them on which the
    product's score is over its threshold for a false-positive rate of 1 % (the interval is over
    patches); ``found_without`` is the same share without the patch.
    """

    product: str
    photos: int
    called_animal: Estimate
    called_product: Estimate
    patches: int
    found: Estimate
    found_without: Estimate


def measure_patches(
    recognizer: Recognizer, held: Sequence[Photo], table: str | Path
) -> tuple[HeldOutPatches, ...]:
    """Measure a bundle on the patches of living animals that its training held out.

    Among the photos that training did not see are animals and backdrops. There is one result for
    each product that the bundle knows; none without photos to lay patches on.

    Raises:
        DatasetError: the table of patches is wrong, or a photo cannot be read.
    """
    living = {p.sha256: p for p in held if p.kind is Kind.ANIMAL}
    # The table is of training photos; those of other splits are skipped.
    outlined = patches([replace(p, split="train") for p in living.values()], table)
    behind = [p for p in held if p.label in BACKDROP_LABELS]
    names = recognizer.bundle.label_names
    products = {label.name for label in recognizer.bundle.labels if label.kind is Kind.PRODUCT}
    found = []
    for product in sorted({p.label for p in outlined} & set(names)) if behind else ():
        own = [p for p in outlined if p.label == product]
        animals = list({p.sha256: living[p.sha256] for p in own}.values())
        scores = _scores(recognizer, [read_photo(p, _SIDE) for p in animals])
        best = [names[i] for i in scores.argmax(axis=1)]
        column = names.index(product)
        threshold = recognizer.bundle.labels[column].thresholds[RATE]
        without, over = (
            (_scores(recognizer, pictures)[:, column] > threshold).reshape(len(own), -1)
            for pictures in _composed(own, behind)
        )
        right = sum(name == p.label for name, p in zip(best, animals, strict=True))
        found.append(
            HeldOutPatches(
                product=product,
                photos=len(animals),
                called_animal=share(right, len(animals)),
                called_product=share(sum(name in products for name in best), len(animals)),
                patches=len(own),
                found=bootstrap_mean(over.mean(axis=1)),
                found_without=bootstrap_mean(without.mean(axis=1)),
            )
        )
    return tuple(found)


def _composed(
    own: Sequence[Photo], behind: Sequence[Photo]
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Return ordinary photos, and the same ones with a patch on each, patch by patch."""
    alone, covered = [], []
    for number, patch in enumerate(own):
        rgb = read_photo(patch, _SIDE)
        piece = cut_out(rgb, outline_mask(patch.outline, *rgb.shape[:2]))
        rng = np.random.default_rng(number)
        for place in rng.integers(len(behind), size=BACKDROPS):
            backdrop = cv2.resize(read_photo(behind[place], _SIDE), (_SIDE, _SIDE))
            alone.append(np.asarray(backdrop, np.uint8))
            covered.append(compose(alone[-1], [piece], [], rng))
    return alone, covered


def _scores(recognizer: Recognizer, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Return calibrated probabilities, (pictures, labels)."""
    return np.array([list(p.scores.values()) for p in recognizer.predict_many(pictures)])
