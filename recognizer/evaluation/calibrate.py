"""Turn log-odds into probabilities, on held-out photos, and write them into a bundle.

Three methods stand for choice, and for each label the held-out photos choose by cross-validated
log-loss, grouped by source where a label has sources enough:

- *temperature*: one divisor of all labels' log-odds (Guo et al., 2017);
- *platt*: a line for each label (Platt, 1999);
- *isotonic*: a curve for each label, centred isotonic regression (Oron & Flournoy, 2017): the
  steps of isotonic regression are joined by lines from middle to middle, since a step would tie
  photos that the model tells apart, and beyond the outermost middles the slope is Platt's.

Labels with few positives share the fits over all labels, since parameters learned from three photos
are noise; enrolled ones among them keep what enrolment gave them. The probabilities hold for a mix
of photos like the validation split's. In a backlog, where products are rarer, they are too high.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from recognizer import __version__
from recognizer.dataset.folds import stratified_folds
from recognizer.dataset.manifest import Photo, fingerprint
from recognizer.dataset.outputs import run_photos
from recognizer.errors import DatasetError
from recognizer.evaluation.thresholds import fit_thresholds, raised
from recognizer.model.bundle import SCHEMA, Bundle, parse_description, write_description
from recognizer.model.calibration import Calibration
from recognizer.model.folders import CARD_FILE, check_output, install_bundle
from recognizer.recognizer import Recognizer
from recognizer.taxonomy import Kind, load_taxonomy

FEWEST_POSITIVES = 10
"""A label with fewer positives than this shares the common fits."""

Hits = NDArray[np.bool_]
LogOdds = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelFit:
    """How a label was calibrated.

    Attributes:
        calibration: the curve, as it is written into the bundle.
        method: ``temperature``, ``platt`` or ``isotonic``; with ``_shared`` where the label had
            too few positives for a fit of its own (a temperature is always shared).
        positives: validation photos of the label.
        log_loss: method -> mean log-loss of the label on photos that the fit did not see; for
            labels that share, the mean over all of these.
    """

    calibration: Calibration
    method: str
    positives: int
    log_loss: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the label's ``calibration`` in ``bundle.json``."""
        return {
            **self.calibration.to_json(),
            "method": self.method,
            "positives": self.positives,
            "log_loss": {name: round(loss, 6) for name, loss in self.log_loss.items()},
        }


def fit_calibration(
    log_odds: NDArray[np.floating],
    truth: Sequence[str],
    labels: Sequence[str],
    sources: Sequence[str],
) -> list[LabelFit]:
    """Fit each label's calibration by the method that does best on photos that it did not see.

    Args:
        log_odds: (N, labels), from the model.
        truth: the N true labels.
        labels: the model's labels in order.
        sources: where the N photos come from.
    """
    values = np.asarray(log_odds, np.float64)
    hits = np.array([[t == label for label in labels] for t in truth])
    positives = hits.sum(axis=0)
    own = positives >= FEWEST_POSITIVES
    losses: dict[str, NDArray[np.float64]] = {}  # method -> the mean log-loss of each label
    for train, test in stratified_folds(truth, sources):
        for method, curves in _all_curves(values[train], hits[train], own).items():
            loss = losses.setdefault(method, np.zeros(len(labels)))
            for column, curve in enumerate(curves):
                whole = _log_loss(curve(values[test, column]), hits[test, column])
                loss[column] += whole / len(values)
    if not own.all():
        for loss in losses.values():
            loss[~own] = loss[~own].mean()
    curves_of = _all_curves(values, hits, own)
    fits = []
    for column in range(len(labels)):
        best = min(losses, key=lambda method: losses[method][column])
        shared = "" if own[column] or best == "temperature" else "_shared"
        fits.append(
            LabelFit(
                curves_of[best][column].rounded(),
                best + shared,
                int(positives[column]),
                {method: float(loss[column]) for method, loss in losses.items()},
            )
        )
    return fits


def _all_curves(values: LogOdds, hits: Hits, own: Hits) -> dict[str, list[Calibration]]:
    """Fit every method: for each a curve for each label."""
    flat, flat_hits = values.ravel(), hits.ravel()
    count = values.shape[1]
    curves = {"temperature": [_temperature(flat, flat_hits)] * count}
    for method, fit in (("platt", _platt), ("isotonic", _isotonic)):
        shared = fit(flat, flat_hits)
        curves[method] = [
            # A fold may have got all positives of a label.
            fit(values[:, i], hits[:, i]) if own[i] and hits[:, i].any() else shared
            for i in range(count)
        ]
    return curves


def _targets(hits: Hits) -> NDArray[np.float64]:
    """Return Platt's targets: off 0 and 1, of which no number of photos can assure us.

    They do what a penalty would: the slope stays finite where a label is told without a mistake.
    """
    targets = np.where(hits, (hits.sum() + 1) / (hits.sum() + 2), 1 / ((~hits).sum() + 2))
    return np.asarray(targets, np.float64)


def _temperature(values: LogOdds, hits: Hits) -> Calibration:
    targets = _targets(hits)
    found = minimize_scalar(
        lambda log_slope: _log_loss(np.exp(log_slope) * values, targets),
        bounds=(-4.0, 4.0),
        method="bounded",
    )
    return Calibration.line(float(np.exp(found.x)), 0.0)


def _platt(values: LogOdds, hits: Hits) -> Calibration:
    # A target t is a positive of the weight t and a negative of the weight 1 - t.
    targets = _targets(hits)
    model = LogisticRegression(C=1e6).fit(
        np.tile(values, 2)[:, None],
        np.repeat([True, False], len(values)),
        np.concatenate([targets, 1 - targets]),
    )
    # A slope of zero or below would turn the order of the scores around.
    return Calibration.line(max(float(model.coef_[0, 0]), 1e-3), float(model.intercept_[0]))


