"""Two rules: a failure to read replaces no scored row; what a whole scan did not meet is gone."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recognizer.rows import ScanFile
from recognizer.rows.listings import decided_images
from recognizer.scan import worker
from tests.conftest import invoke, read_rows
from tests.desk.outcomes import outcome, store
from tests.pictures import encoded, picture
from tests.scan.engines import InProcessPool

RED, GREEN, BLUE = (encoded(picture(color)) for color in ("red", "green", "blue"))
TABLE = [("L1", "red"), ("L1", "green"), ("L2", "blue")]
Scan = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, content in [("red", RED), ("green", GREEN), ("blue", BLUE)]:
        (folder / f"{name}.jpg").write_bytes(content)
    return folder


@pytest.fixture
def again(photos: Path, tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Scan:
    """Scan sources, or a table of the three photos, and return the rows of the file by name."""
    monkeypatch.setattr(worker, "RACY_NS", -(1 << 62))
    monkeypatch.setattr("recognizer.scan.run.WorkerPool", InProcessPool)

    def run(
        *sources: object, options: tuple[object, ...] = (), title: str = "a", lines: int = 3
    ) -> list[dict[str, Any]]:
        table, output = tmp_path / "table.csv", tmp_path / "scan.sqlite"
        cells = [f"{id_},{title},{photos / name}.jpg" for id_, name in TABLE[:lines]]
        table.write_text("\n".join(["id,title,image", *cells]))
        given = ("-m", tiny_bundle, "-o", output, "--workers", 1, *options)
        done = invoke("scan", *(sources or (table,)), *given)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
        return read_rows(output)

    return run


def queue(path: Path) -> list[tuple[Any, ...]]:
    with ScanFile(path) as file:
        return file.select("SELECT name, decision, state FROM queue")


def audited(path: Path) -> list[tuple[Any, ...]]:
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

    def gone(*sources: object) -> list[str]:
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

    def refuse(folder: str) -> Any:
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
