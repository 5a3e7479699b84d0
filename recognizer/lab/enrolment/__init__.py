"""Few-shot enrolment: a product added to a bundle, or strengthened, from as few as three photos.

It needs scikit-learn and onnx of the extra ``lab``, and no torch: a linear head on the features
of the bundle's own network is fitted against a bank of negatives, and written into the model file.
"""

import importlib.util

from recognizer.errors import MissingExtraError

for _module in ("sklearn", "onnx"):
    if importlib.util.find_spec(_module) is None:
        raise MissingExtraError(_module, "lab")

from recognizer.lab.enrolment.enroll import enroll  # noqa: E402
from recognizer.lab.enrolment.writing import Enrolment  # noqa: E402

__all__ = ["Enrolment", "enroll"]
