"""The one road from an image, in whatever form it comes, to the model's input.

Training, evaluation, export and serving all take it. Bad input never raises here.
"""

from recognizer._door import open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)
