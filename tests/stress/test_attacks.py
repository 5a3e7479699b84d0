"""What stopped a scan once, each from the command line.

    pytest -m stress -s tests/stress/test_attacks.py

prints a line for each: what was sent or done, the exit code, the rows, and the peak of resident
memory of the command's own process and of the largest other one.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from recognizer.cli import ExitCode
from tests.conftest import encoded, picture, read_rows
from tests.pictures import png
from tests.scan.containers.hostile import DOTTED, PHOTO, corpus, listing
from tests.scan.engines import Measured, count_rows, run_measured, scan_command
from tests.stress.test_kill import make_photos
from tests.test_messages import fax
from tests.tiny import change_by_hand, write_tiny_bundle

pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
]

PARENT_MEBIBYTES = 300
MIB = 1 << 20
PHOTOS = 1500  # of a scan that something happens to
DEEP = 200_000  # levels of a cell: newer versions of Python read tens of thousands
ENOUGH_ROWS = 100  # of a scan: it is in the middle

Rows = list[dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What was sent: one good photo, and what a test adds."""
    folder = tmp_path / "sent"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(PHOTO)
    return folder


class Attacked:
    """Runs the command, and prints what became of it."""

    def __init__(self, bundle: Path, output: Path) -> None:
        self.bundle = bundle
        self.output = output

    def scan(self, what: str, *sources: object, expected: int = ExitCode.SOME_FAILED) -> Rows:
        """Scan files, and return the rows."""
        self.run(what, self.command(*sources), expected)
        return read_rows(self.output)

    def command(self, *sources: object) -> list[str]:
        return scan_command(self.bundle, self.output, *sources, "--workers", 1, "--quiet")

    def run(self, what: str, command: list[str], expected: int) -> Measured:
        done = run_measured(command)
        rows = count_rows(self.output)
        memory = f"{done.parent_mebibytes} MiB | {done.child_mebibytes} MiB"
        print(f"\n| {what} | {done.code} | {rows} | {memory} |", end="")
        assert done.code == expected, done.errors
        assert "Traceback" not in done.errors
        assert done.parent_mebibytes < PARENT_MEBIBYTES
        return done


@pytest.fixture
def attacked(tiny_bundle: Path, tmp_path: Path) -> Attacked:
    return Attacked(tiny_bundle, tmp_path / "scan.sqlite")


def reasons(rows: Rows) -> Counter[str | None]:
    return Counter(row["reason"] for row in rows)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return corpus(size=MIB)


def put(folder: Path, files: dict[str, bytes], *names: str) -> list[Path]:
    """Write cases of the corpus; return them with the good photo behind them."""
    for name in names:
        (folder / name).write_bytes(files[name])
    return [*(folder / name for name in names), folder / "a.jpg"]


def test_1_headers_without_end_and_deep_cells(
    attacked: Attacked, folder: Path, files: dict[str, bytes]
) -> None:
    tars = ("links.tar", "links.tar.gz", "pax.tar", "pax.tar.gz")
    nested = ("nested.jsonl", "nested-deep.jsonl", "nested-deepest.jsonl")
    names = put(folder, files, *tars, *nested, "nameless.zip")
    rows = attacked.scan("1. chained headers, nested cells, empty names", *names)
    # a.jpg comes by itself and as a row of tables, and is one image; c.jpg is not there.
    assert reasons(rows) == {"corrupt_container": 4 + 3 + 2, None: 4 + 2 + 1, "not_found": 1}


def test_2_a_table_of_12_gigabytes_of_zeros(attacked: Attacked, folder: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    one = pa.table({"id": [0], "image": pa.array([bytes(200 * MIB)], pa.large_binary())})
    options = {"compression": "zstd", "use_dictionary": False, "write_statistics": False}
    with pq.ParquetWriter(folder / "zeros.parquet", one.schema, **options) as writer:
        for _ in range(64):
            writer.write_table(one)
    size = (folder / "zeros.parquet").stat().st_size
    what = f"2. a Parquet table of {size // 1000} KB: 64 images of 200 MiB of zeros"
    rows = attacked.scan(what, folder / "zeros.parquet", folder / "a.jpg")
    assert reasons(rows) == {"too_many_bytes": 64, None: 1}


def test_3_names_with_dots(attacked: Attacked, folder: Path, files: dict[str, bytes]) -> None:
    names = put(folder, files, "dots.tar", "dots.zip")
    rows = attacked.scan("3. `../p.jpg`, `.p.jpg` in archives", *names, expected=ExitCode.DONE)
    assert reasons(rows) == {None: 2 * len(DOTTED) + 1}


def test_4_tables_without_images(attacked: Attacked, folder: Path, files: dict[str, bytes]) -> None:
    names = put(folder, files, "no-image.csv", "no-image.jsonl", "no-image.parquet")
    rows = attacked.scan("4. tables without an image column", *names)
    assert reasons(rows) == {"corrupt_container": 3, None: 1}


def test_5_a_listing_of_many_images(attacked: Attacked, folder: Path) -> None:
    (folder / "listing.csv").write_bytes(listing(2000, 1_000_000))
    what = "5. a listing of 2,000 images with 1 MB of text"
    rows = attacked.scan(what, folder / "listing.csv")
    assert len(rows) == 2000
    size = attacked.output.stat().st_size
    print(f" {size / 1e6:.1f} MB", end="")
    assert size < 10e6


def test_6_lines_of_99_million_pixels(attacked: Attacked, folder: Path) -> None:
    for number in range(16):
        size = (1, 99_000_000) if number % 2 else (99_000_000, 1)
        (folder / f"{number}.png").write_bytes(png(*size, bytes(100_000)))
    rows = attacked.scan("6. 16 PNG files of 1 x 99,000,000 and 99,000,000 x 1", folder)
    assert reasons(rows) == {"too_many_pixels": 16, None: 1}


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement, values)
        database.commit()


