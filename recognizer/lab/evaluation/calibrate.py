"""Turn log-odds into probabilities, on held-out photos, and write them into a bundle.

All labels share one line (Platt, 1999); products are then moved a little, so that they share the
false positives of the one threshold more evenly.
"""

import shutil
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from recognizer import __version__
from recognizer.engine import Recognizer
from recognizer.errors import DatasetError
from recognizer.lab.dataset.manifest import Photo, fingerprint
from recognizer.lab.dataset.outputs import run_photos
from recognizer.lab.evaluation.templates import render
from recognizer.lab.evaluation.thresholds import expected_log_odds, fit_thresholds, raised
from recognizer.model.bundle import Bundle, write_bundle
from recognizer.model.description import (
    NEVER,
    BundleFamily,
    BundleLabel,
    Calibrated,
    Calibration,
    CalibrationFit,
    CalibrationPhotos,
)
from recognizer.model.folders import CARD_FILE, check_output, new_bundle
from recognizer.taxonomy import Kind, Taxonomy

MIN_POSITIVES = 10  # an enrolled label with fewer held-out photos than this keeps its calibration
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
    identity, described = Calibration(1.0, 0.0), []
    for name in labels:
        kind = taxonomy.labels[name].kind
        thresholds = NEVER if kind is Kind.PRODUCT else {}
        described.append(
            BundleLabel(name=name, kind=kind, calibration=identity, thresholds=thresholds)
        )
    return Bundle(
        taxonomy=taxonomy,
        labels=tuple(described),
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
    truth = np.array([p.label for p in photos])[:, None]
    positive = truth == np.array(bundle.label_names)
    line = fit_calibration(log_odds, positive)
    labels, kept = [], set[str]()
    for label, count in zip(bundle.labels, positive.sum(axis=0), strict=True):
        is_enrolled = label.fit is not None and label.fit.method == "enrolled"
        if is_enrolled and count < MIN_POSITIVES:
            kept.add(label.name)
        else:
            fit = CalibrationFit(method="platt_shared", positives=int(count))
            label = replace(label, calibration=line, fit=fit)  # noqa: PLW2901
        labels.append(label)
    bundle = _evened(replace(bundle, labels=tuple(labels)), log_odds[negative], kept)
    # Thresholds hold for what users see: the calibrated scores, label by label and by family.
    scores = bundle.calibrate(log_odds[negative])
    family_scores = bundle.family_scores(scores)

    def with_thresholds(label: BundleLabel, own: NDArray[np.float64]) -> BundleLabel:
        # These photos may have been the negatives of an enrolled head, which then scores them too
        # low: its own thresholds stay, and none that it counts in becomes lower.
        if label.kind is not Kind.PRODUCT or label.name in kept:
            return label
        return replace(label, thresholds=fit_thresholds(own))

    def not_lower(
        before: Mapping[float, float], members: Iterable[str], own: NDArray[np.float64]
    ) -> dict[float, float]:
        return raised(before if kept.intersection(members) else {}, fit_thresholds(own))

    return replace(
        bundle,
        labels=tuple(map(with_thresholds, bundle.labels, scores.T)),
        families=tuple(
            replace(family, thresholds=not_lower(family.thresholds, family.members, own))
            for family, own in zip(bundle.families, family_scores.T, strict=True)
        ),
        any_product_thresholds=not_lower(
            bundle.any_product_thresholds,
            bundle.label_names,
            family_scores.max(axis=1, initial=0),
        ),
        calibration=CalibrationPhotos(
            photos=len(photos),
            negatives=int(negative.sum()),
            sources=len({p.source for p in photos}),
            fingerprint=fingerprint(photos),
        ),
    )


def _evened(bundle: Bundle, negatives: NDArray[np.floating], kept: Container[str]) -> Bundle:
    limits = {
        column: expected_log_odds(label.calibration(negatives[:, column]), _SHARE)
        for column, label in enumerate(bundle.labels)
        if label.kind is Kind.PRODUCT and label.name not in kept
    }
    if not limits:
        return bundle
    middle, labels = float(np.median([*limits.values()])), list(bundle.labels)
    for column, limit in limits.items():
        slope, intercept = labels[column].calibration.slope, labels[column].calibration.intercept
        line = Calibration(slope, intercept + EVENNESS * (middle - limit)).rounded()
        labels[column] = replace(labels[column], calibration=line)
    return replace(bundle, labels=tuple(labels))


def calibrate_bundle(
    recognizer: Recognizer,
    photos: Sequence[Photo],
    output: Path,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Write a bundle with the same network, calibrated on other photos.

    A label ranks photos as before, so the evidence of single products stays. What the families and
    the policy made of the scores was measured with the old calibration, and is dropped.
    """
    name, version = check_output(output)
    old = recognizer.bundle
    log_odds = run_photos(recognizer, photos, on_progress)
    found = calibrated(old, log_odds, photos)
    assert found.calibration is not None  # noqa: S101 - as calibrated() leaves it
    today = datetime.now(UTC).date().isoformat()
    step = Calibrated(
        parent=old.reference, photos=found.calibration, date=today, program=__version__
    )
    with new_bundle(output) as work:
        shutil.copytree(old.path, work, dirs_exist_ok=True)
        new = replace(
            found,
            path=work,
            name=name,
            version=version,
            created=today,
            evaluation=None,
            lineage=(*old.lineage, step),
            families=tuple(
                replace(family, evidence=None) if len(family.members) > 1 else family
                for family in found.families
            ),
        )
        write_bundle(new)
        card = work / CARD_FILE
        before = card.read_text(encoding="utf-8") if card.is_file() else ""
        text = render("calibrated.md.j2", new=new, old=old, photos=step.photos, card=before)
        card.write_text(text, encoding="utf-8")
