"""Measure a bundle: metrics, figures, reports, without torch. A photo that cannot be read, or too few
of a kind, raise a DatasetError.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["plots"])
