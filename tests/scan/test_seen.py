"""A second scan reads no unchanged file, replaces no score by a failure, and hides nothing."""

import os
import time

import pytest

from recognizer.rows import ScanFile, identity
from recognizer.scan import Item
from recognizer.scan.worker import Reader
from tests.conftest import encoded, invoke, picture, read_rows
from tests.desk.outcomes import outcome, store
from tests.scan.engines import InProcessPool, scan_into

RED, GREEN, BLUE = (encoded(picture(color)) for color in ("red", "green", "blue"))
TABLE = [("L1", "red"), ("L1", "green"), ("L2", "blue")]


@pytest.fixture(autouse=True)
def _all_files_are_old_and_read_in_this_process(monkeypatch):
    monkeypatch.setattr(identity, "RACY_NS", -(1 << 62))
    monkeypatch.setattr("recognizer.scan.run.WorkerPool", InProcessPool)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, content in [("red", RED), ("green", GREEN), ("blue", BLUE)]:
        (folder / f"{name}.jpg").write_bytes(content)
    return folder


@pytest.fixture
def again(photos, tmp_path, tiny_bundle):
    """Scan sources, or a table of the three photos, and return the rows of the file by name."""

    def run(*sources, options=(), lines=3):
        table, output = tmp_path / "table.csv", tmp_path / "scan.sqlite"
        cells = [f"{id_},a,{photos / name}.jpg" for id_, name in TABLE[:lines]]
        table.write_text("\n".join(["id,title,image", *cells]))
        given = ("-m", tiny_bundle, "-o", output, "--workers", 1, *options)
        done = invoke("scan", *(sources or (table,)), *given)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
        return read_rows(output)

    return run


def queue(path):
    with ScanFile(path) as file:
        return file.select("SELECT name, decision, state FROM queue")


def audited(path):
    with ScanFile(path) as file:
        return file.select("SELECT source FROM entry WHERE section = 'audit' ORDER BY source")


def test_a_folder_that_is_not_mounted_for_a_night_costs_nothing(again, photos, tmp_path):
    path = tmp_path / "scan.sqlite"
    before = again(options=("--audit-rate", 1))
    assert [row["decision"] for row in before] == ["priority", "clear", "clear"]
    store(path, [outcome(sha256=before[0]["sha256"], listing="L1")])
    states = queue(path), audited(path)
    assert states[0] == [("L1", "priority", "confirmed")]
    photos.rename(tmp_path / "elsewhere")
    unread = [{**row, "unread": "not_found"} for row in before]
    assert again() == unread
    assert (queue(path), audited(path)) == states
    (tmp_path / "elsewhere").rename(photos)
    assert again() == before


def test_what_a_scan_does_not_meet_stays_and_says_when_it_was_seen(again, photos, tmp_path):
    path = tmp_path / "scan.sqlite"
    before = again(options=("--audit-rate", 1))
    states = queue(path), audited(path)
    (photos / "red.jpg").unlink()
    rows = again(lines=1)
    assert (queue(path), audited(path)) == states
    assert [row["unread"] for row in rows] == ["not_found", None, None]
    assert [row["scores"] for row in rows] == [row["scores"] for row in before]
    with ScanFile(path) as file:
        latest = file.setting("last_scan")
        met = "SELECT last_seen = ? FROM seen ORDER BY image"
        assert file.select(met, (latest,)) == [(True,), (False,), (False,)]


def test_other_bytes_are_another_image(again, photos, tmp_path):
    path = tmp_path / "scan.sqlite"
    red, *_ = again()
    store(path, [outcome(sha256=red["sha256"], listing="L1", judgement="rejected")])
    assert queue(path) == [("L1", "priority", "rejected")]
    (photos / "red.jpg").write_bytes(encoded(picture("red", seed=9)))
    rows = again()
    assert len(rows) == 3
    assert rows[0]["sha256"] != red["sha256"]
    assert queue(path) == [("L1", "priority", "open")]  # nobody has seen it
    (photos / "red.jpg").write_bytes(b"<html>sold</html>")
    assert [row["decision"] for row in again()] == ["unscored", "clear", "clear"]


@pytest.fixture
def read(monkeypatch):
    """The names of files that were read, in their order."""
    names = []
    original = Reader.read

    def recorded(self, item):
        names.append(os.path.basename(item.source))
        return original(self, item)

    monkeypatch.setattr(Reader, "read", recorded)
    return names


@pytest.fixture
def scan_all(tiny_bundle, tmp_path):
    """Scan all files of the folder ``photos``, as the command line does."""

    def run(policy=None, **options):
        items = [Item.at(str(path)) for path in sorted((tmp_path / "photos").iterdir())]
        return scan_into(tmp_path / "scan.sqlite", items, tiny_bundle, policy=policy, **options)

    return run


def test_no_byte_is_read_again(scan_all, photo_folder, read, tmp_path):
    photo_folder("red", "green", "blue")
    scan_all()
    before = read_rows(tmp_path / "scan.sqlite")
    read.clear()
    seen = {}
    summary = scan_all(on_rows=lambda _, rows: seen.update((i, row.source) for i, row in rows))
    assert read == []
    assert (summary.scanned, summary.skipped) == (0, 3)
    assert summary.leads == {"ivory_worked": 1}
    assert [os.path.basename(seen[i])[4:-4] for i in range(3)] == ["red", "green", "blue"]
    after = read_rows(tmp_path / "scan.sqlite")
    assert after == [
        row | {"last_seen": new["last_seen"]} for row, new in zip(before, after, strict=True)
    ]
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
    monkeypatch.setattr(identity, "RACY_NS", 3600 * 10**9)
    photo_folder("red")
    scan_all()
    scan_all()
    assert len(read) == 2
    monkeypatch.setattr(identity, "RACY_NS", 0)
    monkeypatch.setattr(time, "time_ns", lambda: 1 << 62)
    scan_all()
    scan_all()
    assert len(read) == 3


def test_a_file_that_changes_while_it_is_read_is_read_again(
    scan_all, photo_folder, monkeypatch, tmp_path
):
    (path,) = photo_folder("red").iterdir()
    original = Reader.read

    def changing(self, item):
        data = original(self, item)
        path.write_bytes(GREEN)
        return data

    with monkeypatch.context() as patched:
        patched.setattr(Reader, "read", changing)
        scan_all()
    assert scan_all().scanned == 1
    assert read_rows(tmp_path / "scan.sqlite")[-1]["decision"] == "clear"
