from __future__ import annotations

import numpy as np
import pytest

from recognizer.model.bundle import Bundle, load_bundle
from recognizer.review.plan import ScoredPhotos
from tests.review.plan.worlds import RELEASED, World, world_of


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return load_bundle(RELEASED)


@pytest.fixture(scope="session")
def world() -> World:
    return world_of(1.0)


@pytest.fixture(scope="session")
def evidence(world: World) -> ScoredPhotos:
    return world.draw(np.random.default_rng(5))
