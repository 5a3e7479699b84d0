"""Scan many images: items in, one row for each in a journal, on all CPUs, through any crash."""

from recognizer.scan.items import Item, Shard, Skipped
from recognizer.scan.locations import Access, Bounds, Containers, expand
from recognizer.scan.lookahead import Lookahead
from recognizer.scan.options import ScanOptions, WorkerPayload
from recognizer.scan.run import scan
from recognizer.scan.scorer import Scorer

__all__ = [
    "Access",
    "Bounds",
    "Containers",
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
