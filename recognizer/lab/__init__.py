"""The laboratory of data scientists: data, training, evaluation, enrolment.

The core and the desk never import it; what it gives them is a bundle.
"""
