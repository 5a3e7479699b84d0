"""The review of a scan: its queue, and the page on which reviewers work through it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
