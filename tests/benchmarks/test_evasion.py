import io
import json
from collections import Counter

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from benchmarks import evasion, forms, tricks
from benchmarks.evasion import AIMS, FORMS, LIMITS, Bench, below_aims, draw_picture, main, table
from benchmarks.forms import RGB, Form, Material
from benchmarks.pictures import PICTURES, SAMPLES
from recognizer.imaging import load_image
from recognizer.model.bundle import load_bundle
from tests.labelled import write_split_photos

PHOTO = np.asarray(Image.open(SAMPLES / "ivory-figure.jpg").convert("RGB").reduce(2))
OTHER = np.asarray(Image.open(SAMPLES / "mug.jpg").convert("RGB").reduce(2))


def _material(seed: int = 0) -> Material:
    return Material(np.random.default_rng(seed), lambda: OTHER, 64)


def _drawn(form: Form, seed: int = 0) -> bytes:
    made = form.draw(PHOTO, _material(seed))
    return made if isinstance(made, bytes) else forms.encoded(made)


def _shown(data: bytes, color: str = "white") -> RGB:
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    ground = Image.new("RGBA", image.size, color)
    ground.alpha_composite(image)
    return np.asarray(ground.convert("RGB"))


@pytest.mark.parametrize("form", forms.FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("size", [(60, 600), (600, 60), (24, 24)])
def test_a_form_can_be_made_of_any_shape(form, size):
    made = form.draw(np.asarray(cv2.resize(PHOTO, size), np.uint8), _material())
    assert load_image(made if isinstance(made, bytes) else forms.encoded(made)).frames


def test_what_viewers_show_of_a_trick_is_the_photo():
    black = _shown(tricks.transparent(PHOTO, _material()), "black")
    assert np.abs(black.astype(int) - PHOTO).max() <= 2
    image = Image.open(io.BytesIO(tricks.profile(PHOTO, _material())))
    icc = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    plain = ImageCms.profileToProfile(image, icc, ImageCms.createProfile("sRGB"))
    assert np.abs(np.asarray(plain).astype(int) - PHOTO).mean() < 6
    assert np.abs(np.asarray(image).astype(int) - PHOTO).mean() > 12


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_hidden_frame_is_shown_longest(kind):
    image = Image.open(io.BytesIO(tricks.hidden_frame(kind, PHOTO, _material())))
    assert getattr(image, "n_frames", 1) == 16
    times = []
    for number in range(16):
        image.seek(number)
        image.load()
        times.append(image.info["duration"])
        if number == 1:
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - PHOTO).mean() < 8
    assert times[1] > 100 * sum(times[:1] + times[2:])


def test_the_picture_is_that_of_the_forms():
    assert Image.open(io.BytesIO(draw_picture())).size == Image.open(PICTURES / "evasion.jpg").size


def test_the_limits_print_each_form_that_is_below_its_aim():
    path = LIMITS.parents[1] / "export" / f"evasion-{load_bundle().title}.json"
    found = json.loads(path.read_text("utf-8"))
    lines = [*below_aims(found)]
    page = LIMITS.read_text("utf-8")
    assert "\n".join(["<!-- figures -->", *lines, "<!-- end of figures -->"]) in page
    assert [form.name for form in FORMS] == [*found["forms"]]
    assert {form.group for form in FORMS} >= {*AIMS}
    for form in FORMS:
        share = round(100 * found["forms"][form.name]["stay"][0])
        is_below = share < AIMS.get(form.group, 0)
        assert any(f"{form.name} {share}" in line for line in lines) == is_below


def test_figures_are_measured_and_written(tiny_bundle, tmp_path, capsys):
    data = write_split_photos(tmp_path / "data")
    arguments = ["--data", str(data), "--bundle", str(tiny_bundle), "--photos", "3"]
    arguments += ["--negatives", "4", "--form", "mirrored", "--form", "letterbox", "--form", "zip"]
    json_file, page = tmp_path / "found.json", tmp_path / "page.md"
    main([*arguments, "--json", str(json_file)])
    found = json.loads(json_file.read_text("utf-8"))
    assert [*found["groups"]] == ["mirrored (the floor)", "frames", "format tricks"]
    assert found["leads"] == 3
    for name, figures in found["forms"].items():
        assert 0 <= figures["stay"][1] <= figures["stay"][0] <= figures["stay"][2] <= 1, name
        assert figures["false_leads"][1] == 4
    main([*arguments, "--before", str(json_file), "--markdown", str(page)])
    assert "| **mirrored** |" in page.read_text("utf-8")
    rows = [line for line in table(found, found) if line.startswith("| ")]
    assert {line.count("|") for line in rows} == {6}
    assert "**photo.zip, a JPEG** \u2020" in "".join(rows)
    capsys.readouterr()


def test_a_network_is_measured_on_the_photos_of_its_fold(tiny_bundle, tmp_path, monkeypatch):
    data = write_split_photos(tmp_path / "data")
    folds = {f"train/{name}": (name, int(name == "b")) for name in "abc"}
    monkeypatch.setattr(evasion, "read_folds", lambda _: folds)
    network = tmp_path / "fold-0.onnx"
    network.write_bytes((tiny_bundle / "model.onnx").read_bytes())
    arguments = ["--data", str(data), "--bundle", str(tiny_bundle), "--onnx", str(network)]
    arguments += ["--fold", "0", "--by-source", "--photos", "4", "--negatives", "4"]
    json_file = tmp_path / "found.json"
    benches: list[Bench] = []
    load = evasion.load_bench
    monkeypatch.setattr(evasion, "load_bench", lambda o: benches.append(load(o)) or benches[-1])
    for _ in range(2):
        main([*arguments, "--form", "mirrored", "--json", str(json_file)])
    found = json.loads(json_file.read_text("utf-8"))
    assert (found["split"], found["fold"], found["negatives"]) == ("train", 0, 4)
    first, second = ([*bench.products, *bench.negatives] for bench in benches)
    assert [p.sha256 for p in first] == [p.sha256 for p in second]
    assert {p.source for p in first} == {"train/a", "train/c"}
    assert [Counter(p.source for p in benches[0].negatives).most_common()] == [
        [("train/a", 2), ("train/c", 2)]
    ]
    # Its threshold is that of the fold: no photo without a product but the highest is over it.
    assert found["false_leads"] <= 1
    assert benches[0].recognizer.bundle.path != tiny_bundle
