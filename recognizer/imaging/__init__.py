"""The one road from an image, in whatever form it comes, to the model's input.

Training, evaluation, export and serving all take it. Bad input never raises here.
"""

from recognizer.imaging.decode import Frame as Frame
from recognizer.imaging.decode import LoadedImage as LoadedImage
from recognizer.imaging.load import DETAIL_SIDE as DETAIL_SIDE
from recognizer.imaging.load import KNOWN_PREPROCESSING as KNOWN_PREPROCESSING
from recognizer.imaging.load import PREPROCESSING_VERSION as PREPROCESSING_VERSION
from recognizer.imaging.load import VIEWING_VERSION as VIEWING_VERSION
from recognizer.imaging.load import ImageSource as ImageSource
from recognizer.imaging.load import load_image as load_image
from recognizer.imaging.load import min_side_of as min_side_of
from recognizer.imaging.load import model_input as model_input
from recognizer.imaging.pdq import MIN_HASH_SIDE as MIN_HASH_SIDE
from recognizer.imaging.pdq import perceptual_hash as perceptual_hash
from recognizer.imaging.sources import Limits as Limits
