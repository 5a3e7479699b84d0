"""Is a living animal no product, and its horn or its scales on a table one?

Patches of living animals teach what a product is made of. Those of held-out photos, which no
training saw, tell whether it was learned: the whole photo should be called the animal, and the
patch, laid on ordinary photos, should be found.
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
from recognizer.dataset.manifest import Photo, read_photo
from recognizer.evaluation.metrics import bootstrap_mean, share
from recognizer.imaging import model_input
from recognizer.model.evidence import Estimate
from recognizer.recognizer import Recognizer
from recognizer.taxonomy import Kind, load_taxonomy

BEHIND = ("listing_other", "scene_other", "texture")
"""The labels of the photos that patches are laid on."""

BACKDROPS = 8
"""On how many photos each patch is laid."""

RATE = 0.01
_SIDE = 320  # pixels, of the pictures that are composed
_BATCH = 64


@dataclass(frozen=True, slots=True)
class BothSides:
    """What became of the held-out patches of one product, and of the photos that they are from.

    Attributes:
        product: what the patches are of.
        photos: of living animals.
        called_animal: share of them whose highest score is the animal's.
        called_product: share of them whose highest score is that of any product.
        patches: in these photos.
        found: share of the ordinary photos with a patch laid on them on which the product's score
            is over its threshold for 1 % of false alarms. The interval is over patches.
        found_without: likewise, of the same photos without a patch.
    """

    product: str
    photos: int
    called_animal: Estimate
    called_product: Estimate
    patches: int
    found: Estimate
    found_without: Estimate


def measure_both_sides(
    recognizer: Recognizer, held: Sequence[Photo], table: str | Path
) -> tuple[BothSides, ...]:
    """Measure a bundle on living animals that its training held out.

    Args:
        recognizer: the bundle.
        held: photos that training did not see; those of animals, and those to lay patches on,
            are used.
        table: of patches (see :func:`recognizer.dataset.annotations.patches`).

    Returns:
        One for each product that patches of these animals are of, and that the bundle knows; none
        where there is nothing to lay them on.

    Raises:
        DatasetError: the table is wrong, or a photo cannot be read.
    """
    kinds = load_taxonomy().labels
    living = {p.sha256: p for p in held if kinds[p.label].kind is Kind.ANIMAL}
    # The table is meant for training photos, and leaves out the patches of all others.
    outlined = patches([replace(p, split="train") for p in living.values()], table)
    behind = [p for p in held if p.label in BEHIND]
    names = recognizer.bundle.label_names
    found = []
    for product in sorted({p.label for p in outlined} & set(names)) if behind else ():
        own = [p for p in outlined if p.label == product]
        animals = list({p.sha256: living[p.sha256] for p in own}.values())
        scores = _scores(recognizer, [read_photo(p, _SIDE) for p in animals])
        best = [names[i] for i in scores.argmax(axis=1)]
        right = sum(name == p.label for name, p in zip(best, animals, strict=True))
        called = sum(kinds[name].kind is Kind.PRODUCT for name in best)
        column = names.index(product)
        limit = recognizer.bundle.labels[column].thresholds[RATE]
        over = [
            (_scores(recognizer, pictures)[:, column] > limit).reshape(len(own), -1).mean(axis=1)
            for pictures in _laid(own, behind)
        ]
        found.append(
            BothSides(
                product,
                len(animals),
                share(right, len(animals)),
                share(called, len(animals)),
                len(own),
                bootstrap_mean(over[1]),
                bootstrap_mean(over[0]),
            )
        )
    return tuple(found)


def _laid(
    own: Sequence[Photo], behind: Sequence[Photo]
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Return ordinary photos, and the same ones with a patch laid on each, patch by patch."""
    alone, laid = [], []
    for number, patch in enumerate(own):
        rgb = read_photo(patch, _SIDE)
        piece = cut_out(rgb, outline_mask(patch.outline, *rgb.shape[:2]))
        rng = np.random.default_rng(number)
        for place in rng.integers(len(behind), size=BACKDROPS):
            backdrop = cv2.resize(read_photo(behind[place], _SIDE), (_SIDE, _SIDE))
            alone.append(np.asarray(backdrop, np.uint8))
            laid.append(compose(alone[-1], [piece], [], rng))
    return alone, laid


def _scores(recognizer: Recognizer, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Return calibrated probabilities, (pictures, labels)."""
    size = recognizer.bundle.input_size
    inputs = [model_input(rgb, size) for rgb in pictures]
    parts = [inputs[i : i + _BATCH] for i in range(0, len(inputs), _BATCH)]
    log_odds = np.concatenate([recognizer.features(np.stack(part))[0] for part in parts])
    return recognizer.bundle.calibrate(log_odds)
