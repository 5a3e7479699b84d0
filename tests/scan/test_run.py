from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image

from recognizer.errors import ProviderError, RecognizerError, UsageError
from recognizer.imaging import Limits
from recognizer.model.bundle import load_bundle
from recognizer.policy import Policy
from recognizer.recognizer import Recognizer
from recognizer.rows import Journal, Row, ScanSummary
from recognizer.rows.thumbnails import ThumbnailStore
from recognizer.scan import Guard, Item, expand, scan
from recognizer.scan.machine import BATCH_ITEMS
from recognizer.scan.pool import Crew, _Worker
from recognizer.scan.run import _BATCH_BYTES, _batches
from recognizer.scan.worker import Setup, Task
from tests.conftest import encoded, picture, read_rows
from tests.scan import engines

TOP = {"red": "ivory_worked", "green": "ceramic", "blue": "listing_other"}


def by_name(path: Path) -> dict[str, Row]:
    rows = {os.path.basename(row["source"]): row for row in read_rows(path)}
    assert len(rows) == len(read_rows(path)), "one row for each"
    return rows


@pytest.fixture
def run(tiny_bundle: Path, tmp_path: Path) -> Callable[..., ScanSummary]:
    def run(*sources: object, **options: object) -> ScanSummary:
        items = [s if isinstance(s, Item) else Item(str(s)) for s in sources]
        folders = [item.source for item in items if os.path.isdir(item.source)]
        with Journal(tmp_path / "scan.jsonl") as journal:
            return scan(
                expand(folders) if folders else items,
                load_bundle(tiny_bundle),
                Policy(),
                journal,
                **{"workers": 1, **options},  # type: ignore[arg-type]
            )

    return run


def test_each_photo_gets_its_own_score(
    run: Callable[..., ScanSummary],
    photo_folder: Callable[..., Path],
    tmp_path: Path,
    recognizer: Recognizer,
) -> None:
    colors = [("red", "green", "blue")[i * i % 7 % 3] for i in range(30)]
    folder = photo_folder(*colors)
    told: dict[int, Row] = {}
    summary = run(folder, workers=2, on_rows=lambda _, rows: told.update(rows))
    rows = by_name(tmp_path / "scan.jsonl")
    assert sorted(rows) == sorted(os.listdir(folder))
    assert [os.path.basename(told[i]["source"]) for i in range(30)] == sorted(rows)
    for name, row in rows.items():
        color = name[4:-4]
        prediction = recognizer.predict(folder / name)
        assert row["scores"] == pytest.approx(prediction.scores, abs=2e-6)
        assert max(row["scores"], key=row["scores"].get) == TOP[color]
        assert (row["sha256"], row["phash"]) == (prediction.sha256, prediction.phash)
        assert bool(row["regions"]) == (color == "red")
    assert (summary.scanned, summary.skipped) == (30, 0)
    assert summary.leads == {"ivory_worked": colors.count("red")}
    assert summary.decisions.total() == colors.count("red")


