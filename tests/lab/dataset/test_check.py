import io
from unittest.mock import Mock

import pytest
from PIL import Image, ImageOps

from recognizer.errors import DatasetError
from recognizer.lab.dataset.check import check_data, warn_of_sources
from tests.conftest import encoded, refuse, succeed
from tests.docs.blocks import ROOT
from tests.labelled import photo, store, write_manifest
from tests.pictures import scene


@pytest.fixture
def write(tmp_path):
    """Writes a picture, or other bytes, and gives its row."""

    def write(name, picture, split):
        data = picture if isinstance(picture, bytes) else encoded(picture, quality=90)
        about = {"label": "ivory_worked", "source": f"place-{split}", "split": split}
        return store(tmp_path, name, data, **about)

    return write


def checked(folder, rows):
    write_manifest(folder, rows)
    return check_data([folder])[1]


COPIES = {
    "recompressed": lambda p: Image.open(io.BytesIO(encoded(p, quality=20))),
    "smaller": lambda p: p.resize((150, 112)),
    "mirrored": ImageOps.mirror,
    "turned": lambda p: p.transpose(Image.Transpose.ROTATE_90),
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_in_the_test_split_is_named(tmp_path, write, copy):
    rows = [write(f"{i}.jpg", scene(i), "train") for i in range(4)]
    rows.append(write("same split.jpg", scene(1).resize((150, 112)), "train"))
    rows.append(write("other.jpg", scene(9), "test"))
    rows.append(write("copy.jpg", COPIES[copy](scene(2)), "test"))
    (group,) = checked(tmp_path, rows)
    assert group.endswith(f"{tmp_path / '2.jpg'} (train), {tmp_path / 'copy.jpg'} (test)")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"file": "nowhere.jpg"}, "nowhere.jpg: No such file"),
        ({"sha256": "0" * 64}, "0.jpg: its sha256 is not that of the manifest"),
        ({"label": "unicorn"}, "manifest.csv:2: unknown label 'unicorn'"),
        ({"split": "holdout"}, "manifest.csv:2: unknown split 'holdout'"),
        ({"source": ""}, "manifest.csv:2: no source"),
        ({"source": "place-test"}, "place-test is in test and in train"),
    ],
)
def test_what_is_wrong_is_named_and_the_rest_still_checked(tmp_path, write, change, words):
    rows = [{**write("0.jpg", scene(0), "train"), **change}, write("1.jpg", scene(1), "test")]
    (problem,) = checked(tmp_path, rows)
    assert words in problem


def test_undecodable_and_repeated_files(tmp_path, write):
    page = write("page.jpg", b"<html>", "train")
    row = write("0.jpg", scene(0), "train")
    problems = checked(tmp_path, [page, row, {**row, "label": "wood"}])
    assert any("page.jpg: " in p for p in problems)
    assert any("listed 2 times (ivory_worked, train; wood, train)" in p for p in problems)
    assert len(problems) == 2


def test_splits_are_compared_across_folders(tmp_path, write):
    write_manifest(tmp_path, [write("a.jpg", scene(1), "test")])
    folder = tmp_path / "labelled"
    (folder / "ivory_worked").mkdir(parents=True)
    (folder / "ivory_worked" / "b.jpg").write_bytes(encoded(scene(1), quality=50))
    assert len(check_data([tmp_path, folder])[1]) == 1
    with pytest.raises(DatasetError, match="No such file"):
        check_data([tmp_path / "nowhere"])


def test_the_command_names_the_pair_and_fails(tmp_path, write, monkeypatch):
    measure = Mock(return_value=())
    monkeypatch.setattr("recognizer.lab.dataset.shortcuts.measure_shortcuts", measure)
    rows = [write("a.jpg", scene(1), "train"), write("b.jpg", scene(2), "test")]
    write_manifest(tmp_path, rows)
    said = succeed("dataset", "check", tmp_path).stdout
    assert "1 (1)" in said
    assert "Checked files, labels, sources and near-duplicates of 2 photos: 0 problems" in said
    assert "Shortcuts were not looked for" in said
    assert [photo.split for photo in measure.call_args.args[0]] == ["train"]
    write_manifest(tmp_path, [*rows, write("copy.jpg", scene(1).resize((200, 150)), "test")])
    done = refuse("dataset", "check", tmp_path)
    assert f"{tmp_path / 'a.jpg'}" in done.stdout
    assert f"{tmp_path / 'copy.jpg'}" in done.stdout
    assert "near-duplicates of 3 photos: 1 problem" in done.stdout
    assert "1 problem, listed above" in done.stderr


def test_a_crop_in_another_split_is_shown(tmp_path, write):
    """Its hash is another one; and a group of sources is in both splits."""
    with Image.open(ROOT / "datasets" / "samples" / "rhino-horn.jpg") as photo:
        width, height = photo.size
        crop = photo.crop((width // 8, height // 8, width, height))
        rows = [write("whole.jpg", photo.copy(), "train"), write("crop.jpg", crop, "test")]
    rows.append(write("mug.jpg", (ROOT / "datasets/samples/mug.jpg").read_bytes(), "test"))
    write_manifest(tmp_path, rows)
    said = succeed("dataset", "check", tmp_path, "--pairs", tmp_path / "pairs.html").stdout
    (line,) = (line for line in said.splitlines() if "perhaps a crop or a copy" in line)
    assert f"{tmp_path / 'whole.jpg'} (train) and {tmp_path / 'crop.jpg'} (test)" in line
    page = (tmp_path / "pairs.html").read_text("utf-8")
    assert page.count('<figure class="error">') == 2
    assert page.index("crop.jpg") < page.index("mug.jpg")  # the closest first
    folds = tmp_path / "folds.csv"
    folds.write_text("source,group,fold\nplace-train,place,0\nplace-test,place,0\nother,,1\n")
    said = refuse("dataset", "check", tmp_path, "--folds", folds).stdout
    assert "the group place is in test and in train" in said


def test_products_of_one_source_are_named():
    shown = {"ivory_raw": "aaaa", "coral": "aab", "feather": "ab", "wood": "aa"}
    photos = [photo(i, n, s) for n, of in shown.items() for i, s in enumerate(of)]
    assert warn_of_sources(photos) == [
        "coral: 2 of 3 training photos are of one source, a",
        "ivory_raw: all 4 training photos are of one source, a",
    ]
