"""Few-shot enrolment: a product added to a bundle, or strengthened, from as few as three photos."""
