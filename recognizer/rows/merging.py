"""One file of many: of an image the latest row counts; of equally late ones the last input's."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from recognizer._files import parquet_library, replacing
from recognizer._sqlite import columns_of, statements
from recognizer.errors import ScanFileError, UsageError
from recognizer.rows.images import NewRow, put_rows, remove_image
from recognizer.rows.queue import refresh_entries
from recognizer.rows.records import REFERENCES, Ranking, as_utc, key_of
from recognizer.rows.row import REPLACED, Row
from recognizer.rows.scanfile import ScanFile
from recognizer.rows.similar import group_copies
from recognizer.rows.writer import ScanWriter

CLOCK_TOLERANCE = timedelta(days=1)  # what is dated further ahead comes from a clock that was wrong

_ROWS_AT_A_TIME = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The numbers of a merge; ``superseded`` rows had a later one in another input."""

    rows: int = 0
    superseded: int = 0
    outcomes: int = 0


def merge(
    inputs: Sequence[Path],
    output: Path,
    ranking: Ranking,
    *,
    allow_mixed: bool = False,
    only_pending: bool = False,
) -> Merged:
    """Merge scans into one file, with which a scan, a review or a report can go on.

    Of Parquet files with rows ``only_pending`` takes what is not clear, and the audit sample. The
    output appears in one step; of existing files, it may only be one of the inputs. Without
    ``allow_mixed``, rows of several models, policies or banks are refused, as their scores cannot
    be ranked together.
    """
    named = Counter(map(os.path.realpath, inputs))
    for path in inputs:
        if not path.is_file():
            what = "is not a regular file" if path.exists() else "does not exist"
            raise ScanFileError(
                f"{path} {what}: name the files of scans, as in folder/*.sqlite, or Parquet files "
                "with rows"
            )
        if named[os.path.realpath(path)] > 1:
            raise UsageError(f"{path} is named twice: name each input once")
    if output.exists() and not any(output.samefile(path) for path in inputs):
        raise UsageError(
            f"{output} exists: name it among the inputs too, so that its rows are kept, or name "
            "another --output"
        )
    still = _still(output, ranking) if output.exists() else nullcontext()
    with still, replacing(output) as partial, ScanFile(output, create=True, place=partial) as file:
        file.execute("CREATE TEMP TABLE said AS SELECT NULL AS arrival, * FROM outcome LIMIT 0")
        read = 0
        for path in inputs:
            if path.suffix.lower() == ".parquet":
                read += _add_rows(file, path, ranking, only_pending)
            else:
                read += _add_scan(file, path, ranking)
        _drop_returned(file)
        with file.transaction() as database:
            columns = ", ".join(columns_of(database, "outcome", "number"))
            database.execute(  # by time, and by the order within a file
                f"INSERT OR IGNORE INTO outcome ({columns}) SELECT {columns} FROM said"
                " ORDER BY arrival, rowid"
            )
            units = database.execute("SELECT DISTINCT unit FROM image WHERE place < 3").fetchall()
            audited = database.execute("SELECT sha256 FROM image WHERE audit IS NOT NULL")
            refresh_entries(database, (unit for (unit,) in units), (one for (one,) in audited))
        _check_kinds(file, allow_mixed)
        group_copies(file)
        ((rows, outcomes),) = file.select(
            "SELECT (SELECT count(*) FROM image), (SELECT count(*) FROM outcome)"
        )
    return Merged(rows=rows, superseded=read - rows, outcomes=outcomes)


@contextmanager
def _still(output: Path, ranking: Ranking) -> Iterator[None]:
    """Lock a file, without a log beside it, until another takes its place."""
    with ScanWriter(output, ranking) as file:  # or another scan has it
        file.execute("PRAGMA busy_timeout = 2000")
        try:
            file.execute("PRAGMA journal_mode = DELETE")
        except ScanFileError as error:
            raise ScanFileError(
                f"{output} is in use, perhaps by recognizer review: close that, or name another "
                "--output"
            ) from error
        with file.transaction():
            yield


