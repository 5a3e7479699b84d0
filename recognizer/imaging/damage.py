"""Damaged images: why a decoder gave up, and whether enough was decoded to be scored."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from recognizer.imaging.sources import Refused
from recognizer.status import Reason

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EARLY_ENDS = (
    "truncated",
    "premature end of jpeg",
    "incomplete",
    "not enough data",
    "unexpected end",
    "no more images",
)
_UNSUPPORTED = (
    "unsupported",
    "not supported",
    "cannot handle",
    "unknown pixel mode",
    "unknown data organization",
)

MIN_RECOVERED = 0.5
"""Share of its rows that a damaged image must have to be scored at all.

With less, a model sees mostly filling, for which no threshold was ever measured: the image would
pass as clear for what it does not show. It fails instead, so that it is tried again when its file
may be whole, or looked at by somebody.
"""


def check_recovered(rgb: NDArray[np.uint8], reason: Reason, detail: str) -> None:
    """Check that enough rows of a damaged image are there.

    Args:
        rgb: uint8, (height, width, 3), as stored.
        reason: why it is damaged.
        detail: the same in words.

    Raises:
        Refused: there are too few.
    """
    share = _recovered(rgb)
    if share == 0:
        raise Refused(reason, detail)
    if share < MIN_RECOVERED:
        raise Refused(reason, f"only {share:.0%} of the rows could be decoded ({detail})")


def _recovered(rgb: NDArray[np.uint8]) -> float:
    """Return the share of rows that a decoder came to before it gave up, 0 to 1.

    What it did not come to is of one colour (libjpeg fills with grey, Pillow begins with black or
    with what is transparent), and lies at the end; in a BMP, at the beginning. An image that ends
    in one colour by itself counts as less than it is: it is rather looked at than cleared.
    """
    missing = max(_rows_of_one_color(rgb), _rows_of_one_color(rgb[::-1]))
    return 1 - missing / len(rgb)


def _rows_of_one_color(rgb: NDArray[np.uint8]) -> int:
    """Return how many rows from the first one on are of the first pixel's colour."""
    alike = (rgb == rgb[0, 0]).all(axis=(1, 2))
    return len(alike) if alike.all() else int(alike.argmin())


def decoder_reason(error: Exception) -> Reason:
    """Return the reason that an error of a decoder comes to."""
    words = str(error).lower()
    # Pillow wraps these in a SyntaxError: a field was read that is not there.
    missing = isinstance(error.__cause__ or error, EOFError | IndexError | struct.error)
    if missing or any(word in words for word in _EARLY_ENDS):
        return Reason.TRUNCATED
    if any(word in words for word in _UNSUPPORTED):
        return Reason.UNSUPPORTED_FORMAT
    return Reason.CORRUPT_DATA


def words_of(error: Exception) -> str:
    """Return the class and the message of an error, not too long."""
    return f"{type(error).__name__}: {error}"[:200]
