from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from recognizer.cli import ExitCode
from recognizer.dataset.manifest import load_photos
from recognizer.dataset.published import COLUMNS, match_folder, read_published
from recognizer.errors import DatasetError
from tests.conftest import invoke

CONTENT = {"a": b"photo a", "b": b"photo b", "c": b"photo c"}


def write_list(path: Path, *extra: str) -> Path:
    """List three photos: the second is corrected, the third excluded."""
    correction = {"a": "", "b": "bone", "c": "exclude"}
    split = {"a": "train", "b": "test", "c": "train"}
    rows = [
        f"{sha256(CONTENT[n]).hexdigest()},wood,{correction[n]},x,shop/{n},{split[n]},,,CC0,{n}.jpg"
        for n in CONTENT
    ]
    path.write_text("\n".join([",".join(COLUMNS), *rows, *extra]) + "\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The first two photos under other names, one of them twice, and another file."""
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    files = {"1.jpg": "a", "deep/2.png": "b", "deep/3.png": "b"}
    for name, photo in files.items():
        (tmp_path / "photos" / name).write_bytes(CONTENT[photo])
    (tmp_path / "photos" / "other.jpg").write_bytes(b"other")
    (tmp_path / "photos" / "notes.txt").write_bytes(CONTENT["c"])
    return tmp_path / "photos"


def test_photos_are_found_by_their_content(folder: Path, tmp_path: Path) -> None:
    photos = read_published(write_list(tmp_path / "list.csv"))
    found = match_folder(photos, folder)
    assert [p.path.name for p in found.found] == ["1.jpg", "2.png"]
    assert [p.source for p in found.missing] == ["shop/c"]
    assert found.others == 1


def test_the_command_rebuilds_the_splits(folder: Path, tmp_path: Path) -> None:
    table = write_list(tmp_path / "list.csv")
    done = invoke("dataset", "match", table, folder, "-o", tmp_path / "data")
    assert done.exit_code == ExitCode.SOME_FAILED  # the third is missing
    assert "2 of 3 photos are here" in done.stdout
    found = [(p.label, p.source, p.split, p.license) for p in load_photos(tmp_path / "data")]
    assert found == [("wood", "shop/a", "train", "CC0"), ("wood", "shop/b", "test", "CC0")]
    again = invoke("dataset", "match", table, folder, "-o", tmp_path / "data")
    assert (again.exit_code, "exists already" in again.stderr) == (ExitCode.USAGE, True)


def test_the_command_corrects_labels(folder: Path, tmp_path: Path) -> None:
    table = write_list(tmp_path / "list.csv")
    done = invoke("dataset", "match", table, folder, "-o", tmp_path / "data", "--corrected")
    assert done.exit_code == ExitCode.DONE, done.stderr
    assert [p.label for p in load_photos(tmp_path / "data")] == ["wood", "bone"]


def test_a_file_that_cannot_be_read_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    done = invoke("dataset", "match", write_list(tmp_path / "list.csv"), folder)
    assert "gone.jpg: No such file or directory" in done.stderr


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("ab,wood,,,s,holdout,,,,", "list.csv:5: no label, or a split that is none of the three"),
        ("ab,,,,s,train,,,,", "list.csv:5: no label"),
        (f"{sha256(CONTENT['a']).hexdigest()},wood,,,s,train,,,,", "is listed twice"),
    ],
)
def test_lists_that_break_a_rule_are_refused(tmp_path: Path, row: str, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        read_published(write_list(tmp_path / "list.csv", row))


def test_lists_and_folders_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("sha256,label\n")
    with pytest.raises(DatasetError, match="no column correction, subtype"):
        read_published(tmp_path / "list.csv")
    with pytest.raises(DatasetError, match="no such folder"):
        match_folder([], tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no image in it"):
        match_folder([], tmp_path)
