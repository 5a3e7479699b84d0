import io
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from recognizer.imaging import Limits
from recognizer.rows import ScanFile
from recognizer.scan import Item, WorkerPayload, expand
from recognizer.scan.pool import WorkerPool
from tests.conftest import encoded, picture, read_rows
from tests.scan import engines
from tests.scan.engines import count_rows, scan_command, scan_into

TOP = {"red": "ivory_worked", "green": "ceramic", "blue": "listing_other"}


def by_name(path):
    rows = {os.path.basename(row["source"]): row for row in read_rows(path)}
    assert len(rows) == len(read_rows(path)), "one row for each"
    return rows


@pytest.fixture
def run(tiny_bundle, tmp_path):
    """Scans in this process, unless a pool with real ones is asked for."""

    def run(*sources, pool=engines.InProcessPool, payload=WorkerPayload, **options):
        items = [s if isinstance(s, Item) else Item.at(str(s)) for s in sources]
        folders = [item.source for item in items if os.path.isdir(item.source)]
        found = expand(folders) if folders else items
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("recognizer.scan.run.WorkerPool", pool)
            patch.setattr("recognizer.scan.run.WorkerPayload", payload)
            return scan_into(tmp_path / "scan.sqlite", found, tiny_bundle, **options)

    return run


@pytest.mark.parametrize(("pool", "batch"), [(engines.InProcessPool, 8), (WorkerPool, 1)])
def test_each_photo_gets_its_own_score(run, photo_folder, tmp_path, recognizer, pool, batch):
    colors = [("red", "green", "blue")[i * i % 7 % 3] for i in range(30)]
    folder = photo_folder(*colors)
    seen = {}
    summary = run(folder, workers=2, batch=batch, pool=pool, on_rows=lambda _, r: seen.update(r))
    rows = by_name(tmp_path / "scan.sqlite")
    assert sorted(rows) == sorted(os.listdir(folder))
    assert [os.path.basename(seen[i].source) for i in range(30)] == sorted(rows)
    for name, row in rows.items():
        color = name[4:-4]
        prediction = recognizer.predict(folder / name)
        assert row["scores"] == pytest.approx(prediction.scores, abs=2e-6)
        assert max(row["scores"], key=row["scores"].get) == TOP[color]
        assert (row["sha256"], row["phash"]) == (prediction.sha256, prediction.phash)
        assert bool(row["regions"]) == (color == "red")
    assert (summary.scanned, summary.skipped) == (30, 0)
    assert summary.leads == {"ivory_worked": colors.count("red")}
    assert summary.to_review.total() == colors.count("red")


def test_a_photo_that_is_named_twice_gets_one_row(run, photo_folder):
    photo = photo_folder("red") / "000_red.jpg"
    summary = run(photo, photo)
    assert (summary.scanned, summary.repeated) == (1, 1)


def test_thumbnails_of_leads_alone_are_kept(run, photo_folder, tmp_path):
    folder = photo_folder("red", "green")
    frames = [picture("blue", (600, 300)), picture("red", (600, 300))]
    animation = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    (folder / "002_red.gif").write_bytes(animation)
    run(folder)
    with ScanFile(tmp_path / "scan.sqlite") as file:
        numbers = {os.path.basename(row.source): number for number, row in file.numbered_rows()}
        small, none, second = (file.thumbnail(numbers[name]) for name in sorted(numbers))
    assert none is None
    assert (small.width, small.height, small.frame) == (64, 48, 0)  # as the model saw it
    assert (second.width, second.height, second.frame) == (67, 34, 1)
    red, green, blue = np.asarray(Image.open(io.BytesIO(second.jpeg)))[16, 16]
    assert red > max(green, blue)


