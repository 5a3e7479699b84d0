from dataclasses import replace
from pathlib import Path

import pytest

from recognizer.errors import DatasetError, TrainingError
from recognizer.imaging import model_input
from recognizer.lab.dataset.manifest import read_photo
from recognizer.lab.training.cache import PhotoCache


def test_photos_are_decoded_once_and_as_they_are_served(split, tmp_path):
    path = tmp_path / "photos.sqlite"
    with PhotoCache(path, 32) as cache:
        cache.fill(split[:3])
    moved = [replace(p, path=Path("/nonexistent.jpg")) for p in split[:3]]
    done: list[tuple[int, int]] = []
    with PhotoCache(path, 32) as cache:
        cache.fill([*moved, *split[3:6]], lambda *counts: done.append(counts))
        assert done == [(3, 3)]
        for photo in split[:6]:
            rgb = read_photo(photo, 32)
            assert (cache.rgb(photo.sha256) == rgb).all()
            assert (cache.squares([photo])[0] == model_input(rgb, 32)).all()


def test_a_photo_that_changed_is_refused(split, tmp_path):
    with (
        PhotoCache(tmp_path / "photos.sqlite", 32) as cache,
        pytest.raises(DatasetError, match="not that of the manifest"),
    ):
        cache.fill([replace(split[0], sha256="0" * 64)])


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "photos.sqlite"
    path.write_text("no database, but long enough to look into" * 100)
    with pytest.raises(TrainingError, match=r"photos\.sqlite .*; delete it"):
        PhotoCache(path, 32)
    PhotoCache(tmp_path / "other.sqlite", 32).close()
    with pytest.raises(TrainingError, match="holds photos for an input of 32 pixels"):
        PhotoCache(tmp_path / "other.sqlite", 64)
