"""Two journals side by side: other models, other policies, other months."""

from recognizer.review.compare.comparison import Comparison, compare
from recognizer.review.compare.page import write_comparison

__all__ = ["Comparison", "compare", "write_comparison"]
