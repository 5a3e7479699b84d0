"""Retries of what is read over a network."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from recognizer.imaging.sources import Refused

MAX_SECONDS = 20.0
"""No try begins later than this after the first: less than a scan's timeout for an image."""

PAUSES = (0.5, 2.0)  # seconds before the second and the third try
_Result = TypeVar("_Result")


class TransientRefusal(Refused):
    """A failure that another try may mend."""


def with_retries(action: Callable[[float], _Result]) -> _Result:
    """Call ``action`` with its deadline (of :func:`time.monotonic`); retry while there is time.

    Raises:
        Refused: of the last try.
    """
    deadline = time.monotonic() + MAX_SECONDS
    for pause in PAUSES:
        try:
            return action(deadline)
        except TransientRefusal:
            if time.monotonic() + pause >= deadline:
                raise
        time.sleep(pause)
    return action(deadline)
