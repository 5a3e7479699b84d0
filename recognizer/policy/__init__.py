"""Policies: the thresholds and rules by which a platform decides on scores and listings."""

from recognizer._door import open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)
