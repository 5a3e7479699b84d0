"""Measure a bundle: metrics, figures, reports. Too few photos of a kind are a DatasetError."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["plots"])
