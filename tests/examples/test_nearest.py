"""The example that ranks the photos of a folder by their similarity to one."""

import pytest

from examples.nearest import nearest
from tests.conftest import encoded, picture


def test_the_most_similar_photo_is_the_first(recognizer, photo_folder, tmp_path):
    folder, photo = photo_folder("red", "green", "blue"), tmp_path / "mine.png"
    (folder / "notes.txt").write_text("not a photo")
    photo.write_bytes(encoded(picture("green", seed=9), "PNG"))
    ranked = [*nearest(recognizer, photo, folder)]
    assert ranked[0] == (pytest.approx(1, abs=1e-3), folder / "001_green.jpg")
    assert len(ranked) == 3
    assert ranked == sorted(ranked, reverse=True)
    with pytest.raises(SystemExit, match="cannot be read: not_an_image"):
        next(nearest(recognizer, folder / "notes.txt", folder))
