"""Rows: what is remembered of a scan, and the files that are made from it."""

from recognizer.rows.audit import AuditSample
from recognizer.rows.chain import chain_path
from recognizer.rows.embeddings import EmbeddingStore, embeddings_path, similar_images
from recognizer.rows.journal import Journal, JournalReader, last_rows
from recognizer.rows.listing_files import ListingCounts, write_listings
from recognizer.rows.listing_table import ListingTable
from recognizer.rows.listings import Listing, ListingPhoto
from recognizer.rows.merging import Merged, merge
from recognizer.rows.row import ROW_SCHEMA, Row, row_schema
from recognizer.rows.summary import ScanSummary
from recognizer.rows.table_files import write_table
from recognizer.rows.thumbnails import ThumbnailStore, thumbnails_path

__all__ = [
    "ROW_SCHEMA",
    "AuditSample",
    "EmbeddingStore",
    "Journal",
    "JournalReader",
    "Listing",
    "ListingCounts",
    "ListingPhoto",
    "ListingTable",
    "Merged",
    "Row",
    "ScanSummary",
    "ThumbnailStore",
    "chain_path",
    "embeddings_path",
    "last_rows",
    "merge",
    "row_schema",
    "similar_images",
    "thumbnails_path",
    "write_listings",
    "write_table",
]
