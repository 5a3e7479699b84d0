from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recognizer.review.card_images import NOT_THERE, CardImage, make_card_image
from recognizer.review.guide import REASONS
from recognizer.rows.thumbnails import ThumbnailStore, shrink, thumbnails_path
from recognizer.status import Reason
from tests.conftest import encoded, picture


def opened(thumbnail: CardImage) -> Image.Image:
    assert thumbnail.uri is not None
    return Image.open(io.BytesIO(base64.b64decode(thumbnail.uri.split(",")[1])))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((400, 200), (100, 50)), ((30, 60), (30, 60)), ((1, 900), (1, 100)), ((201, 400), (50, 100))],
)
def test_a_thumbnail_fits(tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(picture("red", size), "PNG"))
    thumbnail = make_card_image(str(path), digest(path), side=100)
    assert opened(thumbnail).size == (thumbnail.width, thumbnail.height) == expected
    assert thumbnail.missing is None


def test_colours_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(picture("red"), "PNG"))
    red, green, blue = np.asarray(opened(make_card_image(str(path), digest(path), side=64)))[9, 9]
    assert red > 150 > max(green, blue)


def test_the_frame_of_the_lead_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frames = [picture("blue"), picture("red"), picture("green")]
    path.write_bytes(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    thumbnail = make_card_image(str(path), digest(path), side=64, frame=1)
    red, green, blue = np.asarray(opened(thumbnail))[9, 9]
    assert thumbnail.frame == 1
    assert red > max(green, blue)
    assert make_card_image(str(path), digest(path), side=64, frame=7).frame == 0


@pytest.mark.parametrize(
    ("source", "words"),
    [("gone.jpg", "has gone"), ("s3://bucket/a.jpg", "not a local file"), (".", "folder")],
)
def test_a_photo_that_is_not_there_is_told(source: str, words: str) -> None:
    thumbnail = make_card_image(source, "0" * 64, side=64)
    assert thumbnail.uri is None
    assert words in (thumbnail.missing or "")


@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_another_picture_under_the_same_name_is_never_shown(
    tmp_path: Path, sha256: str | None
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(picture("red")))
    thumbnail = make_card_image(str(path), sha256, side=64)
    assert thumbnail.uri is None
    assert "has changed" in (thumbnail.missing or "")


def test_the_same_bytes_that_no_longer_decode_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"text")
    thumbnail = make_card_image(str(path), digest(path), side=64)
    assert thumbnail.missing == f"No thumbnail now. {REASONS[Reason.NOT_AN_IMAGE]}"


def test_what_a_scan_has_kept_is_shown_whatever_has_become_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(picture("red")))
    sha256 = digest(path)
    with ThumbnailStore(thumbnails_path(tmp_path / "rows"), create=True) as store:
        store.add([(sha256, shrink(np.asarray(picture("blue", (512, 64))), 256, 3))])
        # Blue, and so not made from the file.
        here = make_card_image(str(path), sha256, side=64, store=store)
        assert (here.width, here.height, here.frame, here.note) == (256, 32, 3, None)
        red, _, blue = np.asarray(opened(here))[9, 9]
        assert blue > red
        path.write_bytes(b"another picture")
        assert make_card_image(str(path), sha256, side=64, store=store).note == NOT_THERE
        path.unlink()
        gone = make_card_image(str(path), sha256, side=64, store=store)
        assert (gone.uri, gone.note) == (here.uri, NOT_THERE)
        assert make_card_image(str(path), "0" * 64, side=64, store=store).uri is None
