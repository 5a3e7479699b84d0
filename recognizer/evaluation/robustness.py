"""Measure a bundle on altered photos, and whether it looks at the object.

Positives and negatives are altered in the same way, at set strengths, and the threshold stays that
of the unaltered photos. The background swap shows whether a score depends on the background: the
shortcut that photos of two museums invite.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.dataset.cutout import find_object
from recognizer.dataset.manifest import Photo, read_photo
from recognizer.errors import DatasetError
from recognizer.evaluation.evaluate import targets
from recognizer.evaluation.figures import Truth
from recognizer.evaluation.measured_alterations import ALTERATIONS, Alteration, Backdrops, Subject
from recognizer.evaluation.metrics import average_precision, share
from recognizer.evaluation.thresholds import threshold_at_fpr
from recognizer.model.evidence import Estimate
from recognizer.prediction import Prediction
from recognizer.recognizer import Recognizer

RATE = 0.01
"""The false-positive rate on the unaltered photos that sets the threshold."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The effect of one alteration on one family, or on any product.

    ``before`` is of the same photos unaltered. Shares have exact intervals, with the threshold
    taken as fixed.

    Attributes:
        alteration: its name.
        strength: in words.
        positives: altered photos of the family.
        negatives: altered photos without a product.
        recall_before: share of the positives over the threshold.
        recall: the same after the alteration.
        average_precision_before: of these positives and negatives.
        average_precision: the same after the alteration.
        score_change: mean change of the positives' score, -1 to 1.
        negative_score_change: mean change of the negatives' score.
        false_positive_rate_before: share of the negatives over the threshold.
        false_positive_rate: the same after the alteration.
    """

    alteration: str
    strength: str
    positives: int
    negatives: int
    recall_before: Estimate
    recall: Estimate
    average_precision_before: float
    average_precision: float
    score_change: float
    negative_score_change: float
    false_positive_rate_before: Estimate
    false_positive_rate: Estimate


@dataclass(frozen=True, slots=True)
class OnObject:
    """Mean share of a label's heat-map on the object, and of the picture that the object takes."""

    label: str
    photos: int
    heat: float
    area: float


@dataclass(frozen=True, slots=True)
class Robustness:
    """A bundle's robustness.

    Attributes:
        bundle: its title.
        digest: its digest.
        split: of the photos.
        photos: their number.
        masks: the number of those whose object can be cut out.
        thresholds: family, or any product -> its threshold on the unaltered photos.
        outcomes: the same keys -> an outcome for each alteration that could be measured.
        on_object: for each label of a product with a mask.
    """

    bundle: str
    digest: str
    split: str
    photos: int
    masks: int
    thresholds: Mapping[str, float]
    outcomes: Mapping[str, tuple[Outcome, ...]]
    on_object: tuple[OnObject, ...]

    def to_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"