_MERGE = """
INSERT OR IGNORE INTO model (name, version, digest)
  SELECT name, version, digest FROM other.model ORDER BY id;
INSERT OR IGNORE INTO policy (name, digest) SELECT name, digest FROM other.policy ORDER BY id;
UPDATE main.policy SET toml = ifnull(toml, (SELECT toml FROM other.policy AS theirs
  WHERE (theirs.name, theirs.digest) = (main.policy.name, main.policy.digest)));
INSERT OR REPLACE INTO main.setting SELECT * FROM other.setting
  WHERE name IN ('policy', 'audit_rate');
INSERT OR IGNORE INTO bank (name, digest) SELECT name, digest FROM other.bank ORDER BY id;
CREATE TEMP TABLE rival AS SELECT theirs.id FROM other.image AS theirs JOIN main.image USING (key);
INSERT INTO main.image ({columns}, model, policy, bank)
  SELECT {columns},
    (SELECT m.id FROM main.model m JOIN other.model o USING (digest) WHERE o.id = theirs.model),
    (SELECT p.id FROM main.policy p JOIN other.policy o USING (name, digest)
      WHERE o.id = theirs.policy),
    (SELECT b.id FROM main.bank b JOIN other.bank o USING (name, digest) WHERE o.id = theirs.bank)
  FROM other.image AS theirs WHERE id NOT IN (SELECT id FROM rival) ORDER BY id;
INSERT INTO main.thumbnail SELECT main.image.id, jpeg, other.thumbnail.width,
    other.thumbnail.height, frame
  FROM other.thumbnail JOIN other.image AS theirs ON theirs.id = image
  JOIN main.image ON main.image.key = theirs.key WHERE theirs.id NOT IN (SELECT id FROM rival);
INSERT INTO main.embedding SELECT main.image.id, vector
  FROM other.embedding JOIN other.image AS theirs ON theirs.id = image
  JOIN main.image ON main.image.key = theirs.key WHERE theirs.id NOT IN (SELECT id FROM rival);
INSERT INTO said SELECT max(time) OVER (ORDER BY number), * FROM other.outcome ORDER BY number
"""
_STORED = ("first", "score", "unproven", "product", "file_state")


def _add_scan(file: ScanFile, path: Path, ranking: Ranking) -> int:
    with ScanFile(path) as other:
        for name, time in other.select(
            "SELECT source, time FROM image WHERE time > ?1"
            " UNION ALL SELECT reviewer, time FROM outcome WHERE time > ?1 LIMIT 1",
            (as_utc(datetime.now(UTC) + CLOCK_TOLERANCE),),
        ):
            raise _is_ahead(path, name, time)
        column = other.listing_column
        if len(file) and column != file.listing_column:
            raise ScanFileError(
                f"{path}: its listings are identified by the column {column!r}, those of the "
                f"others by {file.listing_column!r}: they cannot be merged"
            )
        if column is not None:
            file.set_listing_column(column)
        with file.attached(other):
            with file.transaction() as database:
                columns = ", ".join(columns_of(database, "image", "id", *REFERENCES))
                for statement in statements(_MERGE.format(columns=columns)):
                    database.execute(statement)
            rivals = [*file.stream("SELECT id FROM rival ORDER BY id")]
            file.execute("DROP TABLE rival")
        put_rows(file, _stored_rows(other, rivals), ranking, only_later=True)
        return len(other)


