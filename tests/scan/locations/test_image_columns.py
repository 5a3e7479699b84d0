"""Which columns hold the images of a listing, and what one cell of them lists."""

import re

import pytest

from recognizer.listing import image_columns
from recognizer.scan.tables import images_of_cell


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("id,url,Image URL", "Image URL"),
        ("url,imageUrl", "imageUrl"),
        ("url,thumbnail", "thumbnail"),
        ("thumbnail,image_2,image_10,image_1,url", "image_1,image_2,image_10"),
        ("Photo 2,Photo 1", "Photo 1,Photo 2"),
        ("image1_url,image2_url", "image1_url,image2_url"),
        ("images,main_image", "main_image,images"),
        ("image,photo_url", "image,photo_url"),
        ("id,link,image_link,additional_image_link", "image_link,additional_image_link"),  # Google
        (  # Amazon
            "other_image_url2,other_image_url1,main_image_url,swatch_image_url",
            "main_image_url,swatch_image_url,other_image_url1,other_image_url2",
        ),
        ("PicURL,GalleryPicture", "PicURL,GalleryPicture"),  # eBay
        ("Image Src,Image Position,Image Alt Text,Variant Image", "Image Src,Variant Image"),
        ("path,thumbnail", "path"),
        ("url", "url"),
        ("title,image_width,image_count,photo_id,user_photo,image_hash", ""),
        ("图片,链接,主图", "主图,图片"),
        ("", ""),
    ],
)
def test_the_chosen_columns(names, expected):
    chosen = image_columns(tuple(filter(None, names.split(","))))
    assert ",".join(chosen) == expected


@pytest.mark.parametrize(
    ("cell", "images"),
    [
        ("a.jpg|b.png", ["a.jpg", "b.png"]),
        ("a.jpg; b.png ;", ["a.jpg", "b.png"]),
        ("a.jpg,b.png\n", ["a.jpg", "b.png"]),
        ("a.jpg\nb.png", ["a.jpg", "b.png"]),
        ("a.jpg,https://x.example/b.jpg", ["a.jpg", "https://x.example/b.jpg"]),
        ("tusk, old.jpg", ["tusk, old.jpg"]),
        ("https://x.example/1 | https://x.example/2?a=1;b", None),
        ("https://x.example/1|https://x.example/2", None),
        ("https://x.example/w_1,h_2/a.jpg,|https://x.example/w_1,h_2/b.jpg", None),
        ("https://x.example/1,https://x.example/2, s3://b/3", None),
        ('["a.jpg", "", "b.jpg"]', ["a.jpg", "b.jpg"]),
        ('{"url": "a.jpg"}', [{"url": "a.jpg"}]),
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
def test_the_images_of_a_cell(cell, images):
    expected = re.split(r"[ ,|]+(?=\w+://)", cell) if images is None else images
    assert [*images_of_cell(cell)] == expected
