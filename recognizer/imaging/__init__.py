"""The one road from an image, in whatever form it comes, to the model's input.

Training, evaluation, export and serving all take it. Bad input never raises here.
"""

from recognizer.imaging.decode import Frame, LoadedImage
from recognizer.imaging.load import (
    DETAIL_SIDE,
    KNOWN_PREPROCESSING,
    PREPROCESSING_VERSION,
    VIEWING_VERSION,
    ImageSource,
    load_image,
    min_side_of,
    model_input,
)
from recognizer.imaging.pdq import MIN_HASH_SIDE, perceptual_hash
from recognizer.imaging.sources import Limits

__all__ = [
    "DETAIL_SIDE",
    "KNOWN_PREPROCESSING",
    "MIN_HASH_SIDE",
    "PREPROCESSING_VERSION",
    "VIEWING_VERSION",
    "Frame",
    "ImageSource",
    "Limits",
    "LoadedImage",
    "load_image",
    "min_side_of",
    "model_input",
    "perceptual_hash",
]
