"""Calibration and thresholds from answers for sources that the answering network had not seen.

Every photo of training is scored by a network, or a head, that had nothing of the photo's fold. A
threshold is the median over the folds of that which each needs: one fold leaves out a museum whose
stone carvings nothing else teaches, and its false positives are not those of an ordinary source.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recognizer.dataset.manifest import Photo, fingerprint
from recognizer.evaluation.calibrate import fit_platt
from recognizer.evaluation.metrics import share
from recognizer.evaluation.thresholds import expected_log_odds
from recognizer.model.bundle import Bundle
from recognizer.model.description import Calibration, CalibrationFit, CalibrationPhotos
from recognizer.policy import FALSE_POSITIVE_RATES
from recognizer.taxonomy import Kind

Floats = NDArray[np.float64]
LOUDER = {Kind.PRODUCT: 0.0, Kind.LOOKALIKE: 1.0, Kind.OTHER: 1.0, Kind.ANIMAL: 3.0}
"""Log-odds by which what is no product is taken to be more frequent; a living animal is none.

It decides which label has the highest score, and no lead."""

PREVALENCE = 0.01
"""Share of all photos that each label is taken to have: what is rare in the data may not be rare
elsewhere, and no product may be louder because it has more photos."""


EVENED = 0.5
"""How far products are moved from one threshold for all (0) towards an equal share of the false
positives for each (1). Out of fold, at the same 1 % of photos without a product, half of the way
finds most products: 33 % in the mean over products instead of 27 %, and no less ivory."""


def log_odds(logits: NDArray[np.floating]) -> Floats:
    """Return log(p / (1 - p)) of softmax probabilities, as the exported model gives them."""
    x = np.asarray(logits, np.float64)
    peak = x.max(1, keepdims=True)
    e = np.exp(x - peak)
    rest = np.maximum(e.sum(1, keepdims=True) - e, 1e-30)
    return np.asarray(x - peak - np.log(rest))


def calibrations(
    values: Floats, table: pd.DataFrame, labels: Sequence[str], count: Mapping[str, int]
) -> list[tuple[float, float]]:
    """Return slope and intercept of each label, of which there are ``count`` training photos.

    Heads are fitted with labels weighted by the root of their photos. That prior is taken back
    first; then one line for all labels does, since a line for each is no better on folds that its
    fit has not seen.
    """
    prior = np.array([0.5 * math.log(count[name]) for name in labels])
    truth = table.label.to_numpy(str)
    hits = np.stack([truth == name for name in labels], 1)
    weight = np.where(
        hits,
        PREVALENCE / np.maximum(hits.sum(0), 1),
        (1 - PREVALENCE) / np.maximum((~hits).sum(0), 1),
    )
    shifted = values - prior
    some = hits.sum(0) >= 5

    x, y, w = (a[:, some].ravel() for a in (shifted, hits.astype(float), weight))
    slope, intercept = fit_platt(x, y, w / w.mean(), c=1e6)
    return [(slope, intercept - slope * float(own)) for own in prior]


def threshold(scores: Floats, fold: NDArray[np.int64], rate: float) -> float:
    """Return the probability that a share ``rate`` of a fold's negatives exceeds, in the median."""
    p = scores.clip(1e-9, 1 - 1e-9)
    odds = np.log(p) - np.log1p(-p)
    each = [expected_log_odds(odds[fold == f], rate) for f in np.unique(fold)]
    return math.ceil(1e6 / (1 + math.exp(-float(np.median(each))))) / 1e6


def thresholds(scores: Floats, fold: NDArray[np.int64]) -> dict[float, float]:
    """Return the threshold of each named rate."""
    return {rate: threshold(scores, fold, rate) for rate in FALSE_POSITIVE_RATES}


