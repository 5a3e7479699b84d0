"""Scan many images: items in, one row for each, on all CPUs, through any crash."""

from recognizer._door import open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)
