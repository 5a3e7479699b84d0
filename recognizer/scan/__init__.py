"""Scan many images: items in, one row for each, on all CPUs, through any crash."""

from recognizer.scan.bounds import Bounds
from recognizer.scan.expand import expand
from recognizer.scan.items import Access, Item, Shard, Skipped
from recognizer.scan.options import ScanOptions, WorkerPayload
from recognizer.scan.pool import Scorer
from recognizer.scan.run import Lookahead, scan

__all__ = [
    "Access",
    "Bounds",
    "Item",
    "Lookahead",
    "ScanOptions",
    "Scorer",
    "Shard",
    "Skipped",
    "WorkerPayload",
    "expand",
    "scan",
]
