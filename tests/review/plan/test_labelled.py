"""Labelled photos with their scores."""

from __future__ import annotations

import pytest

from recognizer.errors import UsageError
from recognizer.model.bundle import Bundle
from recognizer.review.plan import ScoredPhotos
from tests.review.plan.worlds import photo


def test_products_alone_do_not_say_how_long_the_queue_is(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="none without a product"):
        ScoredPhotos.of(bundle, [photo(bundle, "ivory_raw", 0.25)], "these")
