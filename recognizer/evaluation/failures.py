"""What a model gets wrong, shown on pictures of our own making, since photos belong to others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recognizer.dataset.manifest import Photo, read_photo
from recognizer.dataset.sheets import contact_sheet
from recognizer.policy import Decision, Policy
from recognizer.prediction import Prediction
from recognizer.recognizer import Recognizer
from recognizer.taxonomy import Kind, load_taxonomy

_COLUMNS = 7
_TILE = 132  # side of a picture, in pixels


def failures_sheet(
    recognizer: Recognizer, photos: Sequence[Photo], predictions: Sequence[Prediction]
) -> NDArray[np.uint8]:
    """Draw the worst misses above, and the worst false alarms below.

    Misses are pictures of products that the default policy clears, the lowest score of any product
    first; false alarms are pictures without a product, the highest score of any product first.

    Args:
        recognizer: the loaded bundle.
        photos: rendered pictures that the model was not trained on.
        predictions: of these pictures.

    Returns:
        uint8, (height, width, 3), RGB.

    Raises:
        DatasetError: a picture cannot be decoded.
    """
    kinds, policy = load_taxonomy().labels, Policy()
    highest = [max(p.families.values(), default=0.0) for p in predictions]
    order = sorted(range(len(photos)), key=highest.__getitem__)

    def is_product(place: int) -> bool:
        return kinds[photos[place].label].kind is Kind.PRODUCT

    def is_cleared(place: int) -> bool:
        verdict = recognizer.decide(predictions[place], policy)
        return verdict.decision is Decision.CLEAR

    missed = [i for i in order if is_product(i) and is_cleared(i)][:_COLUMNS]
    wrong = [i for i in reversed(order) if not is_product(i)][:_COLUMNS]
    shown = []
    for place in [*missed, *wrong]:
        scores = predictions[place].scores
        best = max(scores, key=scores.__getitem__)
        words = f"{photos[place].label}\n{best} {scores[best]:.2f}"
        shown.append((words, read_photo(photos[place], _TILE)))
    blank = ("", np.zeros((_TILE, _TILE, 3), np.uint8))
    shown[len(missed) : len(missed)] = [blank] * (_COLUMNS - len(missed))
    return contact_sheet(shown, _TILE, _COLUMNS)
