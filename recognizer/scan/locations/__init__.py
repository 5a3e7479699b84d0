"""From the sources that a scan is given to its items, and from an item to its bytes."""

from recognizer.scan.containers.bounds import Bounds
from recognizer.scan.containers.guard import Containers
from recognizer.scan.locations.expand import LIST_ON_STDIN, expand
from recognizer.scan.locations.reader import Reader
from recognizer.scan.locations.web import Access

__all__ = ["LIST_ON_STDIN", "Access", "Bounds", "Containers", "Reader", "expand"]
