"""Scan many images: items in, one row for each in a journal, on all CPUs, through any crash."""

from recognizer.scan.crew import Guard
from recognizer.scan.embeddings import EmbeddingStore, embeddings_path, look_alikes
from recognizer.scan.items import Item, Passed
from recognizer.scan.journal import Journal
from recognizer.scan.listings import write_listings
from recognizer.scan.merging import Merged, merge
from recognizer.scan.rows import Row
from recognizer.scan.run import scan
from recognizer.scan.schema import ROW_KEYS, ROW_SCHEMA, row_schema
from recognizer.scan.shards import Shard
from recognizer.scan.sources import Access, expand
from recognizer.scan.station import Luggage, Station
from recognizer.scan.summary import ScanSummary
from recognizer.scan.tables import write_table
from recognizer.scan.workers import Setup

__all__ = [
    "ROW_KEYS",
    "ROW_SCHEMA",
    "Access",
    "EmbeddingStore",
    "Guard",
    "Item",
    "Journal",
    "Luggage",
    "Merged",
    "Passed",
    "Row",
    "ScanSummary",
    "Setup",
    "Shard",
    "Station",
    "embeddings_path",
    "expand",
    "look_alikes",
    "merge",
    "row_schema",
    "scan",
    "write_listings",
    "write_table",
]
