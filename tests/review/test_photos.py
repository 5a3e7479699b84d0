"""What strangers have sent is decoded elsewhere, a few at a time."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image

from recognizer._process import resident_bytes
from recognizer.engine import Recognizer
from recognizer.review.photos import DEFAULT_THRESHOLD, Photos, Unavailable, heat_threshold
from recognizer.rows import ScanFile
from recognizer.rows.row import Row
from recognizer.status import Status
from tests.conftest import encoded, picture
from tests.review.server.queues import Client, served
from tests.rows.rows import bare_row, lead, write_scan

SIDE = 8000


def large_png(path: Path, level: int) -> Row:
    """The row of an image that is small on the disk and large in memory."""
    Image.new("L", (SIDE, SIDE), level).save(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return bare_row(str(path), 0.9, "review", sha256=sha256, format="png", width=SIDE, height=SIDE)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the memory")
def test_many_large_images_at_once_leave_the_server_small_and_quick(tmp_path: Path) -> None:
    rows = [large_png(tmp_path / f"{i}.png", i) for i in range(12)]
    scan = write_scan(tmp_path / "scan.sqlite", rows)
    with ScanFile(scan) as file:
        keys = [f"{key & (1 << 64) - 1:016x}" for (key,) in file.select("SELECT key FROM image")]
    with served(scan) as base:
        anna = Client(base, "Anna")
        before = resident_bytes(os.getpid())
        answers: list[int] = []

        def ask(key: str) -> None:
            with httpx.Client(cookies=anna.http.cookies, timeout=300) as http:
                answers.append(http.get(f"{base}/photo/{key}/large").status_code)

        threads = [threading.Thread(target=ask, args=(key,)) for key in keys]
        for thread in threads:
            thread.start()
        slowest = 0.0
        while any(thread.is_alive() for thread in threads):
            begin = time.monotonic()
            assert httpx.get(f"{base}/login", timeout=60).status_code == 200
            slowest = max(slowest, time.monotonic() - begin)
            time.sleep(0.05)
        grown = resident_bytes(os.getpid()) - before
    assert answers == [200] * len(rows)
    assert grown < 2 * SIDE * SIDE  # no image was decoded here
    assert slowest < 3


def test_a_decoder_that_dies_costs_one_picture(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.jpg" for name in ("a", "b")]
    rows = []
    for seed, path in enumerate(paths):
        path.write_bytes(encoded(picture("red", seed=seed)))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append(bare_row(str(path), 0.9, "review", sha256=sha256))
    scan = write_scan(tmp_path / "scan.sqlite", rows)
    with ScanFile(scan) as file, Photos(file) as photos:
        assert photos.picture(1, rows[0], "large").data.startswith(b"\xff\xd8")
        for child in [*photos._pool._children]:
            os.kill(child.process.pid, signal.SIGKILL)
        with pytest.raises(Unavailable, match="photo_undecoded"):
            photos.picture(2, rows[1], "large")
        assert photos.picture(2, rows[1], "large").data.startswith(b"\xff\xd8")
        failed = bare_row(str(paths[1]), 0, "unscored", sha256=rows[1].sha256)
        assert failed.status is Status.FAILED
        with pytest.raises(Unavailable, match="photo_undecoded"):  # is never tried again
            photos.picture(3, failed, "original")


def test_a_heat_map_is_drawn_against_the_threshold_of_its_label(recognizer: Recognizer) -> None:
    row = bare_row("a.jpg", 0.6, "review", leads=(lead("ivory_worked"),))
    bundle = recognizer.bundle
    assert heat_threshold(row, bundle, "ivory_worked") == 0.4
    assert heat_threshold(row, bundle, "ivory_raw") == 0.4  # that of the bundle
    assert heat_threshold(row, bundle, "ceramic") == DEFAULT_THRESHOLD
