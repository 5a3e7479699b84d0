"""Where an HTML page may be written."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from recognizer._atomic import require_own


def check_page(path: Path) -> None:
    """Check, before minutes of work, that a page can be written and overwrites nothing else.

    Raises:
        UsageError: it cannot, or what is there is no page.
    """
    require_own(path, "report", _is_page)


def _is_page(file: BinaryIO) -> bool:
    return file.read(200).lstrip().lower().startswith((b"<!doctype html", b"<html"))
