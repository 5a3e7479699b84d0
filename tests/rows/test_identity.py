"""A file is one image, however its path is spelled and from wherever it is scanned."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from recognizer.errors import ScanFileError
from recognizer.rows import Ranking, ScanFile, ScanWriter
from recognizer.rows.adopting import adopt
from recognizer.rows.identity import file_state, real_path, shown_place
from recognizer.rows.images import NewRow
from recognizer.rows.row import Row
from recognizer.scan import expand
from tests.conftest import encoded, picture, read_rows, succeed
from tests.desk.outcomes import outcome, store
from tests.rows.rows import bare_row, write_scan

NAMES = [f"{number:02}.jpg" for number in range(16)]


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A folder with sixteen photos, and a link to it."""
    (tmp_path / "two").mkdir()
    for name in NAMES:
        (tmp_path / "two" / name).write_bytes(name.encode())
    (tmp_path / "link").symlink_to("two")
    (tmp_path / "list.txt").write_text("".join(f"{tmp_path}/two/{name}\n" for name in NAMES))
    monkeypatch.chdir(tmp_path)
    return tmp_path


SPELLINGS = [
    *("two", "./two", "two/.", ".//two", "two/", "two/../two", "{world}/two"),
    *("file://{world}/two", "link", "link/.", "two/*.jpg", "./link/*.jpg"),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_each_spelling_is_the_same_image(world, spelling):
    expected = [str(world / "two" / name) for name in NAMES]
    assert [item.source for item in expand([spelling.format(world=world)])] == expected
    os.chdir("two")
    for source in (".", *NAMES[:1]):
        found = [item.source for item in expand([source])]
        assert found == expected[: len(found)]
    with (world / "list.txt").open("rb") as listed:
        assert [item.source for item in expand(["-"], stdin=listed)] == expected


def test_a_linked_photo_keeps_its_name_and_unicode_forms_stay_apart(world):
    (world / "cover.jpg").symlink_to("two/00.jpg")
    assert real_path("cover.jpg") == str(world / "cover.jpg")
    assert real_path("caf\u00e9.jpg") != real_path("cafe\u0301.jpg")
    assert real_path("nul\0.jpg") == str(world / "nul\0.jpg")


def test_places_are_shown_from_here(world):
    assert shown_place(str(world / "two" / "a.jpg")) == "two/a.jpg"
    assert shown_place("/elsewhere/a.jpg") == "/elsewhere/a.jpg"
    assert shown_place("https://a.example/b.jpg") == "https://a.example/b.jpg"


def old_file(path: Path, rows: list[Row], states: bool = True) -> Path:
    """A scan's file as versions before 0.5 wrote it: sources as they were spelled."""
    with ScanWriter(path, Ranking()) as file:
        file.append([NewRow(r, file_state=b"x" if not states else _state(r.source)) for r in rows])
    return path


def _state(source: str) -> bytes | None:
    found = file_state(source)
    return found and found[0]


def sources(path: Path) -> list[tuple[str, str]]:
    with ScanFile(path) as file:
        return file.select("SELECT source, state FROM queue ORDER BY source")


def test_rows_of_earlier_versions_are_adopted(world):
    rows = [bare_row(source, 0.9, "priority") for source in ("two/00.jpg", "two/99.jpg")]
    path = old_file(world / "scan.sqlite", rows)
    store(path, [outcome(sha256=rows[0].sha256, listing="two/00.jpg")])
    with ScanWriter(path, Ranking()) as file:
        assert adopt(file) == 1  # the file of the other one is not there
        assert adopt(file) == 1
    assert sources(path) == [(str(world / "two/00.jpg"), "confirmed"), ("two/99.jpg", "open")]
    with ScanFile(path) as file:
        assert file.select("SELECT listing FROM outcome") == [(str(world / "two/00.jpg"),)]
    with (
        pytest.raises(sqlite3.DatabaseError, match="only added"),
        sqlite3.connect(path) as database,
    ):
        database.execute("UPDATE outcome SET listing = 'x'")


def test_of_two_rows_of_a_file_the_later_stays(world):
    rows = [bare_row(source, 0.9, "priority") for source in ("two/00.jpg", "./two/00.jpg")]
    path = old_file(world / "scan.sqlite", rows)
    with ScanWriter(path, Ranking()) as file:
        assert adopt(file) == 0
        assert len(file) == 1
    assert sources(path) == [(str(world / "two/00.jpg"), "open")]


def test_another_file_of_that_name_is_not_taken_for_it(world):
    path = old_file(world / "scan.sqlite", [bare_row("two/00.jpg", 0.9, "priority")], states=False)
    with ScanWriter(path, Ranking()) as file:
        assert adopt(file) == 1
    assert sources(path) == [("two/00.jpg", "open")]


def test_a_kill_while_rows_are_adopted_leaves_all_or_nothing(world):
    rows = [bare_row(f"two/{name}", 0.9, "priority") for name in NAMES]
    path = old_file(world / "scan.sqlite", rows)
    before = sources(path)
    script = (
        "import os, time\n"
        "from recognizer.rows import Ranking, ScanWriter, adopting\n"
        "adopting.refresh_entries = lambda *_: (print('now', flush=True), time.sleep(60))\n"
        f"with ScanWriter({str(path)!r}, Ranking()) as file:\n    adopting.adopt(file)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=world)
    assert process.stdout is not None
    assert process.stdout.readline() == b"now\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert sources(path) == before
    with ScanWriter(path, Ranking()) as file:
        assert adopt(file) == 0
    assert sources(path) == [(str(world / source), state) for source, state in before]


def test_a_file_of_the_last_version_is_migrated_and_its_hidden_leads_are_back(world):
    rows = [bare_row(str(world / "two" / name), 0.9, "priority") for name in NAMES[:2]]
    path = write_scan(world / "scan.sqlite", rows)
    with closing(sqlite3.connect(path)) as database, database:
        for (view,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'view'"):
            database.execute(f"DROP VIEW {view}")
        database.execute("DROP TABLE seen")
        for column in ("gone TEXT", "parent INTEGER"):
            database.execute(f"ALTER TABLE image ADD COLUMN {column}")
        database.execute("UPDATE image SET gone = time WHERE source LIKE '%00.jpg'")
        database.execute("DELETE FROM entry WHERE source LIKE '%00.jpg'")
        database.execute("PRAGMA user_version = 3")
    with pytest.raises(ScanFileError, match="version 3"), ScanFile(path) as file:
        file.select("SELECT 1")
    with ScanFile(path, write=True) as file:
        assert [*file.rows()] == rows
        assert [row.last_seen for row in file.rows()] == [row.time for row in rows]
    assert sources(path) == [(row.source, "open") for row in rows]


def test_folders_and_tables_of_one_name_are_others_in_another_folder(world, tiny_bundle):
    """Their leads are in one file, and none of them hides another's."""
    file = world / "scan.sqlite"
    for place, color in (("here", "red"), ("there", "green")):
        (world / place / "photos").mkdir(parents=True)
        os.chdir(world / place)
        Path("photos/a.jpg").write_bytes(encoded(picture(color)))
        Path("list.csv").write_text("image\nphotos/a.jpg\n")
        for source in ("photos", "list.csv"):
            succeed("scan", source, "--model", tiny_bundle, "--output", file, "--workers", 1)
    places = sorted(str(world / place / "photos/a.jpg") for place in ("here", "there"))
    assert sorted(row["source"] for row in read_rows(file)) == places
