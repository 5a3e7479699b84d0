"""Disks that are full, and sources that vanish or fail while they are scanned."""

import os
import shutil
import subprocess
import sys

from recognizer.cli import ExitCode
from recognizer.scan import Item, expand
from tests.conftest import read_rows
from tests.scan.engines import scan_command, scan_into

LIMITED = """if True:
    import resource
    from recognizer.commands import main
    # As a full disk does it: what is over the limit is not written.
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    main()
    """


def test_a_full_disk_is_a_clear_stop_and_the_scan_goes_on_later(
    tiny_bundle, photo_folder, tmp_path
):
    folder = photo_folder(*["red"] * 240)
    output = tmp_path / "scan.sqlite"
    command = scan_command(tiny_bundle, output, folder)
    limited = [sys.executable, "-c", LIMITED, *command[3:]]
    done = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.USAGE
    assert "make room" in done.stderr
    assert "the same command goes on" in done.stderr
    assert "Traceback" not in done.stderr
    before = read_rows(output)
    assert 0 < len(before) < 240
    assert subprocess.run(command, check=False).returncode == ExitCode.DONE
    rows = read_rows(output)
    for now, row in zip(rows, before, strict=False):
        assert now | {"last_seen": row["last_seen"]} == row
    assert len({row["source"] for row in rows}) == len(rows) == 240


def test_what_vanishes_or_fails_during_a_scan_gets_a_row(tiny_bundle, photo_folder, tmp_path):
    folder = photo_folder("red", "red", "red")
    first, second, third = sorted(folder.iterdir())

    def items():
        yield from expand([first])
        vanishing = list(expand([second]))
        second.unlink()
        yield from vanishing
        if sys.platform == "linux":
            yield Item.at("/proc/self/mem")  # a regular file whose reading fails
        shutil.copy(third, tmp_path / "other.jpg")
        whole_folder = expand([folder])
        shutil.rmtree(folder)
        yield from whole_folder
        yield from expand([tmp_path / "other.jpg"])

    scan_into(tmp_path / "scan.sqlite", items(), tiny_bundle)
    rows = {row["source"]: row for row in read_rows(tmp_path / "scan.sqlite")}
    assert rows[str(second)]["reason"] == "not_found"
    assert rows[str(folder)]["reason"] == "not_found"
    assert rows[os.fspath(tmp_path / "other.jpg")]["decision"] == "priority"
    if sys.platform == "linux":
        found = (rows[f"/proc/{os.getpid()}/mem"][key] for key in ("status", "reason", "decision"))
        assert tuple(found) == ("failed", "read_error", "unscored")
