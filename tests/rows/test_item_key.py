from __future__ import annotations

import os
from pathlib import Path

import pytest

from recognizer.rows.item_key import alternate_path, item_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("q1/a.jpg", "./q1/a.jpg"),
        ("q1/a.jpg", "././q1//./a.jpg"),
        ("/q1/a.jpg", "/q1//a.jpg"),
        ("q1.zip!/a.jpg", ".//q1.zip!/a.jpg"),
    ],
)
def test_a_path_is_one_however_it_is_written(one: str, other: str) -> None:
    assert item_key(one, None) == item_key(other, None)
    assert item_key(one, {"id": 1}) == item_key(other, {"id": 1}) != item_key(one, None)


def test_a_source_and_a_listing_tell_images_apart() -> None:
    images = [("a", None), ("b", None), ("a", {"id": 1}), ("a", {"id": 2}), ("b", {"id": 1})]
    assert len({item_key(*image) for image in images}) == len(images)
    assert item_key("a", {"id": 1, "title": "x"}) == item_key("a", {"title": "y", "id": "1"})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("s3://bucket/a.jpg", "s3://bucket//a.jpg"),
        ("https://example.org/./a.jpg", "https://example.org/a.jpg"),
        ("q1.zip!/a.jpg", "q1.zip!/./a.jpg"),
        ("q1/a.jpg", "q1/../q1/a.jpg"),
        (".q1/a.jpg", "q1/a.jpg"),
        ("/q1/a.jpg", "q1/a.jpg"),
    ],
)
def test_what_may_be_another_stays_another(one: str, other: str) -> None:
    assert item_key(one, None) != item_key(other, None)


def test_the_other_way_to_write_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = os.getcwd()
    assert alternate_path("q1/a.jpg") == os.path.join(here, "q1", "a.jpg")
    assert alternate_path(os.path.join(here, "q1", "a.jpg")) == os.path.join("q1", "a.jpg")
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "deep")
    for folder in (tmp_path, tmp_path / "far"):
        (folder / "a.jpg").touch()
    assert alternate_path("far/../a.jpg") == os.path.join(here, "a.jpg")
    assert alternate_path("link/../a.jpg") is None  # that is far/a.jpg
