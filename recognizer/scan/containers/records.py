"""The rows of tables of text: CSV, TSV and JSON lines. One that cannot be read says so."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO, TypeAlias, cast

from recognizer.imaging.sources import Refused
from recognizer.scan.containers.bounds import Progress
from recognizer.scan.containers.values import json_object
from recognizer.scan.locations.files import Unpacked
from recognizer.status import Reason

Lines: TypeAlias = "io.BufferedReader[io.RawIOBase]"

MAX_LINE_BYTES = 128 << 20
"""Of a longer line nothing is read. An image of 64 MiB as Base64 fits."""

_MAX_HEADER = 1 << 20  # characters
_BUFFER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Record:
    """A row of a table, numbered from 1 without the header: its cells and their flaw."""

    number: int
    cells: Mapping[str, Any] | None
    detail: str = ""


def text_records(file: BinaryIO, name: str, kind: str, progress: Progress) -> Iterator[Record]:
    """Yield the rows of a table of text, by the suffix of its name."""
    is_packed = name.lower().endswith(".gz")
    try:
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if is_packed else file
        unpacked = Unpacked(stream, file if is_packed else None, progress)
        lines: Lines = io.BufferedReader(unpacked, _BUFFER_BYTES)
        if kind in {".csv", ".tsv"}:
            delimiter = "\t" if kind == ".tsv" else None
            yield from _csv_records(lines, delimiter, progress.bounds.max_columns)
        else:
            yield from _json_records(lines)
    except EOFError as error:
        raise Refused(Reason.TRUNCATED, str(error)) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise Refused(Reason.CORRUPT_CONTAINER, str(error)) from error


def _csv_records(file: Lines, delimiter: str | None, max_columns: int) -> Iterator[Record]:
    # A description may be long. The limit is one of the whole process; nothing else reads CSV.
    csv.field_size_limit(MAX_LINE_BYTES)
    utf16 = file.peek(2)[:2] in {b"\xff\xfe", b"\xfe\xff"}
    # A path need not be valid text: its bytes are kept.
    errors, encoding = ("replace", "utf-16") if utf16 else ("surrogateescape", "utf-8-sig")
    with io.TextIOWrapper(file, encoding, errors, newline="") as text:
        first = text.readline(_MAX_HEADER)
        if len(first) == _MAX_HEADER and not first.endswith("\n"):
            detail = f"not a table: its first line has more than {_MAX_HEADER} characters"
            raise Refused(Reason.CORRUPT_CONTAINER, detail)
        delimiter = delimiter or max(",;\t|", key=first.count)
        lines = _Lines(first, text)
        # Strict: a quote that is not closed swallows the rows behind it, and what follows the next
        # quote would be taken for the rest of a row.
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            header = next(rows, [])
        except csv.Error as error:
            raise Refused(Reason.CORRUPT_CONTAINER, f"the header: {error}") from error
        if len(set(header)) < len(header):
            raise Refused(Reason.CORRUPT_CONTAINER, "two columns have the same name")
        if len(header) > max_columns:
            detail = f"{len(header)} columns, limit {max_columns} (--max-columns)"
            raise Refused(Reason.CORRUPT_CONTAINER, detail)
        number = 0
        while True:
            begin = lines.number + 1
            try:
                cells = next(rows, None)
            except csv.Error as error:
                number += 1
                yield Record(number, None, f"lines {begin} to {lines.number}: {error}")
                continue
            if cells is None:
                return
            if not cells:  # an empty line
                continue
            number += 1
            missing = len(header) - len(cells)
            detail = f"{len(cells)} cells for {len(header)} columns" if missing else ""
            if missing < 0:  # a comma without quotes: nobody knows which cell is which
                yield Record(number, None, detail)
                continue
            filled = [*cells, *[None] * missing]
            yield Record(number, dict(zip(header, filled, strict=True)), detail)


class _Lines:
    """The lines of a CSV, counted in ``number``; one that is too long is an error of its row."""

    def __init__(self, first: str, text: io.TextIOBase) -> None:
        self.number = 0
        self._lines = chain([first], iter(lambda: text.readline(MAX_LINE_BYTES), ""))

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        if len(line) < MAX_LINE_BYTES or line.endswith("\n"):
            return line
        while len(line) == MAX_LINE_BYTES and not line.endswith("\n"):
            line = next(self._lines, "")
        raise csv.Error(f"a line of more than {MAX_LINE_BYTES} characters")


def _json_records(file: Lines) -> Iterator[Record]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        if not line.endswith(b"\n") and len(line) == MAX_LINE_BYTES:
            while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            number += 1
            yield Record(number, None, f"a line of more than {MAX_LINE_BYTES} bytes")
        elif line.strip():
            number += 1
            try:
                yield Record(number, json_object(line.removeprefix(b"\xef\xbb\xbf")))
            except ValueError as error:
                yield Record(number, None, str(error)[:200])
