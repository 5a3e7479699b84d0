"""Photos as other tools read them, read by those tools."""

from pathlib import Path

import pytest
from PIL import Image, ImageOps

from recognizer.lab.dataset.manifest import Photo
from tests.conftest import encoded, picture, refuse, succeed
from tests.labelled import deal, store, write_manifest_of


@pytest.fixture
def data(labelled_photos: list[Photo], tmp_path: Path) -> Path:
    """A manifest; ceramic has no test photo, and one photo is turned by its EXIF."""
    photos = deal(labelled_photos, "train", "validation", "test", "train")
    kept = [p for p in photos if (p.label, p.split) != ("ceramic", "test")]
    folder = tmp_path / "data"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side
    turned = encoded(picture("red", (60, 40)), exif=exif)
    digest = store(folder, "turned.jpg", turned)["sha256"]
    kept.append(Photo(folder / "turned.jpg", digest, "ivory_worked", "phone", "test"))
    write_manifest_of(folder, kept)
    return folder


def test_image_folder_reads_the_same_classes_in_each_split(data: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    output = tmp_path / "out"
    succeed("dataset", "write", data, "--output", output)
    labels = ["ceramic", "ivory_worked", "listing_other"]
    assert (output / "classes.txt").read_text().split() == labels
    splits = ("train", "val", "test")
    found = {name: datasets.ImageFolder(output / name, allow_empty=True) for name in splits}
    assert [one.classes for one in found.values()] == [labels] * 3
    assert {split: len(one) for split, one in found.items()} == {"train": 18, "val": 9, "test": 7}
    image, target = found["train"][0]
    assert (image.size, target) == ((64, 48), 0)
    assert "exists already" in refuse("dataset", "write", data, "--output", output).stderr
    (data / "turned.jpg").unlink()  # the last one
    output = tmp_path / "new" / "out"
    assert "turned.jpg: No such" in refuse("dataset", "write", data, "--output", output).stderr
    assert [*output.parent.iterdir()] == []


def test_coco_reads_images_labels_and_sizes(data: Path, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    output = tmp_path / "out"
    succeed("dataset", "write", data, "--as", "coco", "--output", output)
    found = coco.COCO(output / "annotations" / "test.json")
    names = sorted(category["name"] for category in found.loadCats(found.getCatIds()))
    assert names == ["ceramic", "ivory_worked", "listing_other"]
    (ivory,) = found.getCatIds(catNms=["ivory_worked"])
    assert found.loadCats(ivory)[0]["supercategory"] == "product"
    shown = found.loadImgs(found.getImgIds(catIds=[ivory]))
    assert len(shown) == 4
    for image in shown:
        with Image.open(output / "images" / image["file_name"]) as opened:
            assert ImageOps.exif_transpose(opened).size == (image["width"], image["height"])
    (box,) = found.loadAnns(found.getAnnIds(imgIds=[i["id"] for i in shown if i["height"] == 60]))
    assert (box["bbox"], box["category_id"]) == ([0, 0, 40, 60], ivory)
