"""An image keeps its row when its photo is gone or exchanged at the next scan."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recognizer.rows import Ranking, ScanFile, merge
from recognizer.rows.listings import decided_images
from recognizer.scan import worker
from tests.conftest import invoke, read_rows
from tests.desk.outcomes import outcome, store
from tests.pictures import encoded, picture
from tests.rows.rows import HASH, execute
from tests.scan.engines import InProcessPool

RED, OTHER_RED, GREEN, BLUE = (
    encoded(picture(color, seed=seed))
    for color, seed in [("red", 0), ("red", 1), ("green", 0), ("blue", 0)]
)
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
    """Scan the table of three photos, of which two are in one listing, and return all rows."""
    monkeypatch.setattr(worker, "RACY_NS", -(1 << 62))
    monkeypatch.setattr("recognizer.scan.run.WorkerPool", InProcessPool)

    def run(*options: object, title: str = "a", into: str = "scan.sqlite") -> list[dict[str, Any]]:
        table, output = tmp_path / "table.csv", tmp_path / into
        names = [("L1", "red"), ("L1", "green"), ("L2", "blue")]
        lines = [f"{id_},{title},{photos / name}.jpg" for id_, name in names]
        table.write_text("\n".join(["id,title,image", *lines]))
        done = invoke("scan", table, "-m", tiny_bundle, "-o", output, "--workers", 1, *options)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
        return read_rows(output)

    return run


def state(path: Path) -> dict[str, Any]:
    """The views and exports of a scan."""
    with ScanFile(path) as file:
        queue = file.select("SELECT name, product, decision, score, state FROM queue")
        audit = file.select("SELECT source, location FROM entry WHERE section = 'audit'")
        pictures = file.select("SELECT image, jpeg FROM thumbnail ORDER BY image")
        decided = [(one.row.source, one.is_confirmed) for one in decided_images(file)]
    measured = invoke("measure", path, "--json", code=0)
    return {
        "queue": queue,
        "audit": sorted(audit),
        "thumbnails": pictures,
        "decided": decided,
        "measure": json.loads(measured.stdout),
    }


def without_visit(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in row if key not in {"seen", "gone"}} for row in rows]


def test_a_folder_that_is_not_mounted_for_a_night_costs_nothing(
    again: Scan, photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "scan.sqlite"
    before = again("--audit-rate", 1)
    assert [row["decision"] for row in before] == ["priority", "clear", "clear"]
    assert [row["audit"] for row in before] == [None, 1.0, 1.0]
    store(path, [outcome(sha256=before[0]["sha256"], listing="L1")])
    known = state(path)
    assert [(*one[:1], *one[-1:]) for one in known["queue"]] == [("L1", "confirmed")]
    photos.rename(tmp_path / "elsewhere")
    night = again()
    assert without_visit(night) == without_visit(before)
    assert {row["seen"] for row in night} == {"not_found"}
    assert state(path) == known
    second = again()  # since the first night
    assert [row["gone"] for row in second] == [row["gone"] for row in night]
    assert None not in {row["gone"] for row in night}
    (tmp_path / "elsewhere").rename(photos)
    assert again() == before
    assert state(path) == known


def test_a_photo_that_is_gone_has_todays_columns(again: Scan, photos: Path, tmp_path: Path) -> None:
    again()
    (photos / "green.jpg").unlink()
    policy = tmp_path / "words.toml"
    policy.write_text('[keywords]\nwords = ["tusk"]\n')
    rows = again("--policy", policy, title="a tusk")
    assert [row["item"]["title"] for row in rows] == ["a tusk"] * 3
    assert [row["decision"] for row in rows] == ["priority", "review", "review"]
    assert [row["seen"] for row in rows] == [None, "not_found", None]
    assert {row["policy"]["name"] for row in rows} == {"words"}


def test_a_photo_that_is_exchanged_after_the_verdict_keeps_the_verdict(
    again: Scan, photos: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    path, bank, case = tmp_path / "scan.sqlite", tmp_path / "bank.sqlite", tmp_path / "case"
    again()
    execute(path, f"UPDATE image SET phash = '{HASH}' WHERE place = 0")  # too plain for one
    red, *_ = before = read_rows(path)
    store(path, [outcome(sha256=red["sha256"], listing="L1", label="ivory_worked")])
    known = state(path)
    (photos / "red.jpg").write_bytes(BLUE)
    rows = again()
    former = next(row for row in rows if row["seen"])
    assert without_visit([former]) == without_visit([red])
    assert former["seen"] == "replaced"
    assert [row["decision"] for row in rows if not row["seen"]] == ["clear"] * 3
    assert len(rows) == 4
    now = state(path)
    assert now | {"measure": None} == known | {"measure": None}
    assert [now["measure"][key] for key in ("images", "leads", "decided")] == [3, 1, 1]
    assert "1 new" in invoke("bank", "import", bank, "--scan", path).stdout
    made = invoke("evidence", path, "--listing", "L1", "-o", case, "-m", tiny_bundle, code=3)
    assert "case: 2 images\n" in made.stdout
    page = (case / "data" / "index.html").read_text()
    assert "The original is not in this case" in page
    assert "thumbnail of the scan" in page
    (photos / "red.jpg").write_bytes(RED)  # and back
    shown = {(row["source"], row["sha256"], row["decision"], row["seen"]) for row in again()}
    assert shown == {(row["source"], row["sha256"], row["decision"], None) for row in before}
    assert state(path)["measure"] == known["measure"]


def test_an_exchanged_photo_that_nobody_cares_for_is_replaced(again: Scan, photos: Path) -> None:
    again()
    (photos / "blue.jpg").write_bytes(GREEN)
    rows = again()
    assert len(rows) == 3
    assert {row["seen"] for row in rows} == {None}


def test_a_lead_that_is_exchanged_before_anybody_saw_it_waits(
    again: Scan, photos: Path, tmp_path: Path
) -> None:
    again()
    (photos / "red.jpg").write_bytes(OTHER_RED)
    again()
    (photos / "red.jpg").write_bytes(b"<html>sold</html>")
    decisions = sorted(row["decision"] for row in again())
    assert decisions == ["clear", "clear", "priority", "priority", "unscored"]
    with ScanFile(tmp_path / "scan.sqlite") as file:
        queue = file.select("SELECT name, decision, state FROM queue")
        assert queue == [("L1", "priority", "open")]
        assert file.select("SELECT count(*) FROM thumbnail") == [(2,)]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("now", ["gone", "exchanged"])
def test_merging_keeps_what_a_scan_keeps(
    again: Scan, photos: Path, tmp_path: Path, now: str, turned: bool
) -> None:
    one, other, merged = (tmp_path / f"{name}.sqlite" for name in ("one", "other", "merged"))
    again(into=one.name)
    execute(one, "UPDATE image SET time = '2026-01-01T00:00:00+00:00'")
    red, *_ = read_rows(one)
    if now == "gone":
        (photos / "red.jpg").unlink()
    else:
        (photos / "red.jpg").write_bytes(BLUE)
    again(into=other.name)
    for names in ([other, one] if turned else [one, other], [merged, other]):  # and again
        merge(names, merged, Ranking(), allow_mixed=True)
        rows = read_rows(merged)
        assert len(rows) == (3 if now == "gone" else 4)
        kept = next(row for row in rows if row["seen"])
        assert without_visit([kept]) == without_visit([red])
        assert kept["seen"] == ("not_found" if now == "gone" else "replaced")
        with ScanFile(merged) as file:
            assert len(file.select("SELECT * FROM thumbnail")) == 1
            assert [name for (name,) in file.select("SELECT name FROM queue")] == ["L1"]


def test_a_table_that_is_whole_again_keeps_no_failure(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recognizer.scan.run.WorkerPool", InProcessPool)
    monkeypatch.chdir(tmp_path)
    whole = {"c.csv": b"image\nd.jpg\n", "e.csv": b'image,id\nd.jpg,1\n"d.jpg",2\nd.jpg,3,\n'}
    cut = {"c.csv": b"name\nd\n", "e.csv": b'image,id\nd.jpg,1,\n,2\nd.jpg,3,\nd.jpg,"4'}
    (folder := Path("pho\xa0tos")).mkdir()
    (folder / "d.jpg").write_bytes(GREEN)
    tables = folder / "c.csv", folder / "e.csv"

    def failed(*sources: object, damaged: bool = False) -> dict[str, str | None]:
        for name in whole:
            (folder / name).write_bytes((cut if damaged else whole)[name])
        invoke("scan", *sources, "-m", tiny_bundle, "-o", "scan.sqlite", "--workers", 1, code=0)
        with ScanFile(Path("scan.sqlite")) as file:
            queue = file.select("SELECT name FROM queue WHERE decision = 'unscored'")
            found = {row.source: row.reason for row in file.rows("status = 'failed'")}
        assert len(queue) == len(found)
        return {os.path.relpath(name, folder.absolute()): reason for name, reason in found.items()}

    flawed = ("c.csv", "e.csv!/1", "e.csv!/3", "e.csv!/4")
    of_all = dict.fromkeys(flawed, "corrupt_container") | {"e.csv!/2": "no_image"}
    assert failed(folder, *tables, damaged=True) == of_all
    for part in ("1/2", "2/2"):  # each of which looks at some rows alone
        assert failed(folder, *tables, "--shard", part, damaged=True) == of_all
    assert failed(*tables) == {"e.csv!/3": "corrupt_container"}
