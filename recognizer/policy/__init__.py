"""Policies: the thresholds and rules by which a platform decides on scores and listings."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
