"""Which columns hold the images of a listing, and what one cell of them lists."""

import pytest

from recognizer.listing import image_columns
from recognizer.scan.tables import images_of_cell


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("id,url,Image URL", "Image URL"),
        ("image1_url,image2_url", "image1_url,image2_url"),
        ("id,link,image_link,additional_image_link", "image_link,additional_image_link"),  # Google
        ("Image Src,Image Position,Image Alt Text,Variant Image", "Image Src,Variant Image"),
        ("title,image_width,image_count,photo_id,user_photo,image_hash", ""),
        ("图片,链接,主图", "图片,主图"),
    ],
)
def test_the_chosen_columns(names, expected):
    chosen = image_columns(tuple(filter(None, names.split(","))))
    assert ",".join(chosen) == expected


@pytest.mark.parametrize(
    ("cell", "images"),
    [
        ("a.jpg,b.png", ["a.jpg,b.png"]),
        (" https://x.example/1\n", ["https://x.example/1"]),
        ("tusk, old.jpg", ["tusk, old.jpg"]),
        ("s3://b/tusk (1)", ["s3://b/tusk (1)"]),
        ('["a.jpg", "", "b.jpg"]', ["a.jpg", "b.jpg"]),
        ('{"url": "a.jpg"}', [{"url": "a.jpg"}]),
        ("[odd name].jpg", ["[odd name].jpg"]),
        ("img|1.jpg", ["img|1.jpg"]),
        ("https://x.example/a.jpg;jsessionid=1", ["https://x.example/a.jpg;jsessionid=1"]),
        (None, []),
        ("|", ["|"]),
        (b"\xff", [b"\xff"]),
    ],
)
def test_the_images_of_a_cell(cell, images):
    assert [*images_of_cell(cell)] == images
