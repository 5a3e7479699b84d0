import csv
import subprocess
import sys
from importlib.util import find_spec

import cv2
import pytest


@pytest.mark.skipif(not find_spec("bpy"), reason="the extra `renders` is not installed")
def test_a_rendering_is_a_photo_with_a_row(tmp_path):
    command = [sys.executable, "-m", "datasets.renders", str(tmp_path), "--count=1", "--samples=1"]
    subprocess.run([*command, "--things=rhino_horn,shark_fins"], check=True, capture_output=True)
    with (tmp_path / "manifest.csv").open(encoding="utf-8") as file:
        horn, fins = csv.DictReader(file)
    assert (horn["label"], horn["kind"], horn["source"]) == (
        "rhino_horn",
        "product",
        "render#rhino_horn",
    )
    assert fins["label"] == "shark_fin"
    photo = cv2.imread(str(tmp_path / horn["file"]))
    assert min(photo.shape[:2]) == 264
    assert photo.std() > 5
