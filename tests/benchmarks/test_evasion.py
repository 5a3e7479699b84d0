import io
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks import forms
from benchmarks.evasion import AIMS, FORMS, LIMITS, below_aims, draw_picture, main, table
from benchmarks.forms import Material
from benchmarks.pictures import PICTURES, SAMPLES
from recognizer.imaging import load_image
from recognizer.model.bundle import load_bundle
from tests.labelled import write_split_photos

PHOTO = np.asarray(Image.open(SAMPLES / "ivory-figure.jpg").convert("RGB").reduce(2))
OTHER = np.asarray(Image.open(SAMPLES / "mug.jpg").convert("RGB").reduce(2))


def _material(seed=0):
    return Material(np.random.default_rng(seed), lambda: OTHER, 64)


@pytest.mark.parametrize("form", forms.FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("size", [(60, 600), (600, 60), (24, 24)])
def test_a_form_can_be_made_of_any_shape(form, size):
    made = form.draw(np.asarray(cv2.resize(PHOTO, size), np.uint8), _material())
    assert load_image(made if isinstance(made, bytes) else forms.encoded(made)).frames


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
