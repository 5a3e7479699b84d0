from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.dataset.manifest import Photo
from recognizer.training.loader import drawing_weights


def photo(i: int, label: str = "ceramic", source: str = "a", split: str = "train") -> Photo:
    return Photo(Path(f"{i}.jpg"), f"{i:064x}", label, source, split)


labelled = st.lists(
    st.tuples(
        st.sampled_from(["ivory_worked", "ceramic", "wood"]),
        st.sampled_from(["a", "b", "c", "synthetic/x"]),
        st.sampled_from(["train", "train", "train", "test"]),
    ),
    min_size=1,
    max_size=80,
)


@given(labelled, st.floats(0, 1), st.floats(0, 1))
def test_drawing_weights_are_a_distribution_that_favours_rare_labels(
    rows: list[tuple[str, str, str]], label_power: float, source_power: float
) -> None:
    photos = [photo(i, *row) for i, row in enumerate(rows)]
    weights = drawing_weights(photos, label_power, source_power)
    assert weights.min() > 0
    assert weights.sum() == pytest.approx(1)
    counts = Counter(p.label for p in photos)
    share = {n: sum(weights[i] for i, p in enumerate(photos) if p.label == n) for n in counts}
    for one in counts:
        for other in counts:
            ratio = (counts[one] / counts[other]) ** label_power
            assert share[one] / share[other] == pytest.approx(ratio)


def test_label_weights_multiply() -> None:
    photos = [photo(0, "wood"), photo(1, "ceramic")]
    assert drawing_weights(photos, 1, 1, {"wood": 3.0}) == pytest.approx(np.array([0.75, 0.25]))