def calibrated(
    bundle: Bundle,
    logits: NDArray[np.floating],
    table: pd.DataFrame,
    photos: Sequence[Photo],
    count: Mapping[str, int],
) -> Bundle:
    """Return a bundle with calibrations and thresholds.

    Args:
        bundle: with any.
        logits: (N, labels), of each photo by what had not seen its fold.
        table: of the N photos: ``label``, ``fold``, ``product``.
        photos: the same.
        count: label -> training photos.
    """
    values = log_odds(logits)
    bundle = with_lines(bundle, values, table, count)
    negative = ~table["product"].to_numpy(bool)
    fold = table.fold.to_numpy()[negative]
    bundle = evened(bundle, values[negative], fold)
    scores = bundle.calibrate(values)[negative]
    families = bundle.family_scores(scores)
    return replace(
        bundle,
        labels=tuple(
            replace(label, thresholds=thresholds(own_scores, fold))
            if label.kind is Kind.PRODUCT
            else label
            for label, own_scores in zip(bundle.labels, scores.T, strict=True)
        ),
        families=tuple(
            replace(family, thresholds=thresholds(own_scores, fold))
            for family, own_scores in zip(bundle.families, families.T, strict=True)
        ),
        any_product_thresholds=thresholds(families.max(1), fold),
        calibration=CalibrationPhotos(
            photos=len(photos),
            negatives=int(negative.sum()),
            sources=len({p.source for p in photos}),
            fingerprint=fingerprint(photos),
        ),
    )


def with_lines(
    bundle: Bundle, values: Floats, table: pd.DataFrame, count: Mapping[str, int]
) -> Bundle:
    """Return a bundle with the lines of :func:`calibrations`; see there for the arguments."""
    lines = calibrations(values, table, bundle.label_names, count)
    positives = table.label.value_counts()
    return replace(
        bundle,
        labels=tuple(
            replace(
                label,
                calibration=Calibration(slope, intercept + LOUDER[label.kind]).rounded(),
                fit=CalibrationFit(
                    method="platt_shared", positives=int(positives.get(label.name, 0))
                ),
            )
            for label, (slope, intercept) in zip(bundle.labels, lines, strict=True)
        ),
    )


def evened(bundle: Bundle, values: Floats, fold: NDArray[np.int64]) -> Bundle:
    """Return a bundle whose products share the false positives of the default policy more evenly.

    Log-odds of products are moved by family, as if some were more frequent than others: no order
    within a product changes.

    Args:
        bundle: calibrated.
        values: log-odds before calibration, (N, labels), of photos without a product.
        fold: of each.
    """
    families = bundle.family_scores(bundle.calibrate(values))
    each = np.array([threshold(own, fold, 0.001) for own in families.T])
    odds = np.log(each) - np.log1p(-each)
    moved = {
        member: float(change)
        for family, change in zip(bundle.families, EVENED * (odds.mean() - odds), strict=True)
        for member in family.members
    }
    return replace(
        bundle,
        labels=tuple(
            replace(label, calibration=_moved(label.calibration, moved.get(label.name, 0.0)))
            for label in bundle.labels
        ),
    )


def _moved(curve: Calibration, change: float) -> Calibration:
    return Calibration(curve.slope, curve.intercept + change).rounded()


def left_out_rates(
    scores: Floats, table: pd.DataFrame, rate: float = 0.01
) -> Mapping[int, tuple[str, str]]:
    """Return for each fold, at a threshold by the other folds alone, negatives over it, products.

    Args:
        scores: (N,), the highest calibrated family.
        table: of the N photos.
        rate: of the threshold.
    """
    fold, product = table.fold.to_numpy(), table["product"].to_numpy(bool)
    found = {}
    for f in np.unique(fold):
        others = (fold != f) & ~product
        over = (fold == f) & (scores > threshold(scores[others], fold[others], rate))
        mine = fold == f
        found[int(f)] = tuple(
            str(share(int((over & side).sum()), int((mine & side).sum())))
            for side in (~product, product)
        )
    return found
