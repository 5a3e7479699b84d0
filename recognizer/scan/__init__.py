"""Scan many images: items in, one row for each in a journal, on all CPUs, through any crash."""

from recognizer.scan.crew import Guard
from recognizer.scan.items import Item, Passed
from recognizer.scan.journal import Journal
from recognizer.scan.rows import ROW_KEYS, ROW_SCHEMA, Row
from recognizer.scan.run import scan
from recognizer.scan.sources import expand
from recognizer.scan.summary import ScanSummary

__all__ = [
    "ROW_KEYS",
    "ROW_SCHEMA",
    "Guard",
    "Item",
    "Journal",
    "Passed",
    "Row",
    "ScanSummary",
    "expand",
    "scan",
]
