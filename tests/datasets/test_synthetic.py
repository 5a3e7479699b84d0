"""The renderer of synthetic photos and the sample photos made with it."""

import csv
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from datasets.synthetic import dataset, forms, geometry, pictures
from datasets.synthetic.__main__ import app
from datasets.synthetic.pile import Heap
from datasets.synthetic.registry import SCENES
from datasets.synthetic.render import Photo, render
from datasets.synthetic.samples import CHOSEN
from datasets.synthetic.scenes_stockpiles import marked
from recognizer.dataset.sheets import contact_sheet
from recognizer.errors import MissingExtraError

SAMPLES = Path(__file__).parents[2] / "datasets" / "samples"
TINY = {"size": 32, "samples": 1}
LABELS = {
    "ivory_raw", "ivory_worked", "rhino_horn", "pangolin_scales", "turtle_shell", "coral",
    "cow_horn", "wood", "ceramic", "plastic_resin", "stone_jade", "bone", "food_pile",
    "white_object", "scale_like", "listing_other",
}  # fmt: skip


def listed() -> list[dict]:
    return json.loads((SAMPLES / "samples.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def renderer():
    pytest.importorskip("mitsuba")
    return render


@pytest.mark.parametrize("entry", listed(), ids=lambda entry: entry["file"])
def test_sample_is_the_file_that_was_listed(entry):
    data = (SAMPLES / entry["file"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == entry["sha256"]
    assert entry["label"] in LABELS


def test_samples_are_listed_whole_and_small():
    files = {path.name for path in SAMPLES.glob("*.jpg")}
    assert files == {entry["file"] for entry in listed()}
    assert sum((SAMPLES / file).stat().st_size for file in files) < 1_200_000
    assert sum(entry["kind"] == "product" for entry in listed()) == 8


def test_list_agrees_with_the_choice():
    chosen = [(f"{sample.name}.jpg", sample.scene, sample.seed) for sample in CHOSEN]
    assert chosen == [(entry["file"], entry["scene"], entry["seed"]) for entry in listed()]


def test_every_label_has_scenes_and_none_is_unknown():
    assert {scene.label for scene in SCENES.values()} == LABELS


def test_every_scene_builds_a_sound_mesh():
    for name, scene in SCENES.items():
        mesh = scene.build(np.random.default_rng(3)).mesh
        assert np.isfinite(mesh.vertices).all(), name
        assert mesh.faces.min() >= 0, name
        assert mesh.faces.max() < len(mesh.vertices), name
        assert np.isfinite(mesh.colour).all(), name
        assert mesh.colour.shape == mesh.vertices.shape, name


@pytest.mark.parametrize("shape", ["ball", "box", "ring", "sweep", "plate", "mirrored"])
def test_closed_meshes_face_outward(shape):
    straight = forms.bent(4, 1)
    ends = np.array([0.0, *np.linspace(0, 1, 20), 1.0])
    radii = np.array([0.0, *np.full(20, 0.5), 0.0])
    outline = geometry.oval(1, 1)
    mesh = {
        "ball": geometry.ball,
        "box": lambda: geometry.rounded_box((1, 2, 3), 0.1),
        "ring": lambda: geometry.ring(3, outline),
        "sweep": lambda: geometry.sweep(straight, ends, radii),
        "plate": lambda: geometry.plate(outline, lambda share, _: 0 * share, 0.2),
        "mirrored": lambda: forms.mirrored(geometry.ball()),
    }[shape]()
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    assert (a * np.cross(b, c)).sum() / 6 > 0


@pytest.mark.parametrize("scene", ["tusk_single", "pangolin_few", "mug"])
def test_same_seed_gives_the_same_bytes(renderer, scene):
    first, second = (renderer(scene, 7, **TINY) for _ in range(2))
    assert first == second
    assert first.jpeg[:2] == b"\xff\xd8"
    assert max(first.width, first.height) == 32
    assert renderer(scene, 8, **TINY).jpeg != first.jpeg
    json.dumps(first.parameters)


@pytest.mark.parametrize("label", sorted(LABELS))
def test_mask_covers_the_object(renderer, label):
    scene = max(name for name, entry in SCENES.items() if entry.label == label)
    photo = renderer(scene, 7, with_mask=True, **TINY)
    assert photo.mask.shape == (photo.height, photo.width)
    assert 0.02 < photo.mask.mean() < 0.9


def test_mask_is_of_the_object_and_changes_nothing(renderer):
    photo = renderer("plastic_balls", 7, with_mask=True, **TINY)
    assert photo.jpeg == renderer("plastic_balls", 7, **TINY).jpeg
    again = renderer("plastic_balls", 7, size=128, samples=1, with_mask=True)
    small = cv2.resize(again.mask.astype(np.float32), (photo.width, photo.height))
    assert np.abs(small - photo.mask).mean() < 0.1


def test_contact_sheet_shows_every_picture_with_its_name():
    tones = [60, 120, 180, 250]
    shown = [(f"scene-{tone}", np.full((40, 20 + tone, 3), tone, np.uint8)) for tone in tones]
    sheet = contact_sheet(shown, 64)
    counts = [(sheet == tone).all(axis=-1).sum() for tone in tones]
    assert all(count > 64 * 8 for count in counts)
    nameless = contact_sheet([("", picture) for _, picture in shown], 64)
    assert sheet.shape == nameless.shape
    assert (sheet != nameless).any(axis=-1).sum() > 4 * 40


def test_writing_on_a_tusk_is_on_its_upper_side():
    ends = np.linspace(0, 1, 200)
    plain = geometry.sweep(forms.bent(60, 40), ends, np.full(200, 3.0))
    changed = (marked(np.random.default_rng(2), plain, 3.0).colour != plain.colour).any(axis=1)
    assert 0.005 < changed.mean() < 0.3
    assert plain.vertices[changed, 2].mean() > 1.5


def test_laid_things_lie_on_each_other():
    bars = [geometry.rounded_box((20, 1, 1), 0.1) for _ in range(12)]
    rows = forms.laid(Heap(60), bars, 30, 1.1)
    lowest = [bar.vertices[:, 2].min() for bar in rows]
    assert min(lowest) == pytest.approx(0, abs=0.05)
    assert max(lowest) > 0.8


def test_unknown_scene_is_refused(renderer):
    with pytest.raises(KeyError, match="unicorn"):
        dataset.plan(1, 0, ["unicorn"], 32, 1)


def test_resumed_set_equals_an_unbroken_one(renderer, tmp_path):
    jobs = dataset.plan(3, 50, ["candles", "plastic_cups"], 32, 1)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert dataset.write(jobs, whole, say=lambda _: None) == 3
    dataset.write(jobs[1:], broken, say=lambda _: None)
    # A stop in the middle leaves a torn row, and a picture may be harmed.
    (broken / jobs[2].file).write_bytes(b"torn")
    with (broken / "manifest.csv").open("a", encoding="utf-8") as stream:
        stream.write("0123,images/white_object/candles-00")
    assert dataset.write(jobs, broken, say=lambda _: None) == 2
    names = sorted(path.relative_to(whole) for path in whole.rglob("*.*"))
    assert names == sorted(path.relative_to(broken) for path in broken.rglob("*.*"))
    for name in names:
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name


def test_manifest_tells_where_a_picture_comes_from(renderer, tmp_path):
    dataset.write(dataset.plan(1, 60, ["almonds"], 32, 1), tmp_path, say=lambda _: None)
    with (tmp_path / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert tuple(row) == dataset.COLUMNS
    assert (row["label"], row["kind"], row["split"]) == ("food_pile", "lookalike", "train")
    assert (row["source"], row["license"]) == ("synthetic/almonds", "Apache-2.0")
    assert json.loads(row["origin"])["seed"] == 60
    assert hashlib.sha256((tmp_path / row["file"]).read_bytes()).hexdigest() == row["sha256"]


def test_documentation_composes_rendered_objects_on_rendered_backdrops():
    red, mask = np.full((40, 40, 3), (250, 10, 10), np.uint8), np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    jpeg = cv2.imencode(".jpg", red[..., ::-1])[1].tobytes()
    names = {name for pair in pictures.COMPOSED for name in pair} | {pictures.BESIDE}
    assert names <= set(SCENES)
    products = [SCENES[subject] for subject, _ in pictures.COMPOSED]
    assert {entry.kind for entry in products} == {"product"}
    photos = {name: Photo(jpeg, mask, "", "", name, 0, 40, 40, {}) for name in names}
    shown = pictures.composed(photos)
    assert [name for name, _ in shown] == [name for name, _ in pictures.COMPOSED] * 2


def test_a_missing_renderer_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = CliRunner().invoke(app, ["render", "--count", "1", "--output", str(tmp_path / "set")])
    assert isinstance(done.exception, MissingExtraError)
    assert "[synthetic]" in str(done.exception)
    assert not (tmp_path / "set").exists()


def test_a_file_in_the_way_is_told(renderer, tmp_path):
    (tmp_path / "page.txt").write_text("")
    output = str(tmp_path / "page.txt")
    wide = {"COLUMNS": "1000"}  # or a long path is broken where it ends
    done = CliRunner().invoke(app, ["render", "--count", "1", "--output", output], env=wide)
    assert done.exit_code == 2
    assert "page.txt" in done.output
