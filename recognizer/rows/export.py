"""Exports of a scan: its rows, or its listings, as JSON Lines or CSV (docs/rows.md)."""

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from recognizer._files import csv_cell, replacing, require_own
from recognizer.errors import UsageError
from recognizer.rows.listings import Listing, read_listings
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile

_SUFFIXES = (".jsonl", ".csv")


def write_rows(file: ScanFile, output: Path) -> int:
    """Write the rows of a scan in one step, in a format by the ending; return how many they are.

    A file that is not an earlier export raises a UsageError.
    """
    return write_records(output, _ROWS, file.rows())


def write_listings(file: ScanFile, output: Path) -> int:
    """Write the listings of a scan in the order of the queue, as :func:`write_rows` does rows."""
    return write_records(output, _LISTINGS, read_listings(file))


class RecordKind(NamedTuple):
    """Records of one kind: the columns of CSV, and the cells of a record."""

    name: str
    columns: tuple[str, ...]
    cells: Callable[[Any], Mapping[str, Any]]


def _listing_cells(listing: Listing) -> dict[str, Any]:
    return {
        **{key: getattr(listing, key, None) for key in _LISTINGS.columns},
        "products": [lead.name for lead in listing.leads],
        "keywords": list(dict.fromkeys(hit.keyword for hit in listing.keywords)),
        "model": listing.model.title,
        "model_digest": listing.model.digest,
        "policy": listing.policy.name,
        "policy_digest": listing.policy.digest,
    }


_COLUMNS_OF: Mapping[str, tuple[str, ...]] = {  # keys of a listing that are not just their column
    **dict.fromkeys(("leads", "scores", "family", "photos"), ()),
    "keywords": ("products", "keywords"),
    "model": ("model", "model_digest"),
    "policy": ("policy", "policy_digest"),
}
_ROWS = RecordKind("rows", tuple(field.name for field in fields(Row)), Row.to_json)
_LISTINGS = RecordKind(
    "listings",
    tuple(
        column for field in fields(Listing) for column in _COLUMNS_OF.get(field.name, (field.name,))
    ),
    _listing_cells,
)


class OutcomeRecord(dict[str, Any]):
    """An outcome with its id, and the perceptual hash of its image, by which others match it."""

    def to_json_line(self) -> bytes:
        return json.dumps(self, separators=(",", ":")).encode() + b"\n"


_STORED = ("id", "time", "reviewer", "judgement", "occasion", "sha256", "listing", "label", "note")
OUTCOMES = RecordKind("outcomes", (*_STORED, "origin", "withdraws", "phash"), dict)
_SELECT_OUTCOMES = f"""
SELECT {", ".join(_STORED)}, nullif(origin, ''), withdraws, (SELECT phash FROM image
  WHERE image.sha256 = outcome.sha256 AND phash IS NOT NULL LIMIT 1) FROM outcome ORDER BY number
"""


def outcome_records(file: ScanFile) -> Iterator[OutcomeRecord]:
    """Yield the outcomes of a scan, in the order of their arrival."""
    for record in file.stream(_SELECT_OUTCOMES):
        yield OutcomeRecord(zip(OUTCOMES.columns, record, strict=True))


def write_records(path: Path, kind: RecordKind, records: Iterable[Any]) -> int:
    """Write records in one step, by the ending of the path, and return how many they are."""
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(f"{path}: give a name that ends in {' or '.join(_SUFFIXES)}")
    start = ",".join(kind.columns[:6]) if suffix == ".csv" else f'{{"{kind.columns[0]}":'
    first = start.encode()
    require_own(path, f"file of {kind.name}", lambda file: file.read(100).startswith(first))
    count = itertools.count()
    counted = (record for record, _ in zip(records, count, strict=False))
    with replacing(path) as partial:
        if suffix == ".csv":
            with partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as text:
                writer = csv.writer(text)
                writer.writerow(kind.columns)
                for record in counted:
                    writer.writerow(csv_cell(value) for value in kind.cells(record).values())
        else:
            with partial.open("wb") as file:
                file.writelines(record.to_json_line() for record in counted)
    return next(count)
