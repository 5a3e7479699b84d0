from __future__ import annotations

import numpy as np
import pytest

from recognizer.enrolment.linear import fit_logistic


@pytest.mark.parametrize("penalty", [1e-3, 1e-2, 1.0])
def test_it_finds_what_scikit_learn_finds(penalty: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 20))
    targets = (features[:, 0] + rng.normal(size=300) > 1).astype(float)
    weights = rng.uniform(0.1, 1, 300) / 300
    coefficients, intercept = fit_logistic(features, targets, weights, penalty)
    theirs = linear_model.LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000)
    theirs.fit(features, targets, sample_weight=weights)
    assert np.allclose(coefficients, theirs.coef_[0], atol=1e-3)
    assert intercept == pytest.approx(theirs.intercept_[0], abs=1e-3)


def test_more_channels_than_rows() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(10, 200))
    targets = np.repeat([0.0, 1.0], 5)
    coefficients, intercept = fit_logistic(features, targets, np.full(10, 0.1), 0.01)
    log_odds = features @ coefficients + intercept
    assert ((log_odds > 0) == (targets == 1)).all()


def test_soft_targets_are_met() -> None:
    features = np.array([[0.0], [1.0]])
    coefficients, intercept = fit_logistic(features, np.array([0.1, 0.8]), np.ones(2), 1e-9)
    assert 1 / (1 + np.exp(-intercept)) == pytest.approx(0.1, abs=1e-3)
    assert 1 / (1 + np.exp(-intercept - coefficients[0])) == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize("scale", [0.0, 1e-8, 1e4])
def test_any_scale_ends_in_numbers(scale: float) -> None:
    features = scale * np.random.default_rng(0).normal(size=(40, 5))
    targets = np.repeat([0.0, 1.0], 20)
    coefficients, intercept = fit_logistic(features, targets, np.full(40, 0.025), 0.01)
    assert np.isfinite(coefficients).all()
    assert np.isfinite(intercept)
