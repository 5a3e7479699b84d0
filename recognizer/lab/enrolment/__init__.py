"""Few-shot enrolment: a product added to a bundle from as few as three photos."""
