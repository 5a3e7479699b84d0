"""Few-shot enrolment: a product added to a bundle, or strengthened, from as few as three photos.

It needs scikit-learn and onnx of the extra ``lab``, and no torch: a linear head on the features
of the bundle's own network is fitted against a bank of negatives, and written into the model file.
"""

from recognizer.lab.enrolment.enroll import enroll
from recognizer.lab.enrolment.writing import Enrolment

__all__ = ["Enrolment", "enroll"]
