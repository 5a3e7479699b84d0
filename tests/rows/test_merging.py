"""Many scans in one file: the latest row of each image, all outcomes, and nothing that is lost."""

import json
import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from recognizer.desk.outcomes import Judgement, Outcome, Outcomes
from recognizer.errors import ScanFileError, UsageError
from recognizer.imaging.thumbnail import Thumbnail
from recognizer.model.description import ModelReference
from recognizer.rows import Merged, NewRow, Ranking, Row, ScanFile, ScanWriter, merge, read_listings
from recognizer.rows.row import Reference
from tests.conftest import invoke, refuse, run_python
from tests.rows.rows import NOW, bare_row, quick_folder, read_scan, write_scan


def model(version: int) -> ModelReference:
    return ModelReference(name="tiny", version=version, digest=f"{version}" * 64)


def row(source: str, time: int = 0, zone: int = 0, **others: Any) -> Row:
    at = datetime(2026, 1, 1, time // 60, time % 60, tzinfo=timezone(timedelta(hours=zone)))
    return replace(bare_row(source, 0.1, "clear", model=model(1), time=at), **others)


def merged(*inputs: Path, **options: Any) -> tuple[Path, Merged]:
    output = inputs[0].with_name("all")
    output.unlink(missing_ok=True)
    return output, merge(inputs, output, Ranking(), **options)


MakeScan = Callable[..., Path]


@pytest.fixture
def scan(tmp_path: Path) -> MakeScan:
    return lambda name, *rows: write_scan(tmp_path / name, rows)


@pytest.mark.parametrize(
    ("scans", "details"),
    [
        ([[row("a", 5, detail="1")], [row("a", 5, detail="2")]], ["2"]),  # a tie: the last named
        ([[row("a", 60, 1, detail="1")], [row("a", 0, detail="2")]], ["2"]),  # in UTC, a tie too
        ([[row("a", 61, 1, detail="1")], [row("a", 0, detail="2")]], ["1"]),
        ([[row("./a", 5, detail="1")], [row("a", 4, detail="2")]], ["1"]),
        ([[row("a", item={"id": 1})], [row("a", item={"id": 2})], [row("a")]], [None] * 3),
        ([[], [row("a")]], [None]),
    ],
)
def test_which_rows_are_kept(
    scan: MakeScan, scans: list[list[Row]], details: list[str | None]
) -> None:
    output, found = merged(*[scan(str(number), *rows) for number, rows in enumerate(scans)])
    assert [row.detail for row in read_scan(output)] == details
    assert found.rows + found.superseded == sum(map(len, scans))


ROWS = st.lists(
    st.builds(
        lambda source, time, decision, listing: bare_row(
            source,
            0.5,
            decision,
            time=NOW + timedelta(minutes=time),
            item=listing and {"id": listing},
        ),
        st.sampled_from("abcdef"),
        st.integers(0, 9),
        st.sampled_from(["clear", "review", "priority", "unscored"]),
        st.sampled_from([None, "1", "2"]),
    ),
    max_size=8,
)


def latest(rows: list[Row]) -> list[Row]:
    """Of each image the latest row that was read, else the latest; of equal ones the last."""
    rows = sorted(rows, key=lambda one: (not one.is_unread, one.time))
    found = {(one.source, str(one.item)): replace(one, seen=None, gone=None) for one in rows}
    return sorted(found.values(), key=str)


@settings(max_examples=20)
@given(st.lists(ROWS, min_size=1, max_size=4))
def test_merging_loses_nothing_and_repeats_nothing(content: list[list[Row]]) -> None:
    with quick_folder() as folder:
        paths = []
        for number, rows in enumerate(content):
            in_time = sorted(rows, key=lambda one: one.time)  # as a scan with a clock writes them
            paths.append(write_scan(Path(folder) / str(number), in_time))
        output, _ = merged(*paths)
        assert latest(read_scan(output)) == latest([row for rows in content for row in rows])
        assert len(read_scan(output)) == len(latest(read_scan(output)))
        before = summary(output)
        # Merging again with the result among them changes nothing.
        random.Random(0).shuffle(paths)
        merge([*paths, output], output, Ranking())
        assert summary(output) == before


def summary(path: Path) -> list[tuple[object, ...]]:
    with ScanFile(path) as file:
        return sorted(
            (one.listing, one.decision, one.score, one.images, one.also_in_listings)
            for one in read_listings(file)
        )


@pytest.mark.parametrize("turned", [False, True])
def test_an_image_is_as_old_as_its_first_row(scan: MakeScan, *, turned: bool) -> None:
    paths = [
        scan("1", row("a", 1)),
        scan("2", row("a", 5)),
        scan("3", row("a", 9, sha256="1" * 64)),
    ]
    for inputs, first in [(paths[:2], 1), (paths, 9)]:
        output, _ = merged(*(inputs[::-1] if turned else inputs))
        with ScanFile(output) as file:
            times = file.select("SELECT first FROM image")
        assert times == [(row("a", first).time.isoformat(),)]  # other bytes are another image


def test_thumbnails_and_embeddings_go_along(scan: MakeScan) -> None:
    def new(source: str, time: int, value: int) -> NewRow:
        thumbnail = Thumbnail(bytes([value]), 4, 3, 0)
        embedding = np.array([value], np.int8)
        return NewRow(row=row(source, time), thumbnail=thumbnail, embedding=embedding)

    one = scan("1", new("a", 1, 1), new("b", 9, 2))
    output, _ = merged(one, scan("2", new("b", 5, 3), row("c"), new("a", 5, 4)))
    with ScanFile(output) as file:
        for table, column in [("thumbnail", "jpeg"), ("embedding", "vector")]:
            assert file.select(
                f"SELECT source, {column} FROM {table} JOIN image ON image = image.id ORDER BY 1"
            ) == [("a", b"\x04"), ("b", b"\x02")]


@pytest.mark.parametrize(
    "other",
    [
        {"model": model(2)},
        {"policy": Reference(name="strict", digest="2" * 64)},
        {"preprocessing": 2},
        {"bank": Reference(name="seized", digest="2" * 64)},
    ],
)
def test_what_cannot_be_compared_is_refused(
    scan: MakeScan, tmp_path: Path, other: dict[str, Any]
) -> None:
    one, two = scan("1", row("a"), row("b")), scan("2", row("c", **other))
    with pytest.raises(ScanFileError, match=r"2 rows of .*; 1 rows of .*--allow-mixed"):
        merged(one, two)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]
    command = ("merge", one, two, "--output", tmp_path / "all")
    refuse(*command)
    assert ": 3 rows" in invoke(*command, "--allow-mixed").stdout
    assert merged(one, two, scan("3", row("c", 9)))[1].rows == 3


