"""Scan many images: items in, one row for each in a journal, on all CPUs, through any crash."""

from recognizer.scan.items import Item, Passed
from recognizer.scan.locations import Access, expand
from recognizer.scan.pool import Guard
from recognizer.scan.run import scan
from recognizer.scan.shards import Shard
from recognizer.scan.station import Luggage, Station
from recognizer.scan.worker import Setup

__all__ = [
    "Access",
    "Guard",
    "Item",
    "Luggage",
    "Passed",
    "Setup",
    "Shard",
    "Station",
    "expand",
    "scan",
]
