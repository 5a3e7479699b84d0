import os
from pathlib import Path

import pytest

from recognizer.errors import DatasetError, TaxonomyError
from recognizer.lab.dataset.layouts import read_collection
from recognizer.lab.dataset.manifest import corrected, fingerprint, load_data
from tests.labelled import photo


@pytest.mark.parametrize("content", [None, "file,label\n", "sha256,file,label,source,split\n"])
def test_folders_that_hold_no_data_are_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "manifest.csv").write_text(content)
    with pytest.raises(DatasetError):
        load_data([tmp_path])
    with pytest.raises(DatasetError, match="no such folder"):
        load_data([tmp_path / "nowhere"])


def test_a_folder_with_a_typo_is_not_left_out_silently(tmp_path: Path) -> None:
    for name in ("ivory_raw", "ivory_row", ".cache", "notes"):
        (tmp_path / name).mkdir()
    for name in ("ivory_raw", "ivory_row", ".cache"):
        (tmp_path / name / "a.jpg").write_bytes(name.encode())
    with pytest.raises(DatasetError, match=r"ivory_row \(images: 1\).*did you mean ivory_raw"):
        load_data([tmp_path])
    (tmp_path / "ivory_row" / "a.jpg").unlink()
    assert [p.label for p in load_data([tmp_path])] == ["ivory_raw"]


def test_the_source_is_the_folder_inside_the_labels_folder(tmp_path: Path) -> None:
    for name in ("anna/1.jpg", "anna/more/2.jpg", "bert/3.jpg", "4.jpg"):
        path = tmp_path / "ivory_raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    found = {p.path.name: p.source for p in load_data([tmp_path])}
    assert found == {"1.jpg": "anna", "2.jpg": "anna", "3.jpg": "bert", "4.jpg": tmp_path.name}


def test_what_is_no_photo_is_named_and_not_waited_for(tmp_path: Path) -> None:
    place = tmp_path / "ivory_raw"
    place.mkdir()
    path = place / "a.jpg"
    for make, why in (
        (lambda: os.mkfifo(path), "not a regular file"),
        (lambda: path.symlink_to("/dev/zero"), "not a regular file"),
        (lambda: path.symlink_to(path), "symbolic links"),
    ):
        make()
        with pytest.raises(DatasetError, match=rf"a\.jpg: .*{why}"):
            load_data([tmp_path])
        path.unlink()


@pytest.mark.parametrize("name", ["taxonomy.toml", "manifest.csv", "photos.json"])
def test_what_is_not_a_file_of_data_is_named_and_not_waited_for(name: str, tmp_path: Path) -> None:
    (tmp_path / "ivory_raw").mkdir()
    os.mkfifo(tmp_path / name)
    with pytest.raises((DatasetError, TaxonomyError), match=rf"{name} is not a regular file"):
        read_collection(tmp_path) if name == "photos.json" else load_data([tmp_path])


def test_fingerprint_is_of_the_content_not_the_order() -> None:
    photos = [photo(0), photo(1)]
    assert fingerprint(photos) == fingerprint(photos[::-1])
    assert fingerprint(photos) != fingerprint([photo(0), photo(1, "wood")])


def table(folder: Path, *rows: str, columns: str = "sha256,label,reason") -> Path:
    path = folder / "corrections.csv"
    path.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_corrected_photo_changes_its_label_and_nothing_else(tmp_path: Path) -> None:
    photos = [photo(i, "wood") for i in range(4)]
    rows = [f"{1:064x},bone,a bone bead", f"{2:064x},exclude,a page of text"]
    found = corrected(photos, table(tmp_path, *rows, f"{9:064x},bone,a photo of other data"))
    assert found == [photo(0, "wood"), photo(1, "bone"), photo(3, "wood")]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["ab,unicorn,one horn"], "corrections.csv:2: unknown label 'unicorn'"),
        (["ab,wood,"], "corrections.csv:2: no reason"),
        (["ab,wood,x", "ab,bone,y"], "corrections.csv:3: ab... is corrected twice"),
    ],
)
def test_broken_corrections_are_named(tmp_path: Path, rows: list[str], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        corrected([photo(0)], table(tmp_path, *rows))
    with pytest.raises(DatasetError, match="no column reason"):
        corrected([photo(0)], table(tmp_path, columns="sha256,label"))
    with pytest.raises(DatasetError, match="nowhere"):
        corrected([photo(0)], tmp_path / "nowhere.csv")
