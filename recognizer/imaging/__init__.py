"""The one road from an image, in whatever form it comes, to the model's input.

Training, evaluation, export and serving all take it. Bad input never raises here.
"""

from recognizer.imaging.decode import Frame, LoadedImage
from recognizer.imaging.load import PREPROCESSING_VERSION, ImageSource, load_image, model_input
from recognizer.imaging.pdq import MIN_HASH_SIDE, perceptual_hash
from recognizer.imaging.sources import Limits

__all__ = [
    "MIN_HASH_SIDE",
    "PREPROCESSING_VERSION",
    "Frame",
    "ImageSource",
    "Limits",
    "LoadedImage",
    "load_image",
    "model_input",
    "perceptual_hash",
]
