"""Scan many images: items in, one row for each, on all CPUs, through any crash."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