def measure_robustness(
    recognizer: Recognizer,
    photos: Sequence[Photo],
    split: str,
    *,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
    threads: int = 2,
) -> Robustness:
    """Score photos before and after each alteration.

    Args:
        recognizer: the loaded bundle.
        photos: of one split; some must be without a product.
        split: its name.
        seed: of every random draw; how a photo is altered does not depend on the others.
        on_progress: called with the photos done and their number.
        threads: photos altered at the same time.

    Raises:
        DatasetError: a photo cannot be decoded, or none is without a product.
    """
    truth = Truth.of(photos)
    if not truth.negative.any():
        raise DatasetError("no photos without a product; a threshold needs negatives")
    measure = partial(_measure, recognizer, Backdrops(photos, recognizer.bundle.input_size), seed)
    measured: list[_Measured] = []
    with ThreadPoolExecutor(threads) as pool:
        for found in pool.map(measure, photos):
            measured.append(found)
            on_progress(len(measured), len(photos))
    bundle = recognizer.bundle
    before = [
        target
        for target in targets(bundle, truth, [m.before for m in measured])
        if target.positive.any()
    ]
    thresholds = {
        target.name: threshold_at_fpr(target.scores[truth.negative], RATE) for target in before
    }
    outcomes: dict[str, list[Outcome]] = {target.name: [] for target in before}
    for i, alteration in enumerate(ALTERATIONS):
        there = np.array([m.after[i] is not None for m in measured])
        # If a photo could not be altered, its own prediction fills the place, and is left out.
        altered = targets(bundle, truth, [m.after[i] or m.before for m in measured])
        scores = {target.name: target.scores for target in altered}
        for target in before:
            positive, negative = target.positive & there, truth.negative & there
            if positive.any() and negative.any():
                outcome = _outcome(
                    alteration,
                    positive,
                    negative,
                    target.scores,
                    scores[target.name],
                    thresholds[target.name],
                )
                outcomes[target.name].append(outcome)
    return Robustness(
        bundle.title,
        bundle.digest,
        split,
        len(photos),
        sum(m.has_mask for m in measured),
        thresholds,
        {name: tuple(found) for name, found in outcomes.items()},
        _on_object(photos, measured),
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    """The predictions of one photo before and after each alteration (None if it is impossible).

    ``on_object`` has the shares of :func:`heat_on_object`; None without heat, mask or product.
    """

    before: Prediction
    after: tuple[Prediction | None, ...]
    has_mask: bool
    on_object: tuple[float, float] | None


def _measure(recognizer: Recognizer, backdrops: Backdrops, seed: int, photo: Photo) -> _Measured:
    rgb = read_photo(photo, recognizer.bundle.input_size)
    subject = Subject(rgb, find_object(rgb), backdrops)
    key = int(photo.sha256[:15], 16)  # so that its alterations do not depend on the other photos
    done = [
        place
        for place, alteration in enumerate(ALTERATIONS)
        if subject.mask is not None or not alteration.needs_mask
    ]
    pictures = [
        ALTERATIONS[place].change(subject, np.random.default_rng([seed, key, place]))
        for place in done
    ]
    before, *rest = recognizer.predict_many([rgb, *pictures])
    after = dict(zip(done, rest, strict=True))
    on_object = None
    if subject.mask is not None and photo.is_product and photo.label in recognizer.labels:
        on_object = heat_on_object(recognizer.explain(rgb, photo.label).heatmap, subject.mask)
    return _Measured(
        before=before,
        after=tuple(after.get(place) for place in range(len(ALTERATIONS))),
        has_mask=subject.mask is not None,
        on_object=on_object,
    )


def heat_on_object(
    heatmap: NDArray[np.float32], mask: NDArray[np.uint8]
) -> tuple[float, float] | None:
    """Return the share of a heat-map that lies on an object, and the share of the area it takes.

    Args:
        heatmap: float32, (h, w), at least 0, over the whole picture.
        mask: uint8, of any size over the whole picture, 255 on the object.

    Returns:
        Both from 0 to 1; None without any heat.
    """
    height, width = heatmap.shape
    cover = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA) / 255.0
    whole = float(heatmap.sum())
    if whole <= 0:
        return None
    return float((heatmap * cover).sum()) / whole, float(cover.mean())


def _on_object(photos: Sequence[Photo], measured: Sequence[_Measured]) -> tuple[OnObject, ...]:
    shares: dict[str, list[tuple[float, float]]] = {}
    for photo, found in zip(photos, measured, strict=True):
        if found.on_object is not None:
            shares.setdefault(photo.label, []).append(found.on_object)
    return tuple(
        OnObject(label, len(pairs), *(float(mean) for mean in np.mean(pairs, axis=0)))
        for label, pairs in sorted(shares.items())
    )


def _outcome(
    alteration: Alteration,
    positive: NDArray[np.bool_],
    negative: NDArray[np.bool_],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    threshold: float,
) -> Outcome:
    used = positive | negative

    def over(scores: NDArray[np.float64], photos: NDArray[np.bool_]) -> Estimate:
        return share(int((scores[photos] > threshold).sum()), int(photos.sum()))

    return Outcome(
        alteration=alteration.name,
        strength=alteration.strength,
        positives=int(positive.sum()),
        negatives=int(negative.sum()),
        recall_before=over(before, positive),
        recall=over(after, positive),
        average_precision_before=average_precision(positive[used], before[used]),
        average_precision=average_precision(positive[used], after[used]),
        score_change=float((after - before)[positive].mean()),
        negative_score_change=float((after - before)[negative].mean()),
        false_positive_rate_before=over(before, negative),
        false_positive_rate=over(after, negative),
    )
