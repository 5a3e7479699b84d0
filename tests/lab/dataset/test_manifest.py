import io
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from recognizer.errors import DatasetError, TaxonomyError
from recognizer.lab.dataset.manifest import ONE_SIDE, at_one_quality, load_data
from tests.conftest import encoded
from tests.docs.blocks import ROOT, blocks
from tests.labelled import photo, store, write_manifest


def stored(folder, content):
    row = store(folder, "photo", content)
    return replace(photo(0), path=folder / "photo", sha256=row["sha256"])


@pytest.mark.parametrize("form", [{"format": "PNG"}, {"quality": 30}, {"quality": 95}])
@pytest.mark.parametrize("side", [200, 264, 640, 1600])
def test_one_quality_leaves_no_trace_of_size_or_tables(tmp_path, form, side):
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    image = Image.fromarray(coarse).resize((side * 3 // 2, side), Image.Resampling.BICUBIC)
    found = Image.open(io.BytesIO(at_one_quality(stored(tmp_path, encoded(image, **form)))))
    height = min(side, ONE_SIDE)
    assert found.size == (height * 3 // 2, height)
    expected = np.asarray(image.resize(found.size, Image.Resampling.BOX), float)
    assert np.abs(np.asarray(found, float) - expected).mean() < 4
    Image.new("RGB", found.size).save(again := io.BytesIO(), "JPEG", quality=80)
    assert found.quantization == Image.open(again).quantization


def test_a_photo_that_has_changed_is_not_measured(tmp_path):
    one = stored(tmp_path, encoded(Image.new("RGB", (30, 30))))
    with pytest.raises(DatasetError, match="sha256 is not that of the manifest"):
        at_one_quality(replace(one, sha256="0" * 64))


@pytest.mark.parametrize("content", [None, "file,label\n", "sha256,file,label,source,split\n"])
def test_folders_that_hold_no_data_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.csv").write_text(content)
    with pytest.raises(DatasetError, match=r"dataset split makes one|: no column"):
        load_data([tmp_path])
    with pytest.raises(DatasetError, match="No such file"):
        load_data([tmp_path / "nowhere"])


def test_a_folder_with_a_typo_is_not_left_out_silently(tmp_path):
    for name in ("ivory_raw", "ivory_row", ".cache", "notes"):
        (tmp_path / name).mkdir()
    for name in ("ivory_raw", "ivory_row", ".cache"):
        (tmp_path / name / "a.jpg").write_bytes(name.encode())
    with pytest.raises(DatasetError, match=r"ivory_row: unknown label .*did you mean ivory_raw"):
        load_data([tmp_path])
    (tmp_path / "ivory_row" / "a.jpg").unlink()
    assert [p.label for p in load_data([tmp_path])] == ["ivory_raw"]


def test_the_source_is_the_folder_inside_the_labels_folder(tmp_path):
    for name in ("anna/1.jpg", "anna/more/2.jpg", "bert/3.jpg", "4.jpg"):
        path = tmp_path / "ivory_raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    found = {p.path.name: p.source for p in load_data([tmp_path])}
    assert found == {"1.jpg": "anna", "2.jpg": "anna", "3.jpg": "bert", "4.jpg": tmp_path.name}


def test_what_is_no_photo_is_named_and_not_waited_for(tmp_path):
    place = tmp_path / "ivory_raw"
    place.mkdir()
    path = place / "a.jpg"
    for make, why in (
        (lambda: os.mkfifo(path), "not a regular file"),
        (lambda: path.symlink_to("/dev/zero"), "not a regular file"),
        (lambda: path.symlink_to(path), "symbolic links"),
    ):
        make()
        with pytest.raises(DatasetError, match=rf"a\.jpg: .*{why}"):
            load_data([tmp_path])
        path.unlink()


@pytest.mark.parametrize("name", ["taxonomy.toml", "manifest.csv"])
def test_what_is_not_a_file_of_data_is_named_and_not_waited_for(name, tmp_path):
    (tmp_path / "ivory_raw").mkdir()
    os.mkfifo(tmp_path / name)
    with pytest.raises((DatasetError, TaxonomyError), match=rf"{name} is not a regular file"):
        load_data([tmp_path])


def test_corrections_are_written_into_the_manifest(tmp_path, monkeypatch):
    """By the lines that docs/data.md has for it."""
    (tmp_path / "data").mkdir()
    about = {"label": "wood", "source": "a", "split": "train", "subtype": "a bowl - turned"}
    rows = [{"sha256": f"{i:064x}", "file": f"images/{i}.jpg", **about} for i in range(3)]
    write_manifest(tmp_path / "data", rows)
    lines = [f"{i:064x},{label},seen" for i, label in ((1, "ceramic"), (2, "exclude"), (9, "bone"))]
    (tmp_path / "corrections.csv").write_text("\n".join(["sha256,label,reason", *lines]))
    monkeypatch.chdir(tmp_path)
    (block,) = (b for b in blocks(ROOT / "docs" / "data.md") if "corrections.csv" in b.text)
    exec(block.text, {})
    found = load_data([tmp_path / "data"])
    assert [(p.path.name, p.label) for p in found] == [("0.jpg", "wood"), ("1.jpg", "ceramic")]
    assert found[1].columns == {"subtype": "a bowl - turned"}
