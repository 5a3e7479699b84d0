"""Rows that a scan recognises, and its rows when a process, disk or file fails."""

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest

from recognizer.errors import ScanFileChangedError, ScanFileError
from recognizer.model.bundle import load_bundle
from recognizer.policy.values import Policy
from recognizer.rows import AuditSample, NewRow, Ranking, ScanFile, ScanWriter
from recognizer.rows.deciding import decide_again
from recognizer.rows.images import put_rows
from recognizer.scan import Item
from tests.conftest import run_python
from tests.pictures import encoded, picture
from tests.rows.rows import bare_row, read_scan, write_scan
from tests.rules import rule
from tests.scan.engines import InProcessPool, scan_into

ROWS = [bare_row(f"{number}.jpg", 0.9, "review") for number in range(9)]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Three photos and a damaged one in a folder that is the working one, an hour old."""
    folder = tmp_path / "photos"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("red", "green", "blue"):
        (folder / f"{name}.jpg").write_bytes(encoded(picture(name)))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    # The change time cannot be set, so what is read so soon after it is read again: wait.
    monkeypatch.setattr("recognizer.scan.run.WorkerPool", InProcessPool)
    monkeypatch.setattr("recognizer.rows.identity.RACY_NS", -(10**12))
    return folder


def test_the_audit_sample_of_earlier_rows_is_drawn_and_given_up(photos, tiny_bundle, tmp_path):
    path, items = tmp_path / "scan.sqlite", [Item.at("green.jpg"), Item.at("blue.jpg")]

    def audited(**options):
        scan_into(path, items, tiny_bundle, **options)
        with ScanFile(path) as file:
            found = file.select(
                "SELECT entry.source, audit FROM entry JOIN image ON image.id = best"
                " WHERE section = 'audit' ORDER BY entry.source"
            )
        assert all(probability for _, probability in found)
        return [os.path.basename(source) for source, _ in found]

    assert audited() == []
    every = AuditSample(rate=1, products=["ivory_worked"])
    assert audited(audit=every) == ["blue.jpg", "green.jpg"]
    assert audited() == ["blue.jpg", "green.jpg"]  # they stay where no sample is asked for
    for policy, count in ((Policy(default=rule(1e-9, p=True)), 0), (Policy(), 2)):
        with ScanFile(path, write=True) as file:
            decide_again(file, policy, [load_bundle(tiny_bundle)])
            assert len(file.select("SELECT 1 FROM image WHERE audit IS NOT NULL")) == count
    assert audited(audit=AuditSample(rate=1e-9, products=[])) == []


_AS_NOBODY = """if True:
    import os, sys
    from recognizer.errors import ScanFileError
    from recognizer.rows import Ranking, ScanFile, ScanWriter, read_listings
    os.setuid(65534)
    try:
        with ScanFile(sys.argv[1]) as file:
            print(len([*file.rows()]), len([*read_listings(file)]))
        ScanWriter(sys.argv[1], Ranking())
    except ScanFileError as error:
        print(error)
    """


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody else")
def test_a_place_that_cannot_be_written_is_reported():
    def printed(path):
        done = run_python("-c", _AS_NOBODY, path)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    with tempfile.TemporaryDirectory() as folder:  # nobody else may enter that of pytest
        Path(folder).chmod(0o755)
        path = write_scan(Path(folder) / "scan.sqlite", ROWS)
        for mode in (0o444, 0o644):
            path.chmod(mode)
            numbers, words = printed(path)
            assert numbers == "9 9"
            assert "cannot be written to" in words
        assert [*path.parent.iterdir()] == [path]
        # With rows in its log: without that, a reader would miss them and not know it.
        closed = Path(folder) / "read-only"
        closed.mkdir()
        with ScanWriter(path, Ranking()) as file:
            file.append([NewRow(ROWS[0])])
            for name in ("scan.sqlite", "scan.sqlite-wal"):
                shutil.copy(path.with_name(name), closed / name)
        closed.chmod(0o555)
        (words,) = printed(closed / path.name)
        assert "or its folder cannot be read" in words


def test_a_second_scan_is_refused(tmp_path):
    path = tmp_path / "scan.sqlite"
    with ScanWriter(path, Ranking()) as file:
        file.append([NewRow(ROWS[0])])
        with pytest.raises(ScanFileError, match="in use by another scan"):
            ScanWriter(path, Ranking())
        for _ in range(2):  # nor does a reader of this process end the lock
            assert len(read_scan(path)) == 1
            code = "import sys; from recognizer.rows import *; ScanWriter(sys.argv[1], Ranking())"
            assert "in use by another scan" in run_python("-c", code, path).stderr
        file.append([NewRow(ROWS[1])])
    write_scan(path, ROWS[:3])
    assert read_scan(path) == ROWS[:3]


def test_a_reader_that_closes_leaves_the_log_of_a_writer(tmp_path):
    """Who closes a file last takes its log away: here a reader, while this process writes."""
    path = tmp_path / "scan.sqlite"
    code = "import sys; from tests.rows.rows import read_scan; print(len(read_scan(sys.argv[1])))"
    with ScanWriter(path, Ranking()) as file, ScanFile(path):
        for number, row in enumerate(ROWS[:3], 1):
            file.append([NewRow(row)])
            assert len(read_scan(path)) == number
            assert run_python("-c", code, path).stdout.split() == [str(number)]
    assert len(read_scan(path)) == 3


def _renamed(path):
    path.rename(path.with_name("moved"))


def _rotated(path):
    _renamed(path)
    write_scan(path.with_name("other"), ROWS[8:]).rename(path)


def _replaced(path):
    write_scan(path.with_name("other"), ROWS[8:]).rename(path)


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be moved or removed there")
@pytest.mark.parametrize(
    ("happens", "rows_in"),
    [
        (Path.unlink, None),
        (_renamed, "moved"),
        (_rotated, "moved"),
        (_replaced, None),
        (lambda path: os.truncate(path, 0), None),
    ],
)
def test_a_file_that_others_touch_in_mid_scan_is_a_clear_stop(tmp_path, happens, rows_in):
    path = tmp_path / "scan.sqlite"
    with ScanWriter(path, Ranking()) as file:
        for row in ROWS[:3]:
            file.append([NewRow(row)])
        happens(path)
        with pytest.raises(ScanFileChangedError, match=r"was moved, removed.*back in its place"):
            file.append([NewRow(ROWS[3])])
    if rows_in is not None:
        assert read_scan(tmp_path / rows_in) == ROWS[:3]
    if happens in (_rotated, _replaced):  # nor is the new file touched by the old one's log
        assert read_scan(path) == ROWS[8:]


def test_an_interrupt_leaves_all_of_a_batch_or_nothing(tmp_path):
    def interrupted():
        yield NewRow(ROWS[1])
        raise KeyboardInterrupt

    path = tmp_path / "scan.sqlite"
    with ScanWriter(path, Ranking()) as file:
        file.append([NewRow(ROWS[0])])
        with pytest.raises(KeyboardInterrupt):
            put_rows(file, interrupted(), Ranking())
        file.append([NewRow(ROWS[2])])
    assert read_scan(path) == [ROWS[0], ROWS[2]]


def test_another_program_that_writes_for_long_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("recognizer._sqlite._BUSY_SECONDS", 0.1)
    path = write_scan(tmp_path / "scan.sqlite", ROWS[:1])
    other = sqlite3.connect(path, isolation_level=None)
    with ScanWriter(path, Ranking()) as file:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ScanFileError, match=r"locked by another program"):
            file.append([NewRow(ROWS[1])])
        other.execute("ROLLBACK")
        file.append([NewRow(ROWS[1])])
    other.close()
