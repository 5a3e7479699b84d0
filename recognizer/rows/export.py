"""Exports of a scan: its rows, or its listings, as JSON Lines, CSV or Parquet (docs/rows.md)."""

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, get_type_hints

import msgspec
from msgspec import inspect

from recognizer import __version__
from recognizer._files import csv_cell, replacing, require_own
from recognizer.errors import MissingExtraError, UsageError
from recognizer.policy.values import Policy
from recognizer.rows.listings import Listing, read_listings
from recognizer.rows.records import valid
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile

_SUFFIXES = (".jsonl", ".csv", ".parquet")
_CHUNK_ROWS = 2000  # a row group of Parquet


def write_rows(file: ScanFile, output: Path, *, raw: bool = False) -> int:
    """Write the rows of a scan in one step, in a format by the ending; return how many they are.

    With ``raw``, a text in CSV stays as it is even if a spreadsheet takes it for a formula. A file
    that is not an earlier export raises a UsageError.
    """
    return write_records(output, _ROWS, file.rows(), raw)


def write_listings(
    file: ScanFile, output: Path, policy: Policy | None = None, *, raw: bool = False
) -> int:
    """Write the listings of a scan in the order of the queue, as :func:`write_rows` does rows.

    ``policy`` is that of the rows, for the platform's action on each listing.
    """
    listings = read_listings(file)
    if policy is not None:
        require_decided_by(policy, file)
        listings = (replace(one, action=policy.actions.get(one.decision)) for one in listings)
    return write_records(output, _LISTINGS, listings, raw)


def require_decided_by(policy: Policy, file: ScanFile) -> None:
    """Raise a UsageError if another policy has decided on rows of a scan."""
    for name, digest in file.select(
        "SELECT name, digest FROM policy WHERE digest != ? AND id IN (SELECT policy FROM image)",
        (policy.digest,),
    ):
        raise UsageError(
            f"{file.path} was decided by the policy {name!r} ({digest[:12]}), not by "
            f"{policy.name!r} ({policy.digest[:12]}): decide again with recognizer decide --policy"
        )


# --- what is exported -----------------------------------------------------------------------------


class RecordKind(NamedTuple):
    """Records of one kind: the types of their columns in CSV and Parquet, and the cells of one."""

    name: str
    columns: Mapping[str, Any]
    cells: Callable[[Any], Mapping[str, Any]]


def _listing_cells(listing: Listing) -> dict[str, Any]:
    return {
        **{key: getattr(listing, key, None) for key in _LISTING_COLUMNS},
        "products": [lead.name for lead in listing.leads],
        "keywords": list(dict.fromkeys(hit.keyword for hit in listing.keywords)),
        "model": listing.model.title,
        "model_digest": listing.model.digest,
        "policy": listing.policy.name,
        "policy_digest": listing.policy.digest,
    }


_LISTING_COLUMNS = (
    *("listing", "title", "price", "currency", "seller", "time", "url", "reports", "description"),
    *("decision", "image_decision", "product", "score", "products", "keywords", "why"),
    *("also_in_listings", "also_in_sellers", "copy_of", "action"),
    *("best", "images", "scored", "failed", "lead_images", "status", "sources", "item", "scanned"),
    *("model", "model_digest", "policy", "policy_digest"),
)
_TYPES = {
    **get_type_hints(Listing),
    **dict.fromkeys(("products", "keywords"), tuple[str, ...]),
    **dict.fromkeys(("item", "model", "policy"), str),  # objects, that columns hold as text
}
_ROWS = RecordKind("rows", get_type_hints(Row, include_extras=True) | {"item": str}, Row.to_json)
_LISTINGS = RecordKind(
    "listings", {name: _TYPES.get(name, str) for name in _LISTING_COLUMNS}, _listing_cells
)


def _arrow_type(kind: inspect.Type) -> Any:
    """Return the Arrow type of a field; texts and enumerations are strings."""
    import pyarrow  # noqa: PLC0415 - an extra

    match kind:
        case inspect.Metadata():
            found = _arrow_type(kind.type)
        case inspect.UnionType(types=types):  # with None
            found = _arrow_type(next(t for t in types if not isinstance(t, inspect.NoneType)))
        case inspect.DataclassType():
            found = pyarrow.struct([(field.name, _arrow_type(field.type)) for field in kind.fields])
        case inspect.DictType():
            found = pyarrow.map_(pyarrow.string(), _arrow_type(kind.value_type))
        case inspect.TupleType(item_types=(item, *_)) | inspect.VarTupleType(item_type=item):
            found = pyarrow.list_(_arrow_type(item))
        case inspect.DateTimeType():
            found = pyarrow.timestamp("us", "UTC")
        case inspect.IntType():
            found = pyarrow.int64()
        case inspect.FloatType():
            found = pyarrow.float64()
        case _:
            found = pyarrow.string()
    return found


# --- formats --------------------------------------------------------------------------------------


def write_records(path: Path, kind: RecordKind, records: Iterable[Any], raw: bool) -> int:
    """Write records in one step, by the ending of the path, and return how many they are."""
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(f"{path}: give a name that ends in {', '.join(_SUFFIXES)}")
    parquet = parquet_library() if suffix == ".parquet" else None
    names = [*kind.columns]
    beginning = ",".join(names[:6]) if suffix == ".csv" else f'{{"{names[0]}":'

    def is_own(file: BinaryIO) -> bool:
        if parquet is None:
            return file.read(100).startswith(beginning.encode())
        try:
            return f"recognizer.{kind.name}".encode() in (parquet.read_schema(file).metadata or {})
        except Exception:  # pyarrow raises many classes for what is not Parquet
            return False

    require_own(path, f"file of {kind.name}", is_own)
    count = itertools.count()
    counted = (record for record, _ in zip(records, count, strict=False))
    with replacing(path) as partial:
        if parquet is not None:
            _write_parquet(partial, kind, counted, parquet)
        elif suffix == ".csv":
            with partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as text:
                writer = csv.writer(text)
                writer.writerow(kind.columns)
                for record in counted:
                    writer.writerow(csv_cell(one, raw=raw) for one in kind.cells(record).values())
        else:
            with partial.open("wb") as file:
                file.writelines(record.to_json_line() for record in counted)
    return next(count)


def _write_parquet(path: Path, kind: RecordKind, records: Iterator[Any], parquet: Any) -> None:
    import pyarrow  # noqa: PLC0415 - an extra

    fields = [(key, _arrow_type(inspect.type_info(hint))) for key, hint in kind.columns.items()]
    schema = pyarrow.schema(fields, metadata={f"recognizer.{kind.name}": __version__})
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while chunk := [*itertools.islice(records, _CHUNK_ROWS)]:
            cells = [
                {key: _arrow_cell(value, schema.field(key).type) for key, value in record.items()}
                for record in map(kind.cells, chunk)
            ]
            writer.write_batch(pyarrow.RecordBatch.from_pylist(cells, schema))


def _arrow_cell(value: Any, kind: Any) -> Any:
    from pyarrow import types  # noqa: PLC0415 - an extra

    if value is None:
        return None
    if types.is_timestamp(kind):
        return value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return [*map(valid, value)]
    if isinstance(value, str):
        return valid(value)
    if types.is_string(kind):
        return json.dumps(msgspec.to_builtins(value))
    return [*value.items()] if types.is_map(kind) else value


def parquet_library() -> Any:
    """Return ``pyarrow.parquet``, or raise a :class:`MissingExtraError`."""
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    return parquet