def _isotonic(values: LogOdds, hits: Hits) -> Calibration:
    fitted = IsotonicRegression().fit_transform(values, _targets(hits))
    steps, step = np.unique(fitted.round(12), return_inverse=True)
    middles = np.bincount(step, weights=values) / np.bincount(step)
    heights = np.log(steps) - np.log1p(-steps)
    return Calibration(
        _platt(values, hits).slope, tuple(zip(middles.tolist(), heights.tolist(), strict=True))
    ).rounded()


def _log_loss(log_odds: LogOdds, targets: NDArray[np.float64] | Hits) -> float:
    """Return the sum of the log-losses."""
    return float((np.logaddexp(0.0, log_odds) - targets * log_odds).sum())


def calibrated_description(
    description: Mapping[str, Any], log_odds: NDArray[np.floating], photos: Sequence[Photo]
) -> dict[str, Any]:
    """Return a ``bundle.json`` with calibrations and thresholds fitted on held-out photos.

    Args:
        description: of the bundle, with any calibration.
        log_odds: (N, labels), of the photos.
        photos: the N held-out photos.

    Raises:
        DatasetError: there are no photos without a product, or too few to calibrate on.
    """
    kinds = load_taxonomy().labels
    negative = np.array([kinds[p.label].kind is not Kind.PRODUCT for p in photos])
    if not negative.any():
        raise DatasetError("no held-out photos without a product: thresholds cannot be set")
    new = copy.deepcopy(dict(description)) | {"schema": SCHEMA}
    names = [entry["name"] for entry in new["labels"]]
    fits = fit_calibration(log_odds, [p.label for p in photos], names, [p.source for p in photos])
    kept = set()
    for entry, fit in zip(new["labels"], fits, strict=True):
        enrolled = entry["calibration"].get("method") == "enrolled"
        if enrolled and fit.positives < FEWEST_POSITIVES:
            kept.add(entry["name"])
        else:
            entry["calibration"] = fit.to_json()
    # Thresholds hold for what users see: the calibrated scores, label by label and by family.
    bundle = parse_description(Path(), new)
    scores = bundle.calibrate(log_odds[negative])
    for column, entry in enumerate(new["labels"]):
        # These photos may have been the negatives of an enrolled head, which then scores them too
        # low: its own thresholds stay, and none that it counts in becomes lower.
        if entry["kind"] == Kind.PRODUCT and entry["name"] not in kept:
            entry["thresholds"] = fit_thresholds(scores[:, column])
    families = bundle.family_scores(scores)
    for column, entry in enumerate(new["families"]):
        found = fit_thresholds(families[:, column])
        before = entry["thresholds"] if kept & set(entry["members"]) else {}
        entry["thresholds"] = raised(before, found)
    before = new["photo_thresholds"] if kept else {}
    new["photo_thresholds"] = raised(before, fit_thresholds(families.max(axis=1)))
    new["calibration"] = {
        "split": "validation",
        "photos": len(photos),
        "negatives": int(negative.sum()),
        "sources": len({p.source for p in photos}),
        "fingerprint": fingerprint(photos),
    }
    return new


def calibrate_bundle(
    recognizer: Recognizer,
    photos: Sequence[Photo],
    output: Path,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Bundle:
    """Write a bundle with the same network, calibrated on other photos.

    A label ranks photos as before, so the evidence of single products stays. What the families and
    the policy made of the scores was measured with the old calibration, and is dropped.

    Args:
        recognizer: the loaded bundle.
        photos: the held-out photos.
        output: the new bundle's folder, whose name gives it name and version.
        on_progress: called with the photos done and their number.

    Raises:
        DatasetError: a photo cannot be read, or there are too few of them.
        UsageError: a bundle cannot be put there (:func:`recognizer.model.folders.check_output`).
    """
    name, version = check_output(output)
    old = recognizer.bundle
    log_odds = run_photos(recognizer, photos, on_progress).log_odds
    today = datetime.now(UTC).date().isoformat()
    new = calibrated_description(old.description, log_odds, photos)
    new |= {"name": name, "version": version, "created": today}
    step = {
        "parent": {"name": old.name, "version": old.version, "sha256": old.digest},
        "calibrated": new["calibration"],
        "date": today,
        "program": __version__,
    }
    if "evaluation" in new:
        step["parent_evaluation"] = new.pop("evaluation")
    new["lineage"] = [*new.get("lineage", []), step]
    for entry in new["families"]:
        if len(entry["members"]) > 1:
            entry["evidence"] = {}
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch) / "bundle"
        shutil.copytree(old.path, work)
        write_description(work, new)
        card = old.path / CARD_FILE
        (work / CARD_FILE).write_text(
            _CARD.format(
                name=name,
                version=version,
                old=old.title,
                digest=old.digest[:16],
                photos=new["calibration"]["photos"],
                sources=new["calibration"]["sources"],
                negatives=new["calibration"]["negatives"],
                card=card.read_text(encoding="utf-8") if card.is_file() else "",
            ),
            encoding="utf-8",
        )
        install_bundle(work, output)
    return parse_description(output, new)


_CARD = """\
# {name}-v{version}

The network of {old} (digest `{digest}…`), calibrated again on {photos} held-out photos
from {sources} sources, {negatives} of them without a product. Each label ranks photos as before.
What the card of {old} says below of families, of thresholds, of probabilities and of the default
policy was measured with the old calibration; `recognizer evaluate` on this bundle measures it anew.

---

{card}"""
