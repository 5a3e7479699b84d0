from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path
from typing import Any

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


def card_of(path: Path, data: bytes, sha256: str | None = None, **options: Any) -> CardImage:
    """The card of a file as it was when it was scanned, if no other digest is given."""
    path.write_bytes(data)
    return make_card_image(str(path), sha256 or digest(path), **{"side": 64, **options})


@pytest.mark.parametrize(
    ("size", "expected"),
    [((400, 200), (100, 50)), ((30, 60), (30, 60)), ((1, 900), (1, 100)), ((201, 400), (50, 100))],
)
def test_a_thumbnail_fits(tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]) -> None:
    card = card_of(tmp_path / "a.png", encoded(picture("red", size), "PNG"), side=100)
    assert opened(card).size == (card.width, card.height) == expected
    assert card.missing is None


def test_colours_keep_their_order_and_the_frame_of_the_lead_is_shown(tmp_path: Path) -> None:
    card = card_of(tmp_path / "a.png", encoded(picture("red"), "PNG"))
    red, green, blue = np.asarray(opened(card))[9, 9]
    assert red > 150 > max(green, blue)
    frames = [picture("blue"), picture("red"), picture("green")]
    animated = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    card = card_of(tmp_path / "a.gif", animated, frame=1)
    red, green, blue = np.asarray(opened(card))[9, 9]
    assert card.frame == 1
    assert red > max(green, blue)
    assert card_of(tmp_path / "a.gif", animated, frame=7).frame == 0


@pytest.mark.parametrize(
    ("source", "words"),
    [("gone.jpg", "has gone"), ("s3://bucket/a.jpg", "not a local file"), (".", "folder")],
)
def test_a_photo_that_is_not_there_is_told(source: str, words: str) -> None:
    card = make_card_image(source, "0" * 64, side=64)
    assert card.uri is None
    assert words in (card.missing or "")


def test_another_picture_is_never_shown_and_bytes_that_no_longer_decode_are_told(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jpg"
    card_of(path, encoded(picture("red")))
    for sha256 in (None, "0" * 64):
        card = make_card_image(str(path), sha256, side=64)
        assert card.uri is None
        assert "has changed" in (card.missing or "")
    card = card_of(path, b"text")
    assert card.missing == f"No thumbnail now. {REASONS[Reason.NOT_AN_IMAGE]}"


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
        assert card_of(path, b"another picture", sha256, store=store).note == NOT_THERE
        path.unlink()
        gone = make_card_image(str(path), sha256, side=64, store=store)
        assert (gone.uri, gone.note) == (here.uri, NOT_THERE)
        assert make_card_image(str(path), "0" * 64, side=64, store=store).uri is None
