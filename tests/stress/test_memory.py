"""A long scan takes no more memory, files or threads than a short one."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from recognizer.rows import Row, ScanSummary
from recognizer.scan import expand
from tests.conftest import encoded, picture
from tests.scan.engines import run_measured, scan_command, scan_into

IMAGES = 100_000
EARLY = 1_000
IN_A_FOLDER = 1_000
MOST_MEBIBYTES = 50


class Usage(NamedTuple):
    parent: float
    """Resident memory, MiB."""
    workers: float
    files: int
    threads: int


def usage() -> Usage:
    workers = [child.pid for child in multiprocessing.active_children()]
    return Usage(
        resident(os.getpid()),
        sum(resident(pid) for pid in workers),
        len(os.listdir("/proc/self/fd")),
        sum(len(os.listdir(f"/proc/{pid}/task")) for pid in (os.getpid(), *workers)),
    )


def resident(pid: int | None) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def make_links(folder: Path) -> None:
    originals = [folder.parent / f"{color}.jpg" for color in ("red", "green", "blue", "gray")]
    for path in originals:
        path.write_bytes(encoded(picture(path.stem)))
    for first in range(0, IMAGES, IN_A_FOLDER):
        part = folder / f"{first:06}"
        part.mkdir(parents=True)
        for i in range(first, first + IN_A_FOLDER):
            (part / f"{i:06}.jpg").symlink_to(originals[i % len(originals)])


@pytest.mark.stress
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_memory_files_and_threads_are_those_of_a_short_scan(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_links(tmp_path / "links")
    seen: dict[int, Usage] = {}

    def on_rows(summary: ScanSummary, _: Sequence[tuple[int, Row]]) -> None:
        if summary.images // EARLY * EARLY not in seen:
            seen[summary.images // EARLY * EARLY] = usage()

    items, options = expand([tmp_path / "links"]), {"workers": 2, "on_rows": on_rows}
    summary = scan_into(tmp_path / "scan.sqlite", items, tiny_bundle, **options)
    assert summary.scanned == IMAGES
    with capsys.disabled():
        print(f"\n{summary.rate:.0f} images/s")
        for images in (EARLY, 10_000, 50_000, IMAGES):
            print(f"{images:>7,} images: {seen[images]}")
    early = seen[EARLY]
    for late in (seen[images] for images in seen if images > EARLY):
        assert late.parent + late.workers < early.parent + early.workers + MOST_MEBIBYTES
        assert abs(late.files - early.files) <= 2
        assert late.threads == early.threads


@pytest.mark.stress
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_report_of_a_file_with_huge_thumbnails(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(picture("red")))
    output, report = tmp_path / "scan.sqlite", tmp_path / "report.html"
    scan_into(output, expand([tmp_path / "a.jpg"]), tiny_bundle)
    (tmp_path / "a.jpg").unlink()  # only the file has the picture now
    with closing(sqlite3.connect(output)) as database, database:
        database.execute("UPDATE thumbnail SET jpeg = zeroblob(200 << 20)")
    command = [*scan_command(tiny_bundle, output)[:3], "report", str(output)]
    done = run_measured([*command, "--output", str(report), "--bundle", str(tiny_bundle)])
    assert done.code == 0, done.errors
    assert done.parent_mebibytes < 300
    assert report.stat().st_size < 10e6
