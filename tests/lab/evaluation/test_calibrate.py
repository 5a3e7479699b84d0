from pathlib import Path

import numpy as np
import pytest

from recognizer.engine import Recognizer
from recognizer.errors import DatasetError
from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.evaluation.calibrate import allowing_for_tta, calibrated, fit_calibration
from recognizer.model.numerics import logit, sigmoid


def fit_one(log_odds, hit):
    """The line of one label against all others."""
    return fit_calibration(log_odds[:, None], hit[:, None])


def test_the_odds_are_recovered():
    rng = np.random.default_rng(0)
    true_log_odds = rng.normal(0, 2, 6000)
    hit = rng.random(6000) < sigmoid(true_log_odds)
    found = fit_one(true_log_odds * 3 + 2, hit)  # over-confident and shifted
    shown = np.linspace(-3, 3, 9) * 3 + 2
    assert found(shown) == pytest.approx((shown - 2) / 3, abs=0.25)


def test_a_label_predicted_without_a_mistake_keeps_some_doubt():
    hit = np.arange(200) < 20
    found = fit_one(np.where(hit, 10.0, -10.0) + np.linspace(0, 1, 200), hit)
    high, low = sigmoid(found(np.array([10.0, -10.0])))
    assert 0.9 < high < 0.999
    assert 0.001 < low < 0.05


def test_there_must_be_negatives(recognizer, labelled_photos):
    ivory = [p for p in labelled_photos if p.label == "ivory_worked"]
    with pytest.raises(DatasetError, match="without a product"):
        calibrated(recognizer.bundle, np.zeros((len(ivory), 4)), ivory)


def test_thresholds_rise_as_far_as_augmentation_raises_near_leads(recognizer, monkeypatch):
    def augment(self, image, scores):
        is_near = scores.families.max() > self.bundle.tta_threshold
        return self._calibrate(scores.log_odds + 0.5 * is_near, image.views)

    monkeypatch.setattr(Recognizer, "_augment", augment)
    photos = [Photo(Path(), str(90 + i * 0.3), "wood", "a", "train") for i in range(200)]

    def read(red):
        return np.full((32, 32, 3), (float(red), 20, 20), np.uint8)

    raised = allowing_for_tta(recognizer.bundle, photos, read)
    for before, now in zip(thresholds_of(recognizer.bundle), thresholds_of(raised), strict=True):
        assert now[0.05] == before[0.05]
        for rate in (0.01, 0.001):
            assert logit(now[rate]) - logit(before[rate]) == pytest.approx(0.5, abs=0.02)


def thresholds_of(bundle):
    described = (*bundle.families, *(one for one in bundle.labels if one.thresholds))
    return [bundle.any_product_thresholds, *(one.thresholds for one in described)]
