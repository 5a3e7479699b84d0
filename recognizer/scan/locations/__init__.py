"""Where a scan's images come from, and how their bytes are had."""

from recognizer.scan.locations.access import Access
from recognizer.scan.locations.expand import LIST_ON_STDIN, count, expand
from recognizer.scan.locations.reader import Reader

__all__ = ["LIST_ON_STDIN", "Access", "Reader", "count", "expand"]
