"""Rows: what is remembered of a scan, and what is made of it."""

from recognizer.rows.embeddings import EmbeddingStore, embeddings_path, look_alikes
from recognizer.rows.journal import Journal
from recognizer.rows.listings import write_listings
from recognizer.rows.merging import Merged, merge
from recognizer.rows.row import Row
from recognizer.rows.schema import ROW_KEYS, ROW_SCHEMA, row_schema
from recognizer.rows.summary import ScanSummary
from recognizer.rows.tables import write_table

__all__ = [
    "ROW_KEYS",
    "ROW_SCHEMA",
    "EmbeddingStore",
    "Journal",
    "Merged",
    "Row",
    "ScanSummary",
    "embeddings_path",
    "look_alikes",
    "merge",
    "row_schema",
    "write_listings",
    "write_table",
]
