"""A second scan reads no file that has not changed."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recognizer.policy.values import Policy
from recognizer.rows import ScanSummary
from recognizer.scan import Item, worker
from recognizer.scan.worker import Reader
from tests.conftest import encoded, picture, read_rows
from tests.scan.engines import InProcessPool, scan_into

Scan = Callable[..., ScanSummary]
RED, GREEN = (encoded(picture(color)) for color in ("red", "green"))


@pytest.fixture(autouse=True)
def _all_files_are_old_and_read_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "RACY_NS", -(1 << 62))
    monkeypatch.setattr("recognizer.scan.run.WorkerPool", InProcessPool)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of files that were read, in their order."""
    names: list[str] = []
    original = Reader.read

    def recorded(self: Reader, item: Item) -> bytes:
        names.append(os.path.basename(item.source))
        return original(self, item)

    monkeypatch.setattr(Reader, "read", recorded)
    return names


@pytest.fixture
def scan_all(tiny_bundle: Path, tmp_path: Path) -> Scan:
    """Scan all files of the folder ``photos``, as the command line does."""

    def run(policy: Policy | None = None, **options: Any) -> ScanSummary:
        items = [Item.at(str(path)) for path in sorted((tmp_path / "photos").iterdir())]
        return scan_into(tmp_path / "scan.sqlite", items, tiny_bundle, policy=policy, **options)

    return run


def test_no_byte_is_read_again(scan_all, photo_folder, read, tmp_path):
    photo_folder("red", "green", "blue")
    scan_all()
    before = read_rows(tmp_path / "scan.sqlite")
    read.clear()
    seen: dict[int, str] = {}
    summary = scan_all(on_rows=lambda _, rows: seen.update((i, row.source) for i, row in rows))
    assert read == []
    assert (summary.scanned, summary.skipped) == (0, 3)
    assert summary.leads == {"ivory_worked": 1, "ivory (family)": 1}
    assert [os.path.basename(seen[i])[4:-4] for i in range(3)] == ["red", "green", "blue"]
    assert read_rows(tmp_path / "scan.sqlite") == before
    scan_all(recheck=True)
    assert len(read) == 3


def test_changed_and_new_files_are_read(scan_all, photo_folder, read, tmp_path):
    folder = photo_folder("red", "red", "red", "red")
    for path in folder.iterdir():
        path.write_bytes(RED.ljust(len(GREEN) + len(RED), b"\0"))
    scan_all()
    same, edited, replaced, longer = sorted(folder.iterdir())
    edited.write_bytes(GREEN.ljust(edited.stat().st_size, b"\0"))  # of the same size
    old = replaced.stat()
    other = tmp_path / "other"
    other.write_bytes(GREEN.ljust(old.st_size, b"\0"))
    os.utime(other, ns=(old.st_atime_ns, old.st_mtime_ns))
    other.replace(replaced)  # of the same size and time
    with longer.open("ab") as file:
        file.write(b"\0")
    (folder / "new.jpg").write_bytes(GREEN)
    read.clear()
    summary = scan_all()
    assert read == [*(p.name for p in (edited, replaced, longer)), "new.jpg"]
    assert (summary.scanned, summary.skipped) == (4, 1)
    rows = {row["source"]: row for row in read_rows(tmp_path / "scan.sqlite")}
    assert {name: max(row["scores"], key=row["scores"].get) for name, row in rows.items()} == {
        str(same): "ivory_worked",
        str(edited): "ceramic",
        str(replaced): "ceramic",
        str(longer): "ivory_worked",
        str(folder / "new.jpg"): "ceramic",
    }
    read.clear()
    scan_all()
    assert read == []


def test_a_file_of_this_instant_is_read_again(scan_all, photo_folder, read, monkeypatch):
    """It may change once more without a later time, as far as a clock tells them apart."""
    monkeypatch.setattr(worker, "RACY_NS", 3600 * 10**9)
    photo_folder("red")
    scan_all()
    scan_all()
    assert len(read) == 2
    monkeypatch.setattr(worker, "RACY_NS", 0)
    monkeypatch.setattr(time, "time_ns", lambda: 1 << 62)
    scan_all()
    scan_all()
    assert len(read) == 3


def test_a_file_that_changes_while_it_is_read_is_read_again(
    scan_all, photo_folder, monkeypatch, tmp_path
):
    (path,) = photo_folder("red").iterdir()
    original = Reader.read

    def changing(self: Reader, item: Item) -> bytes:
        data = original(self, item)
        path.write_bytes(GREEN)
        return data

    with monkeypatch.context() as patched:
        patched.setattr(Reader, "read", changing)
        scan_all()
    assert scan_all().scanned == 1
    assert read_rows(tmp_path / "scan.sqlite")[-1]["decision"] == "clear"
