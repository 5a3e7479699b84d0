"""Turn log-odds into probabilities, on held-out photos, while a bundle is made.

All labels share one line (Platt, 1999); products are then moved a little, so that they share the
false positives of the one threshold more evenly.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from recognizer.engine import Recognizer
from recognizer.errors import DatasetError
from recognizer.lab.dataset.manifest import Photo, fingerprint
from recognizer.lab.evaluation.thresholds import expected_log_odds, fit_thresholds
from recognizer.model.bundle import Bundle
from recognizer.model.description import (
    NEVER,
    BundleFamily,
    BundleLabel,
    Calibration,
    CalibrationFit,
    CalibrationPhotos,
)
from recognizer.model.numerics import logit, sigmoid
from recognizer.taxonomy import Kind, Taxonomy

_NEAR, _RATE = 0.05, 0.01  # false-positive rates; what is nearly a lead begins midway
EVENNESS = 0.25  # of 0, 0.25, 0.5 and 1, finds most out of fold (0.18 > 0.28 by product)
_SHARE = 0.001  # of the photos without a product, at which products are compared


def fit_calibration(log_odds: NDArray[np.floating], positive: NDArray[np.bool_]) -> Calibration:
    """Fit the line of all labels to log-odds, and to which photo has which label, (N, labels)."""
    values, hit = np.asarray(log_odds, np.float64).ravel(), positive.ravel()
    # Platt's targets are off 0 and 1, of which no number of photos can assure us. They do what a
    # penalty would: the slope stays finite if the model makes no mistake.
    positives, negatives = hit.sum(), (~hit).sum()
    targets = np.where(hit, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    return Calibration(*fit_platt(values, targets, np.ones(len(values)), c=1e6)).rounded()


def fit_platt(
    log_odds: NDArray[np.float64],
    targets: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    c: float,
) -> tuple[float, float]:
    """Return slope (at least 0.001) and intercept for N targets, 0 to 1; ``c`` is 1 / penalty."""
    # A target t is a positive of the weight t and a negative of the weight 1 - t.
    model = LogisticRegression(C=c, tol=1e-8, max_iter=1000).fit(
        np.tile(log_odds, 2)[:, None],
        np.repeat([True, False], len(log_odds)),
        np.concatenate([weights * targets, weights * (1 - targets)]),
    )
    # A slope of zero or below would turn the order of the scores around.
    return max(float(model.coef_[0, 0]), 1e-3), float(model.intercept_[0])


def uncalibrated(labels: Sequence[str], taxonomy: Taxonomy, **values: Any) -> Bundle:
    """Return a bundle of which nothing is over a threshold; ``values`` are its other parts."""
    identity, kinds = Calibration(1.0, 0.0), {Kind.PRODUCT: NEVER}
    described = [(name, taxonomy.labels[name].kind) for name in labels]
    return Bundle(
        taxonomy=taxonomy,
        labels=tuple(
            BundleLabel(name=n, kind=k, calibration=identity, thresholds=kinds.get(k, {}))
            for n, k in described
        ),
        families=tuple(
            BundleFamily(name=name, members=members, thresholds=NEVER)
            for name in taxonomy.families
            if (members := tuple(m.name for m in taxonomy.members(name) if m.name in labels))
        ),
        any_product_thresholds=NEVER,
        not_recognized=tuple(p.name for p in taxonomy.products if p.name not in labels),
        **values,
    )


def calibrated(bundle: Bundle, log_odds: NDArray[np.floating], photos: Sequence[Photo]) -> Bundle:
    """Return a bundle with calibrations and thresholds for log-odds, (N, labels), of N photos."""
    negative = np.array([not p.is_product for p in photos])
    if not negative.any():
        raise DatasetError("no held-out photos without a product: thresholds cannot be set")
    positive = np.array([p.label for p in photos])[:, None] == np.array(bundle.label_names)
    line = fit_calibration(log_odds, positive)
    labels = [
        replace(label, calibration=line, fit=CalibrationFit(method="platt_shared", positives=count))
        for label, count in zip(bundle.labels, positive.sum(axis=0).tolist(), strict=True)
    ]
    bundle = _evened(replace(bundle, labels=tuple(labels)), log_odds[negative])
    # Thresholds hold for what users see: the calibrated scores, label by label and by family.
    scores = bundle.calibrate(log_odds[negative])
    family_scores = bundle.family_scores(scores)
    return replace(
        bundle,
        labels=tuple(
            replace(label, thresholds=fit_thresholds(own)) if label.kind is Kind.PRODUCT else label
            for label, own in zip(bundle.labels, scores.T, strict=True)
        ),
        families=tuple(
            replace(family, thresholds=fit_thresholds(own))
            for family, own in zip(bundle.families, family_scores.T, strict=True)
        ),
        any_product_thresholds=fit_thresholds(family_scores.max(axis=1, initial=0)),
        calibration=CalibrationPhotos(
            photos=len(photos),
            negatives=int(negative.sum()),
            sources=len({p.source for p in photos}),
            fingerprint=fingerprint(photos),
        ),
    )


def allowing_for_tta(
    bundle: Bundle, photos: Sequence[Photo], read: Callable[[str], NDArray[np.uint8]]
) -> Bundle:
    """Raise a bundle's thresholds by as much as test-time augmentation (TTA) raises high scores.

    Photos of products are left out; ``read`` takes a sha256 and returns uint8 (height, width, 3),
    RGB. A network scores the photos that it learned from lower, so that they set no threshold:
    compared are the log-odds that 1 % of them exceed, with TTA and without. TTA begins midway
    between these and what 5 % exceed: a higher share costs twice as much and finds little more.
    """
    photos = [photo for photo in photos if not photo.is_product]

    def highest(seen: Iterable[Photo], near: float) -> NDArray[np.float64]:
        # Without thresholds for leads, which are not rescored.
        draft = replace(bundle, tta_threshold=near, any_product_thresholds=NEVER)
        recognizer = Recognizer(draft, threads=1)
        scores = (recognizer.predict(read(photo.sha256)).families for photo in seen)
        return np.array([max(families.values(), default=0.0) for families in scores])

    once = highest(photos, 1.0)
    near = _midway(np.quantile(once, [1 - _NEAR, 1 - _RATE]))
    again = once.copy()
    again[once > near] = highest(compress(photos, once > near), near)
    before, after = logit(np.quantile([once, again], 1 - _RATE, axis=1))
    tta_threshold = _midway(np.array([bundle.any_product_thresholds[r] for r in (_NEAR, _RATE)]))
    by = round(float(after - before), 6)
    raised = partial(raised_above, above=tta_threshold, by=by)
    return replace(
        bundle,
        tta_threshold=tta_threshold,
        tta_raise=by,
        labels=tuple(replace(one, thresholds=raised(one.thresholds)) for one in bundle.labels),
        families=tuple(replace(one, thresholds=raised(one.thresholds)) for one in bundle.families),
        any_product_thresholds=raised(bundle.any_product_thresholds),
    )


def _midway(thresholds: NDArray[np.float64]) -> float:
    return float(sigmoid(logit(thresholds).mean()).round(6))


def raised_above(thresholds: Mapping[float, float], above: float, by: float) -> dict[float, float]:
    """Return thresholds, of which those above a probability are raised in log-odds."""
    return {
        rate: float(sigmoid(logit(one) + by).round(6)) if above < one < 1 else one
        for rate, one in thresholds.items()
    }


def _evened(bundle: Bundle, negatives: NDArray[np.floating]) -> Bundle:
    limits = {
        column: expected_log_odds(label.calibration(negatives[:, column]), _SHARE)
        for column, label in enumerate(bundle.labels)
        if label.kind is Kind.PRODUCT
    }
    if not limits:
        return bundle
    middle, labels = float(np.median([*limits.values()])), list(bundle.labels)
    for column, limit in limits.items():
        slope, intercept = labels[column].calibration.slope, labels[column].calibration.intercept
        line = Calibration(slope, intercept + EVENNESS * (middle - limit)).rounded()
        labels[column] = replace(labels[column], calibration=line)
    return replace(bundle, labels=tuple(labels))