def test_a_second_scan_writes_only_what_is_new(
    run: Callable[..., ScanSummary], photo_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photo_folder("red", "green", "blue")
    (folder / "broken.jpg").touch()
    first, second, missing = folder / "000_red.jpg", folder / "001_green.jpg", folder / "gone.jpg"
    photos = [Item(str(path)) for path in (*sorted(folder.iterdir()), missing, first)]
    journal = tmp_path / "scan.jsonl"
    summary = run(*photos)
    assert (summary.scanned, summary.skipped, summary.repeated) == (5, 0, 1)
    before = journal.read_bytes()
    summary = run(*photos)
    assert (summary.scanned, summary.skipped, summary.repeated) == (0, 5, 1)
    assert summary.failed == {"empty": 1, "not_found": 1}
    assert summary.leads == {"ivory_worked": 1}
    assert journal.read_bytes() == before
    second.write_bytes(first.read_bytes())
    summary = run(*photos)
    assert (summary.scanned, summary.skipped) == (1, 4)
    assert journal.read_bytes().startswith(before)
    (row,) = read_rows(journal)[5:]
    assert (row["source"], row["labels"]) == (str(second), ["ivory_worked"])
    assert summary.leads == {"ivory_worked": 2}


def test_thumbnails_of_leads_alone_are_kept(
    run: Callable[..., ScanSummary], photo_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photo_folder("red", "green")
    frames = [picture("blue", (600, 300)), picture("red", (600, 300))]
    animation = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    (folder / "002_red.gif").write_bytes(animation)
    with ThumbnailStore(tmp_path / "thumbnails", create=True) as store:
        run(folder, thumbnails=store)
        rows = by_name(tmp_path / "scan.jsonl")
        small, none, second = (store.get(rows[name]["sha256"]) for name in sorted(rows))
    assert none is None
    assert small is not None
    assert (small.width, small.height, small.frame) == (48, 36, 0)  # as the model saw it
    assert second is not None
    assert (second.width, second.height, second.frame) == (67, 34, 1)
    red, green, blue = np.asarray(Image.open(io.BytesIO(second.jpeg)))[16, 16]
    assert red > max(green, blue)


def test_the_columns_of_a_listing_pass_through(
    run: Callable[..., ScanSummary], photo_folder: Callable[..., Path], tmp_path: Path
) -> None:
    photo = str(photo_folder("red") / "000_red.jpg")
    items = [Item(photo, {"id": 1, "title": "x" * 200_000}), Item(photo, {"id": 2})]
    assert run(*items).scanned == 2
    assert run(*items).skipped == 2
    rows = read_rows(tmp_path / "scan.jsonl")
    assert [row["item"]["id"] for row in rows] == [1, 2]


def test_bad_inputs_get_a_row_with_a_reason(
    run: Callable[..., ScanSummary], tmp_path: Path
) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    good = encoded(picture("red", seed=1))
    (folder / "good.jpg").write_bytes(good)
    (folder / "empty.jpg").touch()
    (folder / "page.jpg").write_bytes(b"<html><body>gone</body></html>")
    (folder / "large.bmp").write_bytes(encoded(picture(size=(200, 150)), "BMP"))
    (folder / "wide.png").write_bytes(encoded(picture(size=(150, 120)), "PNG"))
    (folder / "broken link.jpg").symlink_to("nowhere")
    os.mkfifo(folder / "fifo.jpg")
    summary = run(folder, limits=Limits(max_bytes=80_000, max_pixels=15_000))
    rows = by_name(tmp_path / "scan.jsonl")
    assert {name: row["reason"] for name, row in rows.items()} == {
        "good.jpg": None,
        "empty.jpg": "empty",
        "page.jpg": "not_an_image",
        "large.bmp": "too_many_bytes",
        "wide.png": "too_many_pixels",
        "broken link.jpg": "not_found",
        "fifo.jpg": "not_a_file",
    }
    assert all(row["decision"] is None for row in rows.values() if row["status"] == "failed")
    assert summary.statuses == {"ok": 1, "failed": 6}
    # Wider limits: what failed for the narrow ones is tried again.
    summary = run(folder)
    assert (summary.scanned, summary.skipped) == (2, 5)
    assert summary.statuses == {"ok": 3, "failed": 4}


def test_an_accident_costs_one_photo(
    run: Callable[..., ScanSummary], photo_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photo_folder(*["red", "green"] * 8)
    photo = encoded(picture("red", seed=99))
    (folder / "001_x.jpg").write_bytes(photo + engines.EXITS)
    (folder / "003_x.jpg").write_bytes(photo + engines.SEGFAULTS)
    (folder / "005_x.jpg").write_bytes(photo + engines.RAISES)
    deadly = picture("red", (engines.DEADLY_WIDTH, 48))
    (folder / "007_x.jpg").write_bytes(encoded(deadly))
    broken = picture("red", (engines.BROKEN_WIDTH, 48))
    (folder / "009_x.jpg").write_bytes(encoded(broken))
    summary = run(folder, workers=2, engine=engines.Fragile)
    rows = by_name(tmp_path / "scan.jsonl")
    failed = {n: (r["reason"], r["detail"]) for n, r in rows.items() if r["status"] == "failed"}
    assert failed["001_x.jpg"][0] == "decoder_crash"
    assert "exit code 7" in failed["001_x.jpg"][1]
    assert "SIGSEGV" in failed["003_x.jpg"][1]
    assert failed["005_x.jpg"][0] == "internal_error"
    assert "RuntimeError: boom" in failed["005_x.jpg"][1]
    assert "exit code 8" in failed["007_x.jpg"][1]
    assert "the model broke" in failed["009_x.jpg"][1]
    assert len(failed) == 5
    assert all(rows[name]["sha256"] for name in failed)
    assert summary.statuses == {"ok": 16, "failed": 5}
    assert summary.leads == {"ivory_worked": 8}
    # What killed a worker is tried again only where that is asked for.
    assert run(folder, engine=engines.Fragile).skipped == len(rows)
    again = run(folder, engine=engines.Fragile, retry_failed=True)
    assert (again.skipped, again.failed) == (len(rows), summary.failed)  # and says nothing new
    summary = run(folder, retry_failed=True)
    assert (summary.scanned, summary.skipped) == (5, 16)
    assert summary.statuses == {"ok": 21}


def test_what_hangs_costs_one_photo(
    run: Callable[..., ScanSummary], photo_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photo_folder(*["red", "green"] * 5)
    (folder / "003_x.jpg").write_bytes(encoded(picture("red", seed=99)) + engines.HANGS)
    endless = picture("red", (engines.ENDLESS_WIDTH, 48))
    (folder / "005_x.jpg").write_bytes(encoded(endless))
    summary = run(folder, workers=2, engine=engines.Fragile, guard=Guard(seconds=4))
    rows = by_name(tmp_path / "scan.jsonl")
    failed = {name: row for name, row in rows.items() if row["status"] == "failed"}
    assert [*sorted(failed)] == ["003_x.jpg", "005_x.jpg"]
    for row in failed.values():
        assert (row["reason"], row["decision"]) == ("timeout", None)
        assert "ended after 4 s" in row["detail"]
        assert row["sha256"]
    assert summary.statuses == {"ok": 10, "failed": 2}
    assert summary.leads == {"ivory_worked": 5}
    assert run(folder, engine=engines.Fragile).skipped == 12  # at once: they are not tried again


@pytest.mark.skipif(sys.platform != "linux", reason="how memory is watched")
def test_what_swells_costs_one_photo(
    run: Callable[..., ScanSummary], photo_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photo_folder(*["red", "green"] * 5)
    (folder / "003_x.jpg").write_bytes(encoded(picture("red", seed=99)) + engines.SWELLS)
    guard = Guard(memory=engines.MEBIBYTES << 20)
    summary = run(folder, engine=engines.Fragile, guard=guard)
    rows = by_name(tmp_path / "scan.jsonl")
    assert summary.statuses == {"ok": 10, "failed": 1}
    row = rows["003_x.jpg"]
    assert (row["reason"], row["decision"]) == ("out_of_memory", None)
    assert f"more than {engines.MEBIBYTES} MiB" in row["detail"]
    with pytest.raises(UsageError, match="a memory limit of 2 MiB leaves no room"):
        run(folder, guard=Guard(memory=2 << 20), retry_failed=True)


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_limits_that_make_no_sense(seconds: float) -> None:
    with pytest.raises(UsageError, match="timeout"):
        Guard(seconds=seconds)
    with pytest.raises(UsageError, match="memory"):
        Guard(memory=0)


def test_workers_that_cannot_start(run: Callable[..., ScanSummary], tmp_path: Path) -> None:
    with pytest.raises(RecognizerError, match=r"cannot be started: .* \(exit code 9\)"):
        run("a.jpg", engine=engines.stillborn)
    with pytest.raises(ProviderError, match="no such accelerator"):
        run("a.jpg", engine=engines.without_provider)
    with pytest.raises(UsageError, match="workers"):
        run("a.jpg", workers=-1)
    assert read_rows(tmp_path / "scan.jsonl") == []


def test_nothing_to_do_starts_no_worker(run: Callable[..., ScanSummary]) -> None:
    assert run(engine=engines.stillborn).images == 0


def test_batches_are_bounded_by_the_bytes_that_they_carry() -> None:
    def sizes(count: int, data: bytes | None) -> list[int]:
        tasks = (Task(i, Item(str(i), data=data), None) for i in range(count))
        return [len(batch) for batch in _batches(tasks, 8)]

    assert sizes(20, None) == sizes(20, b"small") == [8, 8, 4]
    assert sizes(3, bytes(_BATCH_BYTES)) == [1, 1, 1]
    assert sizes(5, bytes(_BATCH_BYTES // 2)) == [2, 2, 1]


# --- killed -----------------------------------------------------------------------------------


@contextmanager
def started(command: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    # A handler of ours, so that a Ctrl-C that this process itself ignores is not ignored there.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            command,
            start_new_session=True,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
        )
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def group_is_gone(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("number", "lines"),
    [(signal.SIGKILL, 1), (signal.SIGKILL, 150), (signal.SIGINT, 60), (signal.SIGTERM, 60)],
)
def test_a_scan_that_was_killed_goes_on(
    tiny_bundle: Path,
    photo_folder: Callable[..., Path],
    tmp_path: Path,
    number: signal.Signals,
    lines: int,
) -> None:
    folder = photo_folder(*["red", "green", "blue"] * 8)
    for i in range(12):  # the same photos through many names
        for photo in sorted(folder.glob("0*.jpg")):
            os.link(photo, folder / f"{i}_{photo.name}") if i else None
    output = tmp_path / "scan.jsonl"
    names = sorted(os.listdir(folder))
    command = [sys.executable, "-m", "recognizer", "scan", str(folder), "--workers", "2"]
    command += ["--bundle", str(tiny_bundle), "--output", str(output)]
    with started(command) as process:
        wait_for(lambda: output.exists() and output.read_bytes().count(b"\n") >= lines)
        if number == signal.SIGKILL:
            process.kill()
        else:
            os.killpg(process.pid, number)  # as a terminal, or a service manager, does
        _, errors = process.communicate(timeout=120)
        wait_for(lambda: group_is_gone(process.pid))
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert b"The same command again goes on" in errors
        assert output.read_bytes().endswith(b"\n")
    before = output.read_bytes()
    # The batch that an interrupt meets on its way to the disk is taken back.
    assert lines - BATCH_ITEMS <= before.count(b"\n") < len(names)
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert output.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    rows = by_name(output)
    assert sorted(rows) == names
    assert Counter(row["status"] for row in rows.values()) == {"ok": len(names)}
    for name, row in rows.items():
        assert max(row["scores"], key=row["scores"].get) == TOP[name[:-4].rsplit("_", 1)[-1]]


def seconds_of_a_start() -> float:
    """What a machine takes that may be busy with other things."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import recognizer.scan"], check=True)
    return time.monotonic() - began


WITH_SLOW_ENGINE = """if True:
    import functools, recognizer.scan
    from recognizer.cli import main
    from tests.scan.engines import Slow
    recognizer.scan.scan = functools.partial(recognizer.scan.scan, engine=Slow)
    main()
    """


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_a_scan_within_two_seconds_whatever_it_is_at(
    tiny_bundle: Path, photo_folder: Callable[..., Path], tmp_path: Path, number: signal.Signals
) -> None:
    folder, output, sign = photo_folder(*["red"] * 20), tmp_path / "scan.jsonl", tmp_path / "slow"
    command = [sys.executable, "-c", WITH_SLOW_ENGINE, "scan", str(folder), "--workers", "1"]
    command += ["--bundle", str(tiny_bundle), "--output", str(output)]
    with started(command, RECOGNIZER_TEST_SLOW=str(sign)) as process:
        wait_for(sign.exists)
        wait_for(lambda: output.read_bytes().count(b"\n") == BATCH_ITEMS)
        bound = max(2.0, seconds_of_a_start())
        began = time.monotonic()
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=120)
        assert time.monotonic() - began < bound
        wait_for(lambda: group_is_gone(process.pid))
    assert process.returncode == 130
    assert f"the rows so far are in {output}. The same command again goes on." in errors.decode()
    assert [row["status"] for row in read_rows(output)] == ["ok"] * BATCH_ITEMS


def test_processes_that_do_not_hear_sigkill_do_not_wait_one_after_the_other(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deaf:
        def kill(self) -> None: ...

        def join(self, seconds: float) -> None:
            time.sleep(seconds)

    monkeypatch.setattr("recognizer.scan.pool._LAST_SECONDS", 0.2)
    crew = Crew(Setup(load_bundle(tiny_bundle), Policy()), 1, Guard())
    ours, theirs = Pipe()
    crew._workers = [_Worker(cast(BaseProcess, Deaf()), ours) for _ in range(10)]
    started = time.monotonic()
    crew.end()
    theirs.close()
    assert time.monotonic() - started < 1
