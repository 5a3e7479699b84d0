"""Rows: what is remembered of a scan, in one SQLite file, and what is made of it."""

from recognizer._door import open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)
