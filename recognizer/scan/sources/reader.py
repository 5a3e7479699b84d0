"""The one place where a worker gets an item's bytes, wherever they lie."""

from __future__ import annotations

from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused, read_path
from recognizer.scan.items import Item


class Reader:
    """Reads items; each worker has one.

    Args:
        limits: the byte limit is that of one image.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def read(self, item: Item) -> bytes:
        """Return an item's bytes.

        Raises:
            Refused: with the reason.
        """
        if item.reason is not None:
            raise Refused(item.reason, item.detail or "")
        if item.data is not None:
            return item.data
        return read_path(item.source, self._limits)
