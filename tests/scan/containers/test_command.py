"""Everything that strangers may send at once, from the command line."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from recognizer.cli import ExitCode
from tests.conftest import read_rows
from tests.scan.containers.hostile import DOTTED, PHOTO, corpus, listing
from tests.scan.engines import run_measured, scan_command

PARENT_MEBIBYTES = 300
# How many rows each file has, and how many of them are ok.
EXPECTED = {
    **dict.fromkeys(["links.tar", "links.tar.gz", "pax.tar", "pax.tar.gz"], (2, 1)),
    "long-name.tar": (2, 1),
    "zeros.tar.gz": (3, 1),
    **dict.fromkeys(["dots.tar", "dots.zip"], (len(DOTTED), len(DOTTED))),
    "nameless.zip": (4, 2),
    "same.zip": (300, 300),
    "zeros.parquet": (8, 0),
    **dict.fromkeys(["nested.jsonl", "nested-deep.jsonl", "nested-deepest.jsonl"], (1, 0)),
    **dict.fromkeys(["no-image.csv", "no-image.jsonl", "no-image.parquet"], (1, 0)),
    "zeros.csv.gz": (1, 0),
    "columns.csv": (1, 0),
    "base64.jsonl": (1, 1),
    "long.csv": (1, 0),
}
PLACES = ("/etc/shadow", "/proc/self/environ", "s3://bucket/a.jpg")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_all_that_strangers_send_ends_in_rows(tiny_bundle: Path, tmp_path: Path) -> None:
    folder, output = tmp_path / "sent", tmp_path / "scan.sqlite"
    folder.mkdir()
    files = corpus(size=1 << 20)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "a.jpg").write_bytes(PHOTO)
    given = ("--workers", 1, "--max-pixels", 100_000, "--quiet", "--strict")
    command = scan_command(tiny_bundle, output, *(folder / name for name in files), *given)
    done = run_measured(command)
    assert done.code == ExitCode.SOME_FAILED, done.errors
    assert "Traceback" not in done.errors
    rows = read_rows(output)
    sources = [row["source"].removeprefix(f"{folder}/") for row in rows]
    assert len({(row["source"], str(row["item"])) for row in rows}) == len(rows)
    found = Counter(source.partition("!/")[0] for source in sources)
    assert {name: found[name] for name in EXPECTED} == {
        n: rows for n, (rows, _) in EXPECTED.items()
    }
    ok = Counter(
        s.partition("!/")[0] for s, row in zip(sources, rows, strict=True) if not row["reason"]
    )
    assert {name: ok[name] for name in EXPECTED} == {name: ok for name, (_, ok) in EXPECTED.items()}
    reasons = {row["source"]: row["reason"] for row in rows}
    assert {reasons[place] for place in PLACES} == {"source_refused"}
    assert all(row["sha256"] is None for row in rows if row["reason"] == "source_refused")
    assert done.parent_mebibytes < PARENT_MEBIBYTES
    before = read_rows(output)
    assert subprocess.run(command, capture_output=True, check=False).returncode == done.code
    assert read_rows(output) == before


def test_a_listing_of_many_images_does_not_fill_the_disk(tiny_bundle: Path, tmp_path: Path) -> None:
    table, output = tmp_path / "listing.csv", tmp_path / "scan.sqlite"
    table.write_bytes(listing(500, 1_000_000))
    command = scan_command(tiny_bundle, output, table, "--workers", 1, "--quiet", "--strict")
    assert subprocess.run(command, check=False).returncode == ExitCode.SOME_FAILED
    rows = read_rows(output)
    assert len(rows) == 500
    assert "[cut: 1000000 characters" in rows[0]["item"]["text"]
    assert rows[0]["item"]["id"] == "1"
    assert output.stat().st_size < 10_000_000
