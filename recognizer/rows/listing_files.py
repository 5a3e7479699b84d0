"""Files of listings: JSON lines, CSV or Parquet, by the ending of the name.

In CSV and Parquet the columns are flat: no value is an object. Lists are JSON in CSV, and lists of
texts in Parquet.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from recognizer import __version__
from recognizer._atomic import replacing, require_own
from recognizer.errors import UsageError
from recognizer.model.bundle import Bundle
from recognizer.policy import Policy
from recognizer.rows.listing_table import ListingTable
from recognizer.rows.listings import Listing
from recognizer.rows.table_files import chunks_of, csv_cell, parquet_library

_BEGINNING = b'{"listing":'
_PARQUET_KEY = b"recognizer.listings"
_TEXTS = ("products", "keywords", "why", "sources")
_TYPES = {
    **dict.fromkeys(("reports", "also_in_listings", "also_in_sellers"), "int64"),
    **dict.fromkeys(("images", "scored", "failed", "lead_images"), "int64"),
    **dict.fromkeys(("time", "scanned"), "timestamp"),
    "score": "float64",
    **dict.fromkeys(_TEXTS, "texts"),
}


@dataclass(slots=True, kw_only=True)
class ListingCounts:
    """How many listings were written.

    Attributes:
        listings: all of them.
        leads: those that somebody should look at.
        folded: near-copies of another listing.
        without_image: those of text alone.
        strays: images that belong to no listing; each is one of its own.
    """

    listings: int = 0
    leads: int = 0
    folded: int = 0
    without_image: int = 0
    strays: int = 0


def write_listings(
    journal: str | os.PathLike[str],
    output: str | os.PathLike[str],
    column: str | None = None,
    policy: Policy | None = None,
    bundles: Iterable[Bundle] = (),
) -> ListingCounts:
    """Write the listings of a journal, in the order of the queue.

    The file takes its place in one step.

    Args:
        journal: the rows of a scan (JSONL), or the merged ones of several.
        output: the file: ``.jsonl``, ``.csv`` or ``.parquet``.
        column: the column that tells listings apart; None to find it.
        policy: that of the rows, for the platform's action on each listing; None for none.
        bundles: the models that may be behind the rows: what one has no evidence for comes last.

    Raises:
        JournalError: the journal cannot be read.
        MissingExtraError: Parquet needs the extra ``parquet``.
        UsageError: the output cannot be written or is another file; no image has the column; or
            rows were decided by another policy.
    """
    target = Path(output)
    require_listings(target)
    counts = ListingCounts()

    def counted(listings: Iterable[Listing]) -> Iterator[Listing]:
        for listing in listings:
            counts.listings += 1
            counts.leads += listing.is_lead
            counts.folded += listing.copy_of is not None
            counts.without_image += not listing.images
            yield listing if policy is None else _with_action(listing, policy)

    with closing(ListingTable(journal, column, bundles)) as table, replacing(target) as partial:
        _KINDS[target.suffix.lower()][0](counted(table), partial)
        counts.strays = table.strays
    return counts


def require_listings(path: Path) -> None:
    """Check that a file may be replaced by one of listings.

    Raises:
        UsageError: it is something else, cannot be written, or has another ending.
    """
    if path.suffix.lower() not in _KINDS:
        raise UsageError(f"{path}: give a name that ends in {', '.join(_KINDS)}")
    require_own(path, "file of listings", _KINDS[path.suffix.lower()][1])


def _with_action(listing: Listing, policy: Policy) -> Listing:
    if listing.policy.digest != policy.digest:
        raise UsageError(
            f"listing {listing.listing!r} was decided by the policy {listing.policy.name!r} "
            f"({listing.policy.digest[:12]}), not by {policy.name!r} ({policy.digest[:12]}): "
            "decide again with recognizer decide --policy"
        )
    return replace(listing, action=policy.actions.get(listing.decision))


def flat(listing: Listing) -> dict[str, Any]:
    """Return the columns of CSV and Parquet: texts, numbers, times, and lists of texts."""
    return {
        **{key: getattr(listing, key, None) for key in _FLAT},
        "products": [lead.name for lead in listing.leads],
        "keywords": list(dict.fromkeys(hit.keyword for hit in listing.keywords)),
        "why": [*listing.why],
        "sources": [*listing.sources],
        "item": None if listing.item is None else json.dumps(listing.item),
        "model": listing.model.title,
        "model_digest": listing.model.digest,
        "policy": listing.policy.name,
        "policy_digest": listing.policy.digest,
    }


_FLAT = (
    *("listing", "title", "price", "currency", "seller", "time", "url", "reports", "description"),
    *("decision", "image_decision", "product", "score", "products", "keywords", "why"),
    *("also_in_listings", "also_in_sellers", "copy_of", "action"),
    *("best", "images", "scored", "failed", "lead_images", "status", "sources", "item", "scanned"),
    *("model", "model_digest", "policy", "policy_digest"),
)
"""The columns of CSV and Parquet."""

_CSV_BEGINNING = ",".join(_FLAT[:6]).encode()


def _write_json(listings: Iterable[Listing], path: Path) -> None:
    with path.open("wb") as file:
        file.writelines(listing.to_json_line() for listing in listings)


def _write_csv(listings: Iterable[Listing], path: Path) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_FLAT)
        writer.writerows(map(csv_cell, flat(listing).values()) for listing in listings)


def _write_parquet(listings: Iterable[Listing], path: Path) -> None:
    parquet = parquet_library()
    import pyarrow  # noqa: PLC0415 - an extra

    kinds = {
        "int64": pyarrow.int64(),
        "float64": pyarrow.float64(),
        "timestamp": pyarrow.timestamp("us", "UTC"),
        "texts": pyarrow.list_(pyarrow.string()),
    }
    columns = [(name, kinds.get(_TYPES.get(name, ""), pyarrow.string())) for name in _FLAT]
    schema = pyarrow.schema(columns, metadata={_PARQUET_KEY: __version__})
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for chunk in chunks_of(listings):
            rows = [{key: _clean(v) for key, v in flat(listing).items()} for listing in chunk]
            writer.write_batch(pyarrow.RecordBatch.from_pylist(rows, schema=schema))


def _clean(value: Any) -> Any:
    """Return a value whose texts are valid: what is not is escaped."""
    if isinstance(value, list):
        return [*map(_clean, value)]
    is_text = isinstance(value, str)
    return str(value).encode("utf-8", "backslashreplace").decode() if is_text else value


def _is_own_json(file: BinaryIO) -> bool:
    return file.read(len(_BEGINNING)) == _BEGINNING


def _is_own_csv(file: BinaryIO) -> bool:
    return file.read(len(_CSV_BEGINNING)) == _CSV_BEGINNING


def _is_own_parquet(file: BinaryIO) -> bool:
    parquet = parquet_library()
    try:
        return _PARQUET_KEY in (parquet.read_schema(file).metadata or {})
    except Exception:  # pyarrow raises many classes for what is not Parquet
        return False


_KINDS: dict[str, tuple[Callable[[Iterable[Listing], Path], None], Callable[[BinaryIO], bool]]] = {
    ".jsonl": (_write_json, _is_own_json),
    ".csv": (_write_csv, _is_own_csv),
    ".parquet": (_write_parquet, _is_own_parquet),
}
