"""Choose the photos to measure a bundle on, and say what figures on them mean."""

from __future__ import annotations

from collections.abc import Sequence

from recognizer.dataset import manifest
from recognizer.dataset.manifest import Photo
from recognizer.errors import DatasetError
from recognizer.model.bundle import Bundle

SPLIT_CAVEATS = {
    "test": "Photos from sources that training never saw.",
    "validation": (
        "Photos that the data hold out of training. A bundle that was calibrated on them cannot be "
        "tested on them."
    ),
    "all": "All photos that you gave: worth something if training saw none of them.",
}
"""What the figures of a split mean, in a sentence or two."""


def corrected(bundle: Bundle, photos: Sequence[Photo]) -> list[Photo]:
    """Return the photos with the corrected labels that the bundle was made and measured with.

    Raises:
        DatasetError: its corrections cannot be read.
    """
    tables = bundle.training.recipe.get("corrections") if bundle.training else None
    found = list(photos)
    for table in [tables] if isinstance(tables, str) else tables or []:
        found = manifest.corrected(found, table) if table else found
    return found


def photos_of_split(photos: Sequence[Photo], split: str) -> list[Photo]:
    """Return the photos of a split; ``all`` stands for all photos, whatever their split.

    Raises:
        DatasetError: there are none.
    """
    found = [p for p in photos if split in {p.split, "all"}]
    if not found:
        hint = ": give --split all if training saw none of these" if split == "test" else ""
        raise DatasetError(f"no photos in the split {split!r}{hint}")
    return found