def test_listings_by_other_columns_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("sku", "id")]
    for path, column in zip(paths, ("sku", None), strict=True):
        with ScanWriter(path, Ranking()) as file:
            if column:
                file.set_listing_column(column)
            file.append([NewRow(row=row("a", item={"sku": 1, "id": 2}))])
    with pytest.raises(ScanFileError, match=r"identified by the column None.*by 'sku'"):
        merged(*paths)
    with pytest.raises(UsageError, match="sku is named twice"):
        merged(*paths, tmp_path / "." / "sku")
    output, _ = merged(paths[0])
    with ScanFile(output) as file:
        assert (file.listing_column, file.select("SELECT listing FROM image")) == ("sku", [("1",)])


def test_the_output_is_never_lost(scan: MakeScan) -> None:
    one, two, output = scan("1", row("a")), scan("2", row("b")), scan("all", row("z"))

    def into_it(*inputs: Path) -> None:
        merge(inputs, output, Ranking())

    with pytest.raises(UsageError, match="name it among the inputs"):
        into_it(one, two)
    with pytest.raises(ScanFileError, match=r"is not a regular file.*as in folder/\*\.sqlite"):
        into_it(one, one.parent)
    with ScanWriter(output, Ranking()), pytest.raises(ScanFileError, match="in use by another"):
        into_it(one, output)
    assert [r.source for r in read_scan(output)] == ["z"]
    into_it(output, one, two)
    assert [r.source for r in read_scan(output)] == ["z", "a", "b"]


