"""Keep the output of C libraries off standard error in workers; the logger of the package."""

import logging
import os
import sys

LOG = logging.getLogger("recognizer")
_SILENCE = logging.NullHandler()
LOG.addHandler(_SILENCE)


def silence_libraries() -> None:
    """Discard what C libraries and Pillow print; Python's own errors still go to standard error."""
    logging.getLogger("PIL").addHandler(_SILENCE)
    sys.stderr = open(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
