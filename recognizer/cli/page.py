"""Where an HTML page may be written."""

from __future__ import annotations

import os
from pathlib import Path

from recognizer.errors import UsageError


def check_page(path: Path) -> None:
    """Check, before minutes of work, that a page can be written and overwrites nothing else.

    Raises:
        UsageError: it cannot, or what is there is no page: a photo or a journal must survive a
            slip.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"--report {path}: not a place where a file can be written")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"--report {path}: the folder cannot be written to")
    if path.exists() and not _is_page(path):
        raise UsageError(f"--report {path}: this file is no report; it will not be overwritten")


def _is_page(path: Path) -> bool:
    """Whether a file is an HTML page, or empty."""
    with path.open("rb") as file:
        return file.read(200).lstrip().lower().startswith((b"<!doctype html", b"<html")) or (
            path.stat().st_size == 0
        )