def test_a_full_disk_leaves_no_log_behind(scan: MakeScan, tmp_path: Path) -> None:
    path, output = scan("a.sqlite", row("a")), tmp_path / "out" / "merged.sqlite"
    output.parent.mkdir()
    # What does not fit on the disk is not written.
    code = (
        "import resource, sys; from recognizer.commands import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); main()"
    )
    done = run_python("-c", code, "merge", path, "--output", output)
    assert (done.returncode, "make room" in done.stderr) == (2, True), done.stderr
    assert f"{output}: " in done.stderr  # not of the name that it had meanwhile
    assert not [*output.parent.iterdir()]


def test_a_desk_that_is_open_keeps_its_file(scan: MakeScan, tmp_path: Path) -> None:
    one, output = scan("1", row("a")), scan("all", row("z"))
    with Outcomes(output, write=True) as desk:
        desk.add([said("rejected", 1)])
        with pytest.raises(ScanFileError, match="in use, perhaps by recognizer review"):
            merge([one, output], output, Ranking())
        desk.add([said("confirmed", 2)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "all"]
    merge([one, output], output, Ranking())
    with Outcomes(output) as outcomes:
        assert len(outcomes) == 2


_KILLED = """if True:
    import os, sys
    from recognizer.rows import NewRow, Ranking, ScanWriter
    from tests.rows.rows import bare_row
    ScanWriter(sys.argv[1], Ranking()).append([NewRow(row=bare_row("y", 0.1, "clear"))])
    os._exit(9)
    """


def test_nobody_writes_to_what_is_being_replaced_and_no_log_of_it_is_left(
    scan: MakeScan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log beside the new file, of the old one, would be taken for its own."""
    one, output = scan("1", row("a")), scan("all")
    run_python("-c", _KILLED, output)
    assert (tmp_path / "all-wal").stat().st_size  # its row is in the log
    replace_, refused = os.replace, []

    def replacing(source: Path, target: Path) -> None:
        assert not (tmp_path / "all-wal").exists()
        with closing(sqlite3.connect(output, timeout=0)) as other:
            with pytest.raises(sqlite3.OperationalError, match="database is locked"):
                other.execute("DELETE FROM image")
            refused.append(target)
        replace_(source, target)

    monkeypatch.setattr(os, "replace", replacing)
    merge([one, output], output, Ranking(), allow_mixed=True)
    assert len(refused) == 1
    assert sorted(r.source for r in read_scan(output)) == ["a", "y"]


def said(judgement: str, minute: int, **changes: Any) -> Outcome:
    at = NOW + timedelta(minutes=minute)
    return Outcome(
        time=at, reviewer="ann", judgement=Judgement(judgement), **{"listing": "7", **changes}
    )


@pytest.mark.parametrize("turned", [False, True])
def test_outcomes_are_merged_by_time_each_file_in_order(scan: MakeScan, *, turned: bool) -> None:
    one, two = scan("1", row("a")), scan("2", row("b"))
    # The clock of the second desk went back once.
    for path, outcomes in [
        (one, [said("rejected", 1), said("confirmed", 6)]),
        (two, [said("unsure", 3), said("rejected", 1), said("escalated", 5), said("rejected", 2)]),
    ]:
        with Outcomes(path, write=True) as store:
            store.add(outcomes)
    output, found = merged(*((two, one) if turned else (one, two)))
    assert found.outcomes == 5  # the same one is in both
    with Outcomes(output) as store:
        judgements = [one.judgement for one in store]
    assert judgements == ["rejected", "unsure", "escalated", "rejected", "confirmed"]


def test_what_is_dated_ahead_of_now_is_refused(scan: MakeScan, tmp_path: Path) -> None:
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    with pytest.raises(ScanFileError, match=r"a is dated .* ahead of now"):
        merged(scan("1", replace(row("a"), time=ahead)), scan("2", row("b")))
    three = scan("3", row("a"))
    with Outcomes(three, write=True) as store:
        store.add([replace(said("confirmed", 0), time=ahead)])
    with pytest.raises(ScanFileError, match=r"ann is dated .* ahead of now"):
        merged(three)
    assert not (tmp_path / "all").exists()


CLUSTER = [
    row("a", item={"id": 1, "title": "象牙"}),
    bare_row("b", 0.9, "review", model=model(1)),
    bare_row("c", 0, "unscored", model=model(1)),
    row("d", audit=0.5),
    row("\udcff"),
]


def to_parquet(path: Path, records: list[dict[str, Any]]) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(records), path)


def as_columns(path: Path, rows: list[Row]) -> list[Row]:
    """As 0.3 has exported rows: maps, times, and the listing's own columns as JSON."""
    rows = [replace(one, source=one.source.replace("\udcff", "\\udcff")) for one in rows]
    records = [
        values
        | {key: values[key] and [*values[key].items()] for key in ("scores", "family")}
        | {"item": one.item and json.dumps(one.item), "time": one.time}
        for one, values in ((one, one.to_json()) for one in rows)
    ]
    scores = pyarrow.map_(pyarrow.string(), pyarrow.float64())
    kinds = {"scores": scores, "family": scores, "time": pyarrow.timestamp("us", "UTC")}
    found = pyarrow.Table.from_pylist([{**one, **dict.fromkeys(kinds)} for one in records]).schema
    schema = pyarrow.schema([(field.name, kinds.get(field.name, field.type)) for field in found])
    parquet.write_table(pyarrow.Table.from_pylist(records, schema), path)
    return rows


def as_structures(path: Path, rows: list[Row]) -> list[Row]:
    """As Ray Data writes dictionaries: pyarrow finds the types."""
    valid = [one for one in rows if one.source.isascii()]
    to_parquet(path, [one.to_json() for one in valid])
    return valid


def as_json(path: Path, rows: list[Row]) -> list[Row]:
    to_parquet(path, [{"row": json.dumps(one.to_json()), "shard": 0} for one in rows])
    return rows


@pytest.mark.parametrize("write", [as_columns, as_structures, as_json])
@pytest.mark.parametrize("leads", [False, True])
def test_parquet_is_merged(
    tmp_path: Path, write: Callable[[Path, list[Row]], list[Row]], *, leads: bool
) -> None:
    path = tmp_path / "rows.parquet"
    rows = write(path, CLUSTER)
    output, found = merged(path, only_pending=leads)
    kept = [one for one in rows if not leads or one.source in "bcd"]
    assert read_scan(output) == kept
    assert found == Merged(rows=len(kept))
    with ScanFile(output) as file:
        assert file.select("SELECT name FROM queue") == [("b",), ("c",)]


def test_the_latest_row_of_parquet_counts_wherever_it_is(tmp_path: Path, scan: MakeScan) -> None:
    path = tmp_path / "rows.parquet"
    as_json(path, [row("a", 5), row("a", 3), row("b", 1), row("b", 2), row("c", 1)])
    output, found = merged(path, scan("1", row("c", 2)))
    times = sorted((row.source, row.time.minute) for row in read_scan(output))
    assert times == [("a", 5), ("b", 2), ("c", 2)]
    assert found == Merged(rows=3, superseded=3)
    assert {r.time.minute for r in read_scan(merged(scan("2", row("c", 9)), path)[0])} == {5, 2, 9}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 5}, "row 2: not a row"),
        ({"time": "yesterday"}, "row 2: not a row"),
        ({"scores": None}, "row 2: not a row"),
        ({"time": "2999-01-01T00:00:00+00:00"}, "dated 2999.* ahead of now"),
    ],
)
def test_parquet_that_holds_something_else_is_refused(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    path = tmp_path / "rows.parquet"
    records = (row("a").to_json(), row("b").to_json() | change)
    to_parquet(path, [{"row": json.dumps(one)} for one in records])
    with pytest.raises(ScanFileError, match=words):
        merged(path)
    assert [*tmp_path.iterdir()] == [path]
