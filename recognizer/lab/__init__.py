"""The laboratory of data scientists: data, training, evaluation, enrolment.

The core and the desk never import it; what it gives them is a bundle.
"""

from recognizer._door import open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)
