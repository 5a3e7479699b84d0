"""A second scan reads no unchanged file, replaces no score by a failure; what it misses is gone."""

import os
import time
from pathlib import Path

import pytest

from recognizer.rows import ScanFile
from recognizer.rows.listings import decided_images
from recognizer.scan import Item, worker
from recognizer.scan.worker import Reader
from tests.conftest import encoded, invoke, picture, read_rows
from tests.desk.outcomes import outcome, store
from tests.scan.engines import InProcessPool, scan_into

RED, GREEN, BLUE = (encoded(picture(color)) for color in ("red", "green", "blue"))
TABLE = [("L1", "red"), ("L1", "green"), ("L2", "blue")]


@pytest.fixture(autouse=True)
def _all_files_are_old_and_read_in_this_process(monkeypatch):
    monkeypatch.setattr(worker, "RACY_NS", -(1 << 62))
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
    assert again() == before
    assert (queue(path), audited(path)) == states
    (tmp_path / "elsewhere").rename(photos)
    assert again() == before


def test_a_listing_that_left_its_table_leaves_the_queue_until_it_is_back(again, tmp_path):
    path = tmp_path / "scan.sqlite"
    before = again(options=("--audit-rate", 1))
    assert ([name for name, *_ in queue(path)], len(audited(path))) == (["L1"], 2)
    store(path, [outcome(sha256=before[2]["sha256"], judgement="rejected", occasion="audit")])
    rows = again(lines=1)
    assert [row["gone"] is None for row in rows] == [True, False, False]
    assert [{**row, "gone": None} for row in rows] == before
    assert ([name for name, *_ in queue(path)], audited(path)) == (["L1"], [])
    since = rows[2]["gone"]
    assert again(lines=1)[2]["gone"] == since  # it is gone since the first time
    again(lines=0)  # a table without rows is refused
    assert [name for name, *_ in queue(path)] == ["L1"]
    with ScanFile(path) as file:
        assert [image.row.source for image in decided_images(file)] == [before[2]["source"]]
    assert again() == before
    assert ([name for name, *_ in queue(path)], len(audited(path))) == (["L1"], 2)


def test_a_photo_that_left_its_folder_is_gone(again, photos, tmp_path):
    (photos / "new").mkdir()
    for name in ("red", "green"):
        (photos / f"{name}.jpg").rename(photos / "new" / f"{name}.jpg")
    again(photos, photos / "new" / "red.jpg")
    (photos / "new" / "red.jpg").unlink()

    def gone(*sources):
        return [Path(row["source"]).name for row in again(*sources) if row["gone"]]

    assert gone(photos / "blue.jpg") == []  # nothing else was looked at
    assert gone(photos / "new") == []  # it was scanned with the folder above
    assert gone(photos) == ["red.jpg"]
    assert queue(tmp_path / "scan.sqlite") == []
    (photos / "new" / "red.jpg").write_bytes(RED)
    assert gone(photos / "new" / "red.jpg") == []


def test_a_folder_that_cannot_be_listed_whole_loses_nothing(again, photos, monkeypatch):
    (photos / "sub").mkdir()
    (photos / "red.jpg").rename(photos / "sub" / "red.jpg")
    again(photos)
    scandir = os.scandir

    def refuse(folder):
        if os.path.basename(folder) == "sub":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        (photos / "green.jpg").unlink()
        rows = again(photos)
        assert [row["reason"] for row in rows if row["gone"] or row["reason"]] == [
            "permission_denied"
        ]
    rows = again(photos)  # and the failure is gone, too, as is the photo
    gone = [Path(row["source"]).name for row in rows if row["gone"]]
    assert sorted(gone) == ["green.jpg", "sub"]


def test_a_table_that_is_whole_again_keeps_no_failure(again, tmp_path):
    path, table = tmp_path / "scan.sqlite", tmp_path / "other.csv"
    again()
    table.write_text('image,id\nphotos/red.jpg,1\n,2\nphotos/green.jpg,"3')  # cut within a row
    again(table)
    failures = {name for name, decision, _ in queue(path) if decision == "unscored"}
    assert failures == {"2", f"{table}!/3"}
    table.write_text("image,id\nphotos/red.jpg,1\nphotos/green.jpg,3\n")
    again(table)
    assert queue(path) == [("L1", "priority", "open"), ("1", "priority", "open")]


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

    def changing(self, item):
        data = original(self, item)
        path.write_bytes(GREEN)
        return data

    with monkeypatch.context() as patched:
        patched.setattr(Reader, "read", changing)
        scan_all()
    assert scan_all().scanned == 1
    assert read_rows(tmp_path / "scan.sqlite")[-1]["decision"] == "clear"
