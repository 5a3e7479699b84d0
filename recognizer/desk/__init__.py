"""The review of a scan: its queue, and the page on which reviewers work through it."""

from recognizer._door import open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)
