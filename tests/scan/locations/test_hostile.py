"""Any bytes as a table end in rows or in words, and never in a traceback."""

import contextlib
import functools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from recognizer.cli import ExitCode
from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused
from recognizer.rows.records import to_json
from recognizer.scan import ScanOptions, expand
from recognizer.scan.items import FileLocation, Skipped
from recognizer.scan.tables import Table
from recognizer.scan.worker import Reader
from recognizer.status import Reason
from tests.conftest import invoke, read_rows
from tests.scan.locations.hostile import PHOTO, PLACES, corpus, listing, nested

BAD, REFUSED = Reason.CORRUPT_CONTAINER, Reason.SOURCE_REFUSED
LIMITS = Limits(max_bytes=1 << 20)
SUFFIXES = (".csv", ".csv.gz", ".tsv", ".jsonl", ".parquet")
CASES, STRESS_CASES = 50, 5_000  # of each


@functools.cache
def files():
    return corpus()


@pytest.fixture
def opened(tmp_path):
    def opened(name, data=None, **options):
        path = tmp_path / name
        path.write_bytes(files()[name] if data is None else data)
        given = [str(path), str(tmp_path / "none.jpg")]  # not the only source
        *items, _ = expand(given, ScanOptions(limits=LIMITS, **options))
        found = {item.source.removeprefix(f"{tmp_path}/"): item for item in items}
        assert len(found) == len(items)
        return found

    return opened


def reasons(found):
    return {name: item.reason for name, item in found.items()}


def test_the_limit_of_nesting(opened):
    assert reasons(opened("a.jsonl", nested(64)))["b.jpg"] is None
    assert reasons(opened("a.jsonl", nested(65)))["a.jsonl!/2"] is BAD


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("columns.csv", BAD, "10001 columns, limit 4096"),
        ("cut.csv.gz", Reason.TRUNCATED, "it ends early"),
        ("cut.parquet", BAD, "Parquet"),
        ("photo.csv", BAD, "no column ("),
        ("photo.parquet", BAD, "Parquet"),
        ("no-image.csv", BAD, "no column ('title', 'price') is named like images"),
    ],
)
def test_a_table_that_is_none_has_a_row(opened, name, reason, words):
    item = opened(name)[name]
    assert (item.reason, words in item.detail) == (reason, True), item.detail


def test_a_table_that_vanishes_has_a_row(tmp_path):
    gone = FileLocation(f"{tmp_path}/gone.csv")
    (item,) = Table(gone, ScanOptions(), [], Skipped(), is_only_source=True).items()
    assert (item.source, item.reason) == (gone, Reason.NOT_FOUND)


def test_cells_are_cut(opened):
    columns = opened("listing.csv")["7.jpg"].columns
    assert columns["id"] == "1"
    assert columns["text"] == "x" * 16384 + "... [cut: 100000 characters, limit 16384]"
    found = opened("cell.csv")  # a line of 20 MiB: the rest of it is a row of its own
    assert found["b.jpg"].columns == {"text": "y"}
    assert found["cell.csv!/1"].reason is BAD


def test_a_table_leads_nowhere_else(opened):
    found = opened("places.csv")
    outside = next(name for name in reasons(found) if name.endswith("/etc/passwd"))
    assert {name: reason for name, reason in reasons(found).items() if reason} == dict.fromkeys(
        (*PLACES[:3], outside), REFUSED
    )
    assert "--image-root" in found["/etc/shadow"].detail
    assert "--image-root" in found["s3://bucket/a.jpg"].detail
    assert found["a.jpg"].reason is None
    found = opened("places.csv", image_root="/etc")
    assert found["/etc/shadow"].reason is found["/etc/a.jpg"].reason is None
    assert found["s3://bucket/a.jpg"].reason is REFUSED
    found = opened("places.csv", image_root="/etc/none")
    assert Counter(reasons(found).values()) == {REFUSED: 4, None: 1}
    two = b"image\ns3://bucket/a.jpg\nb.jpg\n"
    found = opened("two.csv", two, image_root="s3://bucket")
    assert reasons(found) == {"s3://bucket/a.jpg": None, "s3://bucket/b.jpg": None}
    found = opened("places.csv", image_root="s3://buck")
    assert found["s3://bucket/a.jpg"].reason is REFUSED


def test_all_at_once_from_the_command_line(tiny_bundle, tmp_path):
    (folder := tmp_path / "sent").mkdir()
    for name, data in (files() | {"a.jpg": PHOTO}).items():
        (folder / name).write_bytes(data)
    output, tables = tmp_path / "scan.sqlite", [folder / name for name in files()]
    given = ("--model", tiny_bundle, "--workers", 1, "--output", output, "--quiet", "--strict")
    for _ in range(2):
        done = invoke("scan", *tables, *given)
        assert done.exit_code == ExitCode.SOME_FAILED, done.output
        rows = read_rows(output)
        assert {row["source"]: row["reason"] for row in rows}[f"{folder}/a.jpg"] is None
    found = {Path(row["source"].partition("!/")[0]).name for row in rows}
    named = {"good.parquet", "zeros.parquet", "places.csv", "listing.csv", "path.jsonl"}
    assert {*files()} - found == named  # of which the images have rows
    refused = {row["source"]: row["sha256"] for row in rows if row["reason"] == "source_refused"}
    assert {*PLACES[:3]} < {*refused}
    assert {*refused.values()} == {None}


def test_a_listing_of_many_images_does_not_fill_the_disk(tiny_bundle, tmp_path):
    table, output = tmp_path / "listing.csv", tmp_path / "scan.sqlite"
    table.write_bytes(listing(500, 1_000_000))
    given = ("--model", tiny_bundle, "--workers", 1, "--output", output, "--quiet")
    assert invoke("scan", table, *given).exit_code == ExitCode.DONE
    assert len(read_rows(output)) == 500
    assert output.stat().st_size < 20_000_000


def altered(bases):
    """Any bytes, and those of a case with some parts overwritten, repeated or left out."""
    change = st.tuples(st.integers(0), st.binary(max_size=8), st.integers(0, 600), st.booleans())

    def apply(base, changes, kept):
        for place, new, size, again in changes:
            at = place % (len(base) + 1)
            if again:  # a part comes twice
                base = base[: at + size] + base[at:]
            else:
                base = base[:at] + new + base[at + (len(new) if new else size) :]
        return base if kept is None else base[: kept % (len(base) + 1)]

    changed = st.builds(
        apply, st.sampled_from(bases), st.lists(change, max_size=5), st.none() | st.integers(0)
    )
    return st.binary(max_size=2000) | changed


@pytest.mark.parametrize("cases", [CASES, pytest.param(STRESS_CASES, marks=pytest.mark.stress)])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_bytes_end_in_rows(suffix, cases, tmp_path):
    path = tmp_path / f"a{suffix}"
    bases = [data for name, data in files().items() if name.endswith(suffix)]

    @settings(
        max_examples=cases,
        phases=[Phase.generate],  # what fails is a seed of its own
        suppress_health_check=list(HealthCheck),
        database=None,
        deadline=None,
    )
    @given(altered(bases))
    def ends_in_rows(data):
        path.write_bytes(data)
        reader = Reader(LIMITS)
        *items, last = expand([str(path), f"{tmp_path}/none.jpg"], ScanOptions(limits=LIMITS))
        assert last.source.endswith("none.jpg")
        for item in items:
            to_json({"source": item.source, "item": item.columns, "detail": item.detail})
            with contextlib.suppress(Refused):
                assert len(reader.read(item)) <= LIMITS.max_bytes

    ends_in_rows()