def _stored_rows(file: ScanFile, images: Sequence[tuple[int]]) -> Iterator[NewRow]:
    """Yield images of a scan, which another file has too, with all that is stored of them."""
    for start in range(0, len(images), _ROWS_AT_A_TIME):
        some = (json.dumps([id_ for (id_,) in images[start : start + _ROWS_AT_A_TIME]]),)
        wanted = "image.id IN (SELECT value FROM json_each(?))"
        stored = {
            image: (vector, dict(zip(_STORED, columns, strict=True)))
            for image, vector, *columns in file.select(
                f"SELECT image.id, vector, {', '.join(_STORED)} FROM image"
                f" LEFT JOIN embedding ON embedding.image = image.id WHERE {wanted}",
                some,
            )
        }
        for image, row in file.numbered_rows(wanted, some):
            vector, columns = stored[image]
            embedding = None if vector is None else np.frombuffer(vector, np.int8)
            yield NewRow(row, file.thumbnail(image), embedding, stored=columns)


def _drop_returned(file: ScanFile) -> None:
    """Remove images in whose place another was, and which are there again in another input."""
    with file.transaction() as database:
        for image, row in [*file.numbered_rows("seen = ?", (REPLACED,))]:
            key = key_of(replace(row, seen=None), file.listing_column)
            if file.select("SELECT 1 FROM image WHERE key = ? AND sha256 = ?", (key, row.sha256)):
                ((unit,),) = file.select("SELECT unit FROM image WHERE id = ?", (image,))
                remove_image(database, image)
                refresh_entries(database, [unit], [row.sha256 or ""])


def _is_ahead(path: Path, name: str, time: object) -> ScanFileError:
    return ScanFileError(
        f"{path}: {name} is dated {time}, which is ahead of now, and would win over all later rows "
        "and outcomes: the clock of the machine that wrote it was wrong. Scan these images again"
    )


def _add_rows(file: ScanFile, path: Path, ranking: Ranking, only_pending: bool) -> int:
    limit, count = datetime.now(UTC) + CLOCK_TOLERANCE, 0

    def wanted() -> Iterator[NewRow]:
        nonlocal count
        for row in read_parquet(path):
            if row.time > limit:
                raise _is_ahead(path, row.source, row.time)
            if not only_pending or row.is_pending or row.audit is not None:
                count += 1
                yield NewRow(row)

    put_rows(file, wanted(), ranking, only_later=True)
    return count


def read_parquet(path: Path) -> Iterator[Row]:
    """Yield the rows of a Parquet file, whose columns are the keys of a row, or JSON texts."""
    parquet = parquet_library()
    import pyarrow  # noqa: PLC0415 - an extra

    number = 0
    try:
        with parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(_ROWS_AT_A_TIME):
                for record in batch.to_pylist(maps_as_pydicts="strict"):
                    number += 1
                    text, item = record.get("row"), record.get("item")
                    if isinstance(item, str):
                        record["item"] = json.loads(item)
                    yield Row.from_json(json.loads(text) if isinstance(text, str) else record)
    except (pyarrow.ArrowException, OSError) as error:
        raise ScanFileError(f"{path} cannot be read as Parquet: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ScanFileError(f"{path}, row {number}: not a row of a scan ({error})") from error


def _check_kinds(file: ScanFile, allow_mixed: bool) -> None:
    kinds = file.select(
        "SELECT count(*), model.name || '-v' || version, model.digest, policy.name, policy.digest,"
        " preprocessing, ifnull(bank.name, 'none') FROM image JOIN model ON model.id = image.model"
        " JOIN policy ON policy.id = image.policy LEFT JOIN bank ON bank.id = image.bank"
        " GROUP BY image.model, image.policy, preprocessing, bank ORDER BY 1 DESC"
    )
    if len(kinds) > 1 and not allow_mixed:
        titles = [
            f"{count:,} rows of model {model} ({digest[:12]}), policy {policy} "
            f"({policy_digest[:12]}), preprocessing {preprocessing}, bank {bank}"
            for count, model, digest, policy, policy_digest, preprocessing, bank in kinds
        ]
        raise ScanFileError(
            f"these scans cannot be compared: {'; '.join(titles)}. Scan the smaller ones again "
            "with the model and policy of the others, or merge them all the same with --allow-mixed"
        )