def test_bad_inputs_get_a_row_with_a_reason(run, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(encoded(picture("red", seed=1)))
    (folder / "empty.jpg").touch()
    (folder / "page.jpg").write_bytes(b"<html><body>gone</body></html>")
    (folder / "large.bmp").write_bytes(encoded(picture(size=(200, 150)), "BMP"))
    (folder / "wide.png").write_bytes(encoded(picture(size=(150, 120)), "PNG"))
    (folder / "broken link.jpg").symlink_to("nowhere")
    os.mkfifo(folder / "fifo.jpg")
    summary = run(folder, limits=Limits(max_bytes=80_000, max_pixels=15_000))
    rows = by_name(tmp_path / "scan.sqlite")
    assert {name: row["reason"] for name, row in rows.items()} == {
        "good.jpg": None,
        "empty.jpg": "empty",
        "page.jpg": "not_an_image",
        "large.bmp": "too_many_bytes",
        "wide.png": "too_many_pixels",
        "broken link.jpg": "not_found",
        "fifo.jpg": "not_a_file",
    }
    assert all(row["decision"] == "unscored" for row in rows.values() if row["status"] == "failed")
    assert summary.statuses == {"ok": 1, "failed": 6}
    # Wider limits: what failed for the narrow ones is tried again.
    summary = run(folder)
    assert (summary.scanned, summary.skipped) == (2, 5)
    assert summary.statuses == {"ok": 3, "failed": 4}


PATIENCE = 10  # seconds, of tests that wait for so long; others get more than they ever need
ACCIDENTS = {
    # The row has the code that the system reports, which once was another than the process gave.
    "001_x.jpg": (engines.EXITS, None, "decoder_crash", "died (exit code"),
    "003_x.jpg": (engines.SEGFAULTS, None, "decoder_crash", "SIGSEGV"),
    "005_x.jpg": (engines.RAISES, None, "internal_error", "RuntimeError: boom"),
    "007_x.jpg": (b"", engines.DEADLY_WIDTH, "decoder_crash", "died (exit code"),
    "009_x.jpg": (b"", engines.BROKEN_WIDTH, "internal_error", "the model broke"),
    "011_x.jpg": (engines.SWELLS, None, "out_of_memory", f"more than {engines.MEBIBYTES} MiB"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="how memory is watched")
def test_an_accident_costs_one_photo(run, photo_folder, tmp_path):
    folder = photo_folder(*["red", "green"] * 7)
    for name, (tail, width, _, _) in ACCIDENTS.items():
        (folder / name).write_bytes(encoded(picture("red", (width or 64, 48), seed=99)) + tail)
    # In batches: one that a single photo ends is tried again one by one.
    limits = {"timeout": 300, "memory_limit": engines.MEBIBYTES << 20, "batch": 4}
    summary = run(folder, pool=WorkerPool, workers=2, payload=engines.FragilePayload, **limits)
    rows = by_name(tmp_path / "scan.sqlite")
    failed = {name: row for name, row in rows.items() if row["status"] == "failed"}
    assert failed.keys() == ACCIDENTS.keys()
    for name, (_, _, reason, words) in ACCIDENTS.items():
        row = failed[name]
        assert (row["reason"], row["decision"]) == (reason, "unscored")
        assert words in row["detail"]
        assert row["sha256"]
    assert summary.statuses == {"ok": 14, "failed": 6}
    assert summary.leads == {"ivory_worked": 7}
    # What killed a worker is tried again only where that is asked for.
    again = run(folder, payload=engines.FragilePayload)
    assert (again.skipped, again.failed) == (len(rows), summary.failed)
    summary = run(folder, recheck=True)
    assert (summary.scanned, summary.skipped) == (6, 14)
    assert summary.statuses == {"ok": 20}


def test_an_image_that_hangs_costs_itself_alone(run, photo_folder, tmp_path):
    folder = photo_folder("red", "green", "red", "green")
    (folder / "001_green.jpg").write_bytes(encoded(picture("red")) + engines.HANGS)
    (folder / "003_green.jpg").write_bytes(encoded(picture("red", (engines.ENDLESS_WIDTH, 48))))
    limits = {"timeout": PATIENCE, "workers": 2, "batch": 2}
    summary = run(folder, pool=WorkerPool, payload=engines.FragilePayload, **limits)
    assert (summary.statuses, summary.failed) == ({"ok": 2, "failed": 2}, {"timeout": 2})
    rows = by_name(tmp_path / "scan.sqlite")
    for row in (rows["001_green.jpg"], rows["003_green.jpg"]):
        assert row["sha256"]
        assert row["detail"].endswith(f"killed after {PATIENCE} s")


@pytest.mark.parametrize("batch", [1, 4])
def test_a_worker_that_the_system_kills_costs_nothing(run, photo_folder, tmp_path, batch):
    folder, sign = photo_folder(*["red"] * 5), str(tmp_path / "once").encode()
    (folder / "002_red.jpg").write_bytes(encoded(picture("red")) + engines.EXITS_ONCE + sign)
    summary = run(folder, pool=WorkerPool, payload=engines.FragilePayload, batch=batch)
    assert (tmp_path / "once").exists()
    assert summary.statuses == {"ok": 5}


@pytest.mark.skipif(sys.platform != "linux", reason="how memory is watched")
def test_memory_that_earlier_photos_took_costs_none(run, photo_folder):
    summary = run(
        photo_folder(*["red"] * 12),
        pool=WorkerPool,
        payload=engines.LeakyPayload,
        memory_limit=engines.MEBIBYTES << 20,
        timeout=300,
    )
    assert summary.statuses == {"ok": 12}


def test_a_source_that_is_slower_than_the_timeout_costs_no_image(
    tiny_bundle, photo_folder, tmp_path
):
    def slowly():
        one, other = photo_folder("red", "green").iterdir()
        yield Item.at(str(one))
        time.sleep(PATIENCE + 1)
        yield Item.at(str(other))

    summary = scan_into(tmp_path / "scan.sqlite", slowly(), tiny_bundle, timeout=PATIENCE)
    assert summary.statuses == {"ok": 2}


@contextmanager
def started(command):
    # A handler of ours, so that a Ctrl-C that this process itself ignores is not ignored there.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


WITH_SLOW_ENGINE = """if True:
    import sys, recognizer.scan
    from recognizer.commands import main
    from tests.scan.engines import SlowPayload
    sys.modules["recognizer.scan.run"].WorkerPayload = SlowPayload
    main()
    """


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_a_scan_whatever_its_workers_are_at(
    tiny_bundle, photo_folder, tmp_path, monkeypatch, number
):
    folder, output, sign = photo_folder(*["red"] * 20), tmp_path / "scan.sqlite", tmp_path / "slow"
    monkeypatch.setenv("RECOGNIZER_TEST_SLOW", str(sign))
    command = scan_command(tiny_bundle, output, folder, "--workers", 1)
    command[1:3] = ["-c", WITH_SLOW_ENGINE]
    with started(command) as process:
        wait_for(sign.exists)
        wait_for(lambda: count_rows(output) == 8)
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=600)  # its worker is busy for an hour
        with pytest.raises(ProcessLookupError):  # soon
            wait_for(lambda: os.killpg(process.pid, 0))
    assert process.returncode == 130
    assert f"The rows so far are in {output}. Run the same command" in errors.decode()
    assert [row["status"] for row in read_rows(output)] == ["ok"] * 8
