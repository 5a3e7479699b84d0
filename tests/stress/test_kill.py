"""Killed again and again, a scan ends with the very rows of one that nothing disturbed."""

import os
import random
import signal
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from recognizer.rows import ScanFile
from tests.conftest import encoded, picture, read_rows
from tests.rows.rows import read_scan
from tests.scan.engines import count_rows, scan_command

SEED = 5
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


def make_photos(folder, count):
    """Few different files, among them some that are no photos, through many names."""
    contents = [encoded(picture(color, seed=i)) for i in range(7) for color in ("red", "green")]
    contents += [b"", b"<html>", contents[0][:-40]]
    originals = folder.parent / "originals"
    originals.mkdir()
    for i, content in enumerate(contents):
        (originals / str(i)).write_bytes(content)
    folder.mkdir()
    for i in range(count):
        os.link(originals / str(i % len(contents)), folder / f"{i:05}.jpg")


def kill_somewhere(command, output, more, rng):
    """Start a scan and kill it when it has written so many rows more; False: it had ended."""
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    until = count_rows(output) + more
    while process.poll() is None and count_rows(output) < until:
        time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.05))
    had_ended = process.poll() is not None
    # With its workers, or without: then they have to notice.
    kill = rng.choice([os.kill, os.killpg])
    if not had_ended:
        kill(process.pid, signal.SIGKILL)
    process.wait()
    return not had_ended


@pytest.mark.parametrize(
    ("images", "kills"), [(1000, 4), pytest.param(6000, 50, marks=pytest.mark.stress)]
)
def test_a_scan_that_is_killed_has_the_rows_of_one_that_is_not(
    tiny_bundle, tmp_path, images, kills
):
    folder, output, unbroken = tmp_path / "photos", tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    make_photos(folder, images)
    options = (folder, "--quiet", "--strict", "--workers", 2)
    command, undisturbed = (scan_command(tiny_bundle, p, *options) for p in (output, unbroken))
    rng = random.Random(SEED)
    most = images // (3 * kills)  # a batch and a moment later, so that some is left at the end
    # On a busy machine a scan may end before a kill arrives: half of them are enough.
    killed = [kill_somewhere(command, output, rng.randint(0, most), rng) for _ in range(kills)]
    assert sum(killed) >= kills // 2
    for each in (command, undisturbed):
        assert subprocess.run(each, check=False).returncode == 3
    assert len(read_rows(output)) == images, "once each"
    found, expected = (
        {row.source: replace(row, time=MIDNIGHT) for row in read_scan(path)}
        for path in (output, unbroken)
    )
    assert found == expected
    assert len(expected) == images
    with ScanFile(output) as file:  # and the queue is that of the images
        assert file.select("PRAGMA integrity_check") == [("ok",)]
        shown = "unit, best, place, reports, score, first, listing"
        assert file.select(f"SELECT {shown} FROM entry ORDER BY unit") == file.select(
            f"SELECT {shown} FROM ranked WHERE place < 3 ORDER BY unit"
        )
