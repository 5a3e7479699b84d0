from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from recognizer.dataset.manifest import Photo, fingerprint, load_photos
from recognizer.errors import DatasetError
from tests.labelled import COLOR_OF, photo, write_manifest


def test_manifest_gives_its_rows(tmp_path: Path) -> None:
    row = {"sha256": "ab", "file": "x/y.jpg", "label": "wood", "source": "s", "split": "test"}
    write_manifest(tmp_path, [row])
    assert load_photos(tmp_path) == [Photo(tmp_path / "x/y.jpg", "ab", "wood", "s", "test")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": "unicorn"}, "manifest.csv:2: unknown label 'unicorn'"),
        ({"split": "holdout"}, "manifest.csv:2: unknown split 'holdout'"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, change: dict[str, str], words: str) -> None:
    row = {"sha256": "ab", "file": "x.jpg", "label": "wood", "source": "s", "split": "train"}
    write_manifest(tmp_path, [{**row, **change}])
    with pytest.raises(DatasetError, match=words):
        load_photos(tmp_path)


@pytest.mark.parametrize("content", [None, "file,label\n", "sha256,file,label,source,split\n"])
def test_folders_that_hold_no_data_are_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "manifest.csv").write_text(content)
    with pytest.raises(DatasetError):
        load_photos(tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        load_photos(tmp_path / "nowhere")


def test_a_folder_for_each_label(labelled_photos: list[Photo]) -> None:
    assert Counter(p.label for p in labelled_photos) == dict.fromkeys(COLOR_OF, 12)
    assert {p.split for p in labelled_photos} == {"train"}


def test_a_folder_with_a_typo_is_not_left_out_silently(tmp_path: Path) -> None:
    for name in ("ivory_raw", "ivory_row", ".cache", "notes"):
        (tmp_path / name).mkdir()
    for name in ("ivory_raw", "ivory_row", ".cache"):
        (tmp_path / name / "a.jpg").write_bytes(name.encode())
    with pytest.raises(DatasetError, match=r"ivory_row \(images: 1\).*did you mean ivory_raw"):
        load_photos(tmp_path)
    (tmp_path / "ivory_row" / "a.jpg").unlink()
    assert [p.label for p in load_photos(tmp_path)] == ["ivory_raw"]


@pytest.mark.skipif(os.name == "nt", reason="there are no FIFOs")
def test_what_is_no_photo_is_named_and_not_waited_for(tmp_path: Path) -> None:
    place = tmp_path / "ivory_raw"
    place.mkdir()
    path = place / "a.jpg"
    for make, why in (
        (lambda: os.mkfifo(path), "a FIFO"),
        (lambda: path.symlink_to("/dev/zero"), "a character device"),
        (lambda: path.symlink_to(path), "symbolic links"),
    ):
        make()
        with pytest.raises(DatasetError, match=rf"a\.jpg: .*{why}"):
            load_photos(tmp_path)
        path.unlink()


def test_fingerprint_is_of_the_content_not_the_order() -> None:
    photos = [photo(0), photo(1)]
    assert fingerprint(photos) == fingerprint(photos[::-1])
    assert fingerprint(photos) != fingerprint([photo(0), photo(1, "wood")])
