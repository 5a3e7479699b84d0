"""The logistic regression that training begins with."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recognizer.lab.training.head import UNSEEN_LOGIT, fit_head, photo_weights
from tests.labelled import photo

labelled = st.lists(
    st.tuples(st.sampled_from(["wood", "ceramic", "bone"]), st.sampled_from("abc")), min_size=1
)


@given(labelled, st.floats(0, 1), st.floats(0, 1))
def test_weights_are_a_distribution_that_favours_rare_labels(rows, label_power, source_power):
    photos = [photo(i, *row) for i, row in enumerate(rows)]
    weights = photo_weights(photos, label_power, source_power)
    assert weights.min() > 0
    assert weights.sum() == pytest.approx(1)
    counts = Counter(p.label for p in photos)
    share = {n: sum(weights[i] for i, p in enumerate(photos) if p.label == n) for n in counts}
    for one in counts:
        for other in counts:
            ratio = (counts[one] / counts[other]) ** label_power
            assert share[one] / share[other] == pytest.approx(ratio)


def test_labels_without_a_photo_and_pairs_of_labels():
    features = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    photos = [photo(i, "bone" if x > 0 else "wood") for i, x in enumerate(features[:, 0])]
    labels = ["antler", "bone", "wood"]
    weight, bias = fit_head(features, photos, labels, 0.5, 1.0)
    logits = torch.from_numpy(features) @ weight.T + bias
    assert (logits[:, 0] == UNSEEN_LOGIT).all()
    assert [labels[i] for i in logits.argmax(1)] == [p.label for p in photos]


def test_the_prior_is_that_of_the_weights():
    pair = [photo(0, "wood"), photo(1, "ceramic")]
    assert photo_weights(pair, 1, 1, {"wood": 3.0}) == pytest.approx(np.array([0.75, 0.25]))
    photos = [photo(0, "bone"), *(photo(i, "wood") for i in range(1, 10))]
    _, bias = fit_head(np.zeros((10, 2), np.float32), photos, ["bone", "wood"], 0.5, 1.0)
    assert torch.softmax(bias, 0)[0] == pytest.approx(0.25, abs=0.01)
