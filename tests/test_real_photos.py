"""What the released model makes of real photos that its training held out.

The photos belong to others and do not belong to the project: without them this is skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="the extra `evaluate` is not installed")

from recognizer.dataset.manifest import fingerprint, load_photos
from recognizer.engine import Recognizer
from recognizer.evaluation.held_out import photos_of_split
from recognizer.evaluation.robustness import ALTERATIONS, Robustness, measure_robustness
from recognizer.taxonomy import Kind, load_taxonomy

DATA = Path(os.environ.get("RECOGNIZER_DATA", Path(__file__).parents[2] / "shared" / "data"))
CHANGES = {"plain colours", "listing photos"}


@pytest.fixture(scope="module")
def measured() -> Robustness:
    """Forty photos of worked ivory, and sixty without a product, on other backgrounds."""
    if not (DATA / "manifest.csv").is_file():
        pytest.skip("no photos to measure on; RECOGNIZER_DATA may name their folder")
    recognizer = Recognizer.load(threads=1)
    photos = load_photos(DATA)
    made_from = fingerprint(photo for photo in photos if photo.split == "train")
    training = recognizer.bundle.training
    if training is None or training.fingerprint != made_from:
        # Photos that this bundle may have been trained on prove nothing.
        pytest.skip(f"{recognizer.bundle.title} was made from other photos than these")
    held = sorted(photos_of_split(photos, "test"), key=lambda p: p.sha256)
    kinds = load_taxonomy().labels
    ivory = [p for p in held if p.label == "ivory_worked"][:40]
    negatives = [p for p in held if kinds[p.label].kind is not Kind.PRODUCT]
    behind = [p for p in negatives if p.label in {"listing_other", "texture"}][:30]
    others = [p for p in negatives if p not in behind][:30]
    with pytest.MonkeyPatch.context() as patched:
        chosen = tuple(a for a in ALTERATIONS if a.strength in CHANGES)
        patched.setattr("recognizer.evaluation.robustness.ALTERATIONS", chosen)
        return measure_robustness(recognizer, [*ivory, *behind, *others], "test")


def test_the_heat_lies_on_the_object(measured: Robustness) -> None:
    """A heat-map that looks nowhere in particular puts as much on the object as its area."""
    (ivory,) = [found for found in measured.on_object if found.label == "ivory_worked"]
    assert ivory.photos >= 20
    assert ivory.heat > 1.5 * ivory.area


@pytest.mark.parametrize("background", sorted(CHANGES))
def test_the_score_does_not_hang_on_the_background(measured: Robustness, background: str) -> None:
    """Far from independent of it (docs/evaluation.md); a model that is worse is not released."""
    (outcome,) = [o for o in measured.outcomes["any product"] if o.strength == background]
    assert outcome.average_precision_before > 0.9
    assert outcome.average_precision > 0.85
    assert outcome.score_change > -0.3
