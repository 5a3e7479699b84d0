"""The released bundle: whole, honest about itself, and the same as when it was released."""

import json

import numpy as np
import pytest

from recognizer import Policy, Recognizer, Status, load_taxonomy
from recognizer.policy.values import FALSE_POSITIVE_RATES
from recognizer.taxonomy import Kind
from tests import golden
from tests.conftest import encoded, picture


@pytest.fixture(scope="module")
def released():
    return Recognizer.load(threads=1)


@pytest.fixture(scope="module")
def reference():
    return json.loads(golden.FILE.read_text())


def test_the_reference_is_of_this_model(released, reference):
    assert reference["model"] == released.bundle.digest


def test_samples_are_seen_as_when_the_model_was_released(reference):
    samples, observed = reference["samples"], golden.observe()
    assert samples.keys() == observed.keys()
    for file, expected in samples.items():
        assert observed[file]["scores"] == pytest.approx(expected["scores"], abs=0.02), file
        difference = np.subtract(expected["colors"], observed[file]["colors"], dtype=float)
        assert np.abs(difference).max() <= 2, file  # other builds of libjpeg differ by a shade


def test_it_says_which_products_it_does_not_know(released):
    bundle = released.bundle
    products = {label.name for label in load_taxonomy().products}
    known = {label.name for label in bundle.labels if label.kind is Kind.PRODUCT}
    assert known | set(bundle.not_recognized) == products
    assert not known & set(bundle.not_recognized)


def test_its_evidence_is_complete(released):
    for label in released.bundle.labels:
        assert label.evidence.train.photos > 0
        if label.kind is Kind.PRODUCT:
            rates = [label.thresholds[rate] for rate in FALSE_POSITIVE_RATES]
            assert rates == sorted(rates)
            assert (label.evidence.average_precision is None) == (not label.evidence.test.photos)
    assert released.bundle.parity.photos >= 50


def test_its_card_has_the_figures_of_its_description(released):
    card = (released.bundle.path / "MODEL_CARD.md").read_text()
    assert released.bundle.model.sha256[:16] in card
    assert (released.bundle.path / "notes.md").read_text().strip() in card
    for family in released.bundle.families:
        found = family.evidence and family.evidence.average_precision
        if found and len(family.members) > 1:
            assert f"{found.value:.3f}" in card


def test_its_scores_reach_the_priority_of_a_small_platform(released):
    strict = released.bundle.any_product_thresholds[0.001]
    assert strict <= Policy.load("small-platform").default.priority.value


def test_plain_paper_is_clear(released):
    prediction = released.predict(encoded(picture("gray", (640, 480))))
    assert prediction.status is Status.OK
    assert released.decide(prediction, Policy()).decision == "clear"
