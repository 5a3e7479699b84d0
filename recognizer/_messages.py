"""Keep the output of C libraries off standard error in workers; the logger of the package.

libtiff decodes past an error and returns success: that it was one, it only prints.
"""

import logging
import os
import sys
from contextlib import suppress

LOG = logging.getLogger("recognizer")
_PIECE = 1 << 16
_SILENCE = logging.NullHandler()
LOG.addHandler(_SILENCE)


class Messages:
    """Takes the place of standard error; Python's own errors still go there."""

    def __init__(self) -> None:
        self._reader: int | None = None

    def listen(self) -> None:
        """Listen from now on; what nobody takes is lost beyond what a pipe holds."""
        logging.getLogger("PIL").addHandler(_SILENCE)
        sys.stderr = open(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
        if sys.platform == "win32":  # where a full pipe would block
            writer = os.open(os.devnull, os.O_WRONLY)
        else:
            self._reader, writer = os.pipe()
            os.set_blocking(self._reader, False)
            os.set_blocking(writer, False)
        os.dup2(writer, 2)
        os.close(writer)

    def take(self) -> str:
        """Return what was printed since the last call; empty where nobody listens."""
        if self._reader is None:
            return ""
        found = b""
        with suppress(BlockingIOError):
            while piece := os.read(self._reader, _PIECE):
                found += piece
        return found.decode("utf-8", "backslashreplace")


MESSAGES = Messages()  # those of this process
