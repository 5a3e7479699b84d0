"""The one road from an image, in whatever form it comes, to the model's input.

Training, evaluation, export and serving all take it. Bad input never raises here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
