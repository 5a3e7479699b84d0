"""The laboratory of data scientists: data, training, evaluation, enrolment.

The core and the desk never import it; what it gives them is a bundle.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
