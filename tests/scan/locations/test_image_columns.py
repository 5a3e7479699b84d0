"""Which columns hold the images of a listing, and what one cell of them lists."""

from typing import Any

import pytest

from recognizer.listing import image_columns
from recognizer.scan.tables import images_of_cell


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("id", "url", "Image URL"), ("Image URL",)),
        (("url", "imageUrl"), ("imageUrl",)),
        (("url", "thumbnail"), ("thumbnail",)),
        (("url", "thumbnail", "photo"), ("photo",)),
        (
            ("thumbnail", "image_2", "image_10", "image_1", "url"),
            ("image_1", "image_2", "image_10"),
        ),
        (("image_1", "main_image", "title"), ("main_image", "image_1")),
        (("Photo 2", "Photo 1"), ("Photo 1", "Photo 2")),
        (("image", "image_2", "image_3"), ("image", "image_2", "image_3")),
        (("image_url_1", "image_url_2"), ("image_url_1", "image_url_2")),
        (("image1_url", "image2_url"), ("image1_url", "image2_url")),
        (("images", "main_image"), ("main_image", "images")),
        (("image", "photo_url"), ("image",)),  # two names of the same, perhaps
        (("path", "thumbnail"), ("path",)),
        (("url",), ("url",)),
        (("title", "image_width", "image_count", "photo_id"), ()),
        (("图片", "链接"), ("图片",)),
        ((), ()),
    ],
)
def test_the_chosen_columns(names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert image_columns(names) == expected


@pytest.mark.parametrize(
    ("cell", "images"),
    [
        ("a.jpg|b.png", ["a.jpg", "b.png"]),
        ("a.jpg; b.png ;", ["a.jpg", "b.png"]),
        ("https://x.example/1 | https://x.example/2?a=1;b", None),  # the first separator wins
        ("https://x.example/1|https://x.example/2", None),
        ('["a.jpg", "", "b.jpg"]', ["a.jpg", "b.jpg"]),
        ("[odd name].jpg", ["[odd name].jpg"]),
        ("img|1.jpg", ["img|1.jpg"]),
        ("https://x.example/a.jpg;jsessionid=1", ["https://x.example/a.jpg;jsessionid=1"]),
        ("a;b", ["a;b"]),
        ("", []),
        (None, []),
        ("|", ["|"]),
        (["a.jpg", None], ["a.jpg"]),
        (b"\xff", [b"\xff"]),
        (7, [7]),
    ],
)
def test_the_images_of_a_cell(cell: Any, images: list[Any] | None) -> None:
    expected = [part.strip() for part in cell.split("|")] if images is None else images
    assert list(images_of_cell(cell)) == expected
