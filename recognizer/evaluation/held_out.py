"""Choose the photos to measure a bundle on, and say what figures on them mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from recognizer.dataset import splits
from recognizer.dataset.manifest import Photo, fingerprint
from recognizer.dataset.splits import DataRecipe, prepare
from recognizer.errors import DatasetError, TrainingError
from recognizer.model.bundle import Bundle

SPLIT_CAVEATS = {
    "test": "Photos from sources that training never saw.",
    "validation": (
        "Photos that training did not see, mostly from sources that it saw. Calibration and "
        "thresholds were fitted on these photos, so they cannot be tested on them."
    ),
    "all": "All photos that you gave: worth something if training saw none of them.",
}
"""What the figures of a split mean, in a sentence or two."""


def corrected(bundle: Bundle, photos: Sequence[Photo]) -> list[Photo]:
    """Return the photos with the corrected labels that the bundle was made and measured with.

    Raises:
        DatasetError: its corrections cannot be read; or, a TrainingError, its recipe.
    """
    recipe = _recipe(bundle)
    if recipe is None or not recipe.corrections:
        return list(photos)
    return splits.corrected(photos, recipe.corrections)


def photos_of_split(bundle: Bundle, photos: Sequence[Photo], split: str) -> list[Photo]:
    """Return the photos of the split ``test``, or ``validation`` for those that training held out.

    ``all`` stands for all photos that are evidence, whatever their split.

    Raises:
        DatasetError: there are none; or, for ``validation``, these are not the data that the
            bundle was made from.
    """
    if split == "validation":
        own = [p for p in photos if p.split == split]
        if own and bundle.calibration and fingerprint(own) == bundle.calibration.fingerprint:
            return own  # the bundle was calibrated on the manifest's own split
        photos = as_in_training(bundle, photos)
    if split == "all":
        return [p for p in photos if p.is_evidence]
    found = [p for p in photos if p.split == split]
    if not found:
        hint = ": give --split all if training saw none of these" if split == "test" else ""
        raise DatasetError(f"no photos in the split {split!r}{hint}")
    return found


def as_in_training(bundle: Bundle, photos: Sequence[Photo]) -> list[Photo]:
    """Return all photos with the splits that a bundle's training gave them.

    Raises:
        DatasetError: these are not the data that the bundle was made from.
    """
    try:
        recipe = _recipe(bundle)
        if recipe is None:
            raise DatasetError("the bundle does not say how it was trained")
        plain = replace(recipe, patches="", exclude_sources=recipe.left_out_sources)
        split = prepare(photos, plain)
    except (TrainingError, DatasetError) as error:
        raise DatasetError(f"the photos that training held out are unknown: {error}") from error
    held = [p for p in split if p.split == "validation"]
    known = {bundle.training.held_out} if bundle.training else set()
    known |= {bundle.calibration.fingerprint} if bundle.calibration else set()
    if fingerprint(held) not in known:
        raise DatasetError(
            f"{bundle.title} was made from other data: the photos that training held out are "
            "unknown; give the data that it was made from"
        )
    return split


def _recipe(bundle: Bundle) -> DataRecipe | None:
    if bundle.training is None:
        return None
    return DataRecipe.of(bundle.training.recipe, f"{bundle.title}: its recipe")
