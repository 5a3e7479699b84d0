"""Rows: what is remembered of a scan, in one SQLite file, and what is made of it."""

from recognizer.rows.deciding import DecisionDiff, decide_again
from recognizer.rows.export import write_listings, write_rows
from recognizer.rows.images import NewRow
from recognizer.rows.listings import Listing, read_listings
from recognizer.rows.merging import Merged, merge
from recognizer.rows.records import Ranking
from recognizer.rows.row import AuditSample, Row, ScanSummary, row_schema
from recognizer.rows.scanfile import ScanFile
from recognizer.rows.similar import find_copies, group_copies, similar_images
from recognizer.rows.writer import ScanWriter

__all__ = [
    "AuditSample",
    "DecisionDiff",
    "Listing",
    "Merged",
    "NewRow",
    "Ranking",
    "Row",
    "ScanFile",
    "ScanSummary",
    "ScanWriter",
    "decide_again",
    "find_copies",
    "group_copies",
    "merge",
    "read_listings",
    "row_schema",
    "similar_images",
    "write_listings",
    "write_rows",
]
