import os
from collections import Counter, defaultdict

import cv2
import numpy as np
import pytest

from recognizer.cli import ExitCode
from recognizer.errors import DatasetError
from recognizer.lab.dataset.layouts import read_collection
from recognizer.lab.dataset.manifest import LABELS, load_data, write_manifest
from recognizer.lab.dataset.new_manifest import make_manifest
from tests.conftest import invoke, refuse


def write(path, seed, turn=lambda rgb: rgb):
    """Write a picture of large soft blobs: no two seeds have hashes that are near."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    blobs = cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)
    assert cv2.imwrite(str(path), turn(blobs))


@pytest.fixture
def photos(tmp_path):
    """Three labels of 20 photos, of ten sources each with two: shop-0 to shop-9 have all labels."""
    for number, label in enumerate(("bone", "ivory_raw", "wood")):
        for i in range(20):
            write(tmp_path / "photos" / label / f"shop-{i // 2}" / f"{i}.jpg", 100 * number + i)
    return tmp_path / "photos"


def make(folder, **options):
    return make_manifest(read_collection(folder), **{"test_share": 0.2, **options})


def splits_of(made, key):
    found = defaultdict(set)
    for photo in made.photos:
        found[key(photo)].add(photo.split)
    return found


def test_a_source_is_in_one_split_and_each_label_in_all(photos, tmp_path):
    made = make(photos)
    assert all(len(splits) == 1 for splits in splits_of(made, lambda p: p.source).values())
    counts = Counter((p.label, p.split) for p in made.photos)
    for label in ("bone", "ivory_raw", "wood"):
        assert [counts[label, split] for split in ("train", "test")] == [16, 4]
    assert not made.warnings
    assert not made.left_out
    # The same data and seed give the same split, wherever the photos lie.
    assert make(photos) == made
    assert make(photos, seed=1).photos != made.photos
    photos.rename(tmp_path / "moved")
    assert [p.split for p in make(tmp_path / "moved").photos] == [p.split for p in made.photos]


def test_the_manifest_is_read_as_it_was_written(photos, tmp_path):
    made = make(photos)
    (tmp_path / "elsewhere").mkdir()
    for folder in (photos, tmp_path / "elsewhere"):
        path = write_manifest(made.photos, folder, photos / LABELS)
        read, written = (
            [(p.path.resolve(), p.sha256, p.split) for p in photos]
            for photos in (load_data([folder]), made.photos)
        )
        assert read == written
        assert str(tmp_path) not in path.read_text()


@pytest.mark.parametrize("turn", [lambda rgb: rgb, lambda rgb: rgb[:, ::-1], np.rot90])
def test_near_copies_stay_with_their_sources(photos, turn):
    for copy in range(1, 9):  # of a photo of shop-0, in all other shops but one
        side = 64 + 8 * copy
        path = photos / "wood" / f"shop-{copy}" / "copy.png"
        write(path, 200, lambda rgb, side=side: cv2.resize(turn(rgb), (side, side)))
    write(photos / "bone" / "shop-0" / "wood.png", 200, turn)
    made = make(photos)
    split_of = splits_of(made, lambda p: p.source)
    assert len(set.union(*(split_of[f"shop-{n}"] for n in range(9)))) == 1
    assert "10 photos are near-copies of others, in 1 groups" in "".join(made.notes)
    words = "near-copies with different labels: bone/shop-0/wood.png (bone), wood/shop-0/0.jpg"
    assert any(words in line for line in made.warnings)


def test_what_cannot_be_used_is_left_out_and_named(photos):
    bone, wood = (photos / label / "shop-0" / "0.jpg" for label in ("bone", "wood"))
    (bone.with_name("broken.jpg")).write_bytes(b"\xff\xd8\xff nonsense")
    (bone.with_name("gone.jpg")).symlink_to("nowhere.jpg")
    (bone.with_name("loop.jpg")).symlink_to("loop.jpg")
    (bone.with_name("zero.jpg")).symlink_to("/dev/zero")
    os.mkfifo(bone.with_name("fifo.jpg"))  # is not waited for
    (photos / "bone" / "shop-1" / "zz.jpg").write_bytes(bone.read_bytes())
    (photos / "bone" / "shop-1" / "yy.jpg").write_bytes(wood.read_bytes())
    made = make(photos)
    text = "\n".join(made.left_out)
    for words in (
        "broken.jpg: ",
        "gone.jpg: No such file or directory",
        "loop.jpg: Too many levels of symbolic links",
        "zero.jpg: not a regular file",
        "fifo.jpg: not a regular file",
        "bone/shop-1/yy.jpg: the same file has several labels: bone, wood",
        "wood/shop-0/0.jpg: the same file has several labels",
    ):
        assert words in text
    assert "zz.jpg" not in text
    assert "Skipped 1 files that are the same as others, to the byte" in made.notes
    assert len(made.photos) == 59


def test_hostile_names_end_in_words(photos, tmp_path):
    with open(os.fsencode(photos / "bone" / "shop-0") + b"/\xff.jpg", "wb") as file:
        file.write((photos / "bone" / "shop-0" / "0.jpg").read_bytes())
    write(photos / "wood" / "shop-0" / "\x1b[31m,\nred.jpg", 999)
    done = invoke("dataset", "split", photos, "-o", tmp_path / "data", code=ExitCode.SOME_FAILED)
    assert "\\udcff.jpg: its name is not UTF-8: rename it" in done.stderr
    assert "\x1b" not in done.output
    assert "\x1b[31m,\nred.jpg" in {p.path.name for p in load_data([tmp_path / "data"])}
    again = refuse("dataset", "split", photos, "-o", tmp_path / "data")
    assert "exists already, and runs may rest on it" in again.stderr


def test_without_sources_each_photo_is_its_own_with_a_warning(tmp_path):
    for i in range(20):
        write(tmp_path / "p" / "bone" / f"{i}.jpg", i)
    made = make(tmp_path / "p")
    assert len({p.source for p in made.photos}) == 20
    assert made.warnings[0].startswith("no photo has a source: each counts as its own")
    assert Counter(p.split for p in made.photos) == {"train": 16, "test": 4}
    (tmp_path / "p" / "bone").rename(tmp_path / "p" / "shop")
    (tmp_path / "q" / "bone").mkdir(parents=True)
    (tmp_path / "p" / "shop").rename(tmp_path / "q" / "bone" / "shop")
    with pytest.raises(DatasetError, match=r"all 20 photos are of one source, 'shop'"):
        make(tmp_path / "q")


def test_an_unknown_label_says_exactly_what_to_do(photos):
    (photos / "wood").rename(photos / "whale_tooth")
    (photos / "bone").rename(photos / "bonne")
    with pytest.raises(DatasetError) as raised:
        make(photos)
    words = str(raised.value)
    assert "unknown label 'bonne' (did you mean bone?) (20 photos)" in words
    assert "unknown label 'whale_tooth'" in words
    assert f"write into {photos}/taxonomy.toml: [label." in words
    assert "rename the folder, or the label in the table" in words


def test_labels_are_written_as_labels_are(photos):
    (photos / "ivory_raw").rename(photos / "Ivory Raw")
    made = make(photos)
    assert {p.label for p in made.photos} == {"bone", "ivory_raw", "wood"}
    assert "The label 'Ivory Raw' is ivory_raw (20 photos)" in made.notes
