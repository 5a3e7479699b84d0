"""The fixtures of the tests of training serve here too."""

from tests.training.conftest import config, photos

__all__ = ["config", "photos"]