def meanwhile(output: Path, happens: Callable[[], object]) -> threading.Thread:
    """Do something when a scan is in the middle."""

    def wait() -> None:
        while count_rows(output) < ENOUGH_ROWS:
            time.sleep(0.01)
        happens()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("accident", ["removed", "renamed", "truncated"])
def test_7_a_file_that_others_touch(attacked: Attacked, tmp_path: Path, accident: str) -> None:
    make_photos(tmp_path / "photos", PHOTOS)
    output = attacked.output
    moved = tmp_path / "scan.sqlite.1"
    happens = {
        "removed": output.unlink,
        "renamed": lambda: output.rename(moved),
        "truncated": lambda: os.truncate(output, 0),
    }[accident]
    thread = meanwhile(output, happens)
    command = attacked.command(tmp_path / "photos")
    done = attacked.run(f"7. the file is {accident}", command, ExitCode.INTERNAL_ERROR)
    thread.join()
    assert str(output) in done.errors
    if accident == "renamed":
        moved.rename(output)
    elif accident == "truncated":  # of which there is no copy
        output.unlink()
    attacked.run("7. the same command again", command, ExitCode.SOME_FAILED)
    assert len({row["source"] for row in read_rows(output)}) == PHOTOS


def test_8_places_that_are_not_a_strangers(
    attacked: Attacked, folder: Path, files: dict[str, bytes]
) -> None:
    names = put(folder, files, "places.csv")
    rows = attacked.scan("8. a table names `/etc/shadow`, `s3://...`", *names)
    assert reasons(rows) == {"source_refused": 4, None: 1}  # a.jpg, by itself and in the table
    assert all(row["sha256"] is None for row in rows if row["reason"])


@pytest.mark.parametrize("change", ["no digest", "schema 1", "a FIFO as model"])
def test_9_a_bundle_that_was_changed(attacked: Attacked, folder: Path, change: str) -> None:
    bundle = attacked.bundle = write_tiny_bundle(folder.parent / "tiny-v1")
    if change == "no digest":
        change_by_hand(bundle, lambda content: content.pop("digest"))
    elif change == "schema 1":
        change_by_hand(bundle, lambda content: content.update(schema=1))
    else:
        (bundle / "model.onnx").unlink()
        os.mkfifo(bundle / "model.onnx")
    attacked.run(f"9. a bundle: {change}", attacked.command(folder), ExitCode.MODEL)


def test_10_a_huge_thumbnail(attacked: Attacked, tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", 40)
    output = attacked.output
    attacked.scan("10. (before)", tmp_path / "photos")
    change(output, f"UPDATE thumbnail SET jpeg = zeroblob({200 * MIB}), width = 9, height = 9")
    shutil.rmtree(tmp_path / "photos")  # only the file has pictures now
    report = tmp_path / "report.html"
    command = [*attacked.command()[:3], "report", str(output), "--output", str(report)]
    command += ["--bundle", str(attacked.bundle)]
    attacked.run("10. a report of a file with blobs of 200 MB", command, ExitCode.DONE)
    assert report.stat().st_size < 10e6


@pytest.mark.parametrize(
    "text",
    ["review_rate = " + "9" * 5000, "ignore = " + "[" * 3000 + "]" * 3000],
    ids=["5,000 digits", "3,000 levels"],
)
def test_11_a_policy_out_of_bounds(
    attacked: Attacked, folder: Path, text: str, request: pytest.FixtureRequest
) -> None:
    policy = folder.parent / "policy.toml"
    policy.write_text(text)
    command = [*attacked.command(folder), "--policy", str(policy)]
    what = f"11. a policy with {request.node.callspec.id}"
    assert attacked.run(what, command, ExitCode.USAGE).errors.count("\n") == 0


def test_11_a_file_that_was_edited(attacked: Attacked, folder: Path) -> None:
    (folder / "b.jpg").write_bytes(encoded(picture("green")))
    attacked.scan("11. (before)", folder, expected=ExitCode.DONE)
    item = '{"a":' + "[" * DEEP + "]" * DEEP + "}"
    change(attacked.output, "UPDATE image SET item = ?", item)
    command = [*attacked.command()[:3], "rows", str(attacked.output), "-o"]
    command.append(str(folder.parent / "rows.csv"))
    done = attacked.run("11. a column with 200,000 levels", command, ExitCode.USAGE)
    assert done.errors.count("\n") == 0


def test_12_a_fax_with_errors(attacked: Attacked, folder: Path) -> None:
    (folder / "fax.tif").write_bytes(fax())
    done = attacked.run("12. a damaged fax", attacked.command(folder), ExitCode.DONE)
    assert done.errors == ""
    assert reasons(read_rows(attacked.output)) == {"corrupt_data": 1, None: 1}
