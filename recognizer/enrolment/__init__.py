"""Few-shot enrolment: a product added to a bundle, or strengthened, from as few as three photos.

It needs neither torch nor scikit-learn: the photos and changed copies of them go through the
bundle's own network, a linear head is fitted against a bank of negatives, and the head is written
into the model file.
"""

from recognizer.enrolment.enroll import Enrolment, Product, enroll, examine
from recognizer.enrolment.expectation import Expectation
from recognizer.enrolment.head import Settings

__all__ = ["Enrolment", "Expectation", "Product", "Settings", "enroll", "examine"]
