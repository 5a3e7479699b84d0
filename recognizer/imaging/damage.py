"""Damaged images: why a decoder gave up, and whether enough was decoded to be scored."""

from __future__ import annotations

import re
import struct

import numpy as np
from numpy.typing import NDArray

from recognizer.imaging.sources import Refused
from recognizer.status import Reason

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

_TIFF_ERROR = re.compile(r"JPEGLib: |[\w.]+: (?!Warning, )")

MIN_RECOVERED = 0.5
"""Share of its rows that a damaged image must have to be scored at all.

With less, a model sees mostly filling, for which no threshold was ever measured: the image would
pass as clear for what it does not show. It fails instead, so that it is tried again when its file
may be whole, or looked at by somebody.
"""


def check_recovered(rgb: NDArray[np.uint8], reason: Reason, detail: str) -> None:
    """Refuse an image of which a decoder came to too few rows, as stored, before it gave up.

    What it did not come to is of one colour (libjpeg fills with grey, Pillow begins with black or
    with what is transparent), and lies at the end; in a BMP, at the beginning. An image that ends
    in one colour by itself counts as less than it is: it is rather looked at than cleared.
    """
    alike = [(part == part[0, 0]).all(axis=(1, 2)) for part in (rgb, rgb[::-1])]
    missing = max(len(rows) if rows.all() else int(rows.argmin()) for rows in alike)
    share = 1 - missing / len(rgb)
    if share == 0:
        raise Refused(reason, detail)
    if share < MIN_RECOVERED:
        raise Refused(reason, f"only {share:.0%} of the rows could be decoded ({detail})")


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


def find_damage(messages: str) -> str | None:
    """Return the first error among what libtiff has printed; its warnings are about metadata.

    But for those of libjpeg, which go on with what is damaged.
    """
    return next((line[:200] for line in messages.splitlines() if _TIFF_ERROR.match(line)), None)


def words_of(error: Exception) -> str:
    """Return the class and the message of an error, not too long."""
    return f"{type(error).__name__}: {error}"[:200]
