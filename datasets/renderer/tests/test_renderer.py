"""The renderer: its meshes, its images (where mitsuba is installed), its sets, its command."""

import csv
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from wildlife_renderer import forms, geometry, materials, sets
from wildlife_renderer.cli import main
from wildlife_renderer.render import render
from wildlife_renderer.scenes import MODULES, SCENES

SAMPLES = Path(__file__).parents[2] / "samples"
TINY = {"size": 32, "paths": 1}
LABELS = {
    "ivory_raw", "ivory_worked", "rhino_horn", "pangolin_scales", "cow_horn", "wood", "ceramic",
    "plastic_resin", "stone_jade", "bone", "food_pile", "listing_other",
}  # fmt: skip


@pytest.fixture(scope="module")
def mitsuba():
    return pytest.importorskip("mitsuba")


def quiet(_: str) -> None:
    """Log nothing."""


def test_the_samples_are_those_of_the_repository():
    listed = json.loads((SAMPLES / "samples.json").read_text(encoding="utf-8"))
    found = {entry["file"]: (entry["scene"], entry["seed"]) for entry in listed}
    assert found == {f"{name}.jpg": chosen for name, chosen in sets.SAMPLES.items()}
    labels = {entry["scene"]: (entry["label"], entry["kind"]) for entry in listed}
    assert labels == {name: (scene.label, scene.kind) for name, scene in SCENES.items()}


def test_every_label_has_scenes_and_none_is_unknown():
    assert {scene.label for scene in SCENES.values()} == LABELS
    assert {scene.kind for scene in SCENES.values()} == {"product", "lookalike", "other"}


def cheap_noise(points, frequency, seed, octaves=3):
    return np.sin(np.asarray(points) @ [3.0, 5.0, 7.0] + seed)


@pytest.mark.parametrize("name", sorted(SCENES))
def test_every_scene_builds_a_sound_mesh(name, monkeypatch):
    for module in (*MODULES, materials):  # noise takes nearly all of the time
        monkeypatch.setattr(module, "noise", cheap_noise)
    mesh = SCENES[name].build(np.random.default_rng(3)).mesh
    assert np.isfinite(mesh.vertices).all()
    assert mesh.faces.min() >= 0
    assert mesh.faces.max() < len(mesh.vertices)
    assert np.isfinite(mesh.colour).all()
    assert mesh.colour.shape == mesh.vertices.shape


def test_noise_is_smooth_and_follows_the_seed():
    points = np.random.default_rng(0).uniform(-5, 5, (400, 3))
    values = geometry.noise(points, 1.3, 7)
    assert np.abs(geometry.noise(points + 1e-4, 1.3, 7) - values).max() < 0.01
    assert 0.2 < values.std() < 1
    assert np.abs(geometry.noise(points, 1.3, 8) - values).max() > 0.5


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


@pytest.mark.parametrize("scene", ["pangolin_few", "mug"])
def test_the_same_seed_gives_the_same_image(mitsuba, scene):
    first, second = (render(scene, 7, **TINY) for _ in range(2))
    assert first.jpeg == second.jpeg
    assert np.array_equal(first.mask, second.mask)
    assert first.parameters == second.parameters
    assert max(first.width, first.height) == 32
    assert render(scene, 8, **TINY).jpeg != first.jpeg


@pytest.mark.parametrize("scene", ["bananas", "mug", "pangolin_few", "rhino_horn_pair"])
def test_the_mask_covers_the_object(mitsuba, scene):
    rendering = render(scene, 7, **TINY)
    assert rendering.mask.shape == (rendering.height, rendering.width)
    assert 0.02 < rendering.mask.mean() < 0.9


def test_the_mask_is_of_the_object(mitsuba):
    small = render("toy_bricks", 7, **TINY)
    large = render("toy_bricks", 7, size=128, paths=1).mask.astype(np.float32)
    assert np.abs(cv2.resize(large, (small.width, small.height)) - small.mask).mean() < 0.1


@pytest.mark.parametrize(
    ("scenes", "output", "words"), [("mug,unicorn", "set", "unicorn"), ("mug", "page", "page")]
)
def test_what_the_command_refuses(tmp_path, capsys, scenes, output, words):
    (tmp_path / "page").write_text("")  # a file in the way
    with pytest.raises(SystemExit) as ended:
        main(["render", "--count", "1", "--scenes", scenes, "--output", str(tmp_path / output)])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_a_resumed_set_equals_an_unbroken_one(mitsuba, tmp_path):
    jobs = sets.plan(3, 50, ["bananas", "mug"], 32, 1)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert sets.write_set(jobs, whole, log=quiet) == 3
    sets.write_set(jobs[1:], broken, log=quiet)
    # A stop in the middle leaves a mask without its image, and no manifest.
    (broken / jobs[2].path("images", "jpg")).unlink()
    (broken / "manifest.csv").unlink()
    assert sets.write_set(jobs, broken, log=quiet) == 2
    names = sorted(path.relative_to(whole) for path in whole.rglob("*.*"))
    assert names == sorted(path.relative_to(broken) for path in broken.rglob("*.*"))
    for name in names:
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name


def test_a_damaged_image_is_named(tmp_path):
    (job,) = sets.plan(1, 50, ["mug"], 32, 1)
    image = tmp_path / job.path("images", "jpg")
    image.parent.mkdir(parents=True)
    image.write_bytes(b"torn")
    with pytest.raises(OSError, match=image.name):
        sets.write_set([job], tmp_path, log=quiet)


def test_the_manifest_says_where_an_image_comes_from(mitsuba, tmp_path):
    sets.write_set(sets.plan(1, 60, ["almonds"], 32, 1), tmp_path, log=quiet)
    with (tmp_path / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert tuple(row) == sets.COLUMNS
    assert (row["label"], row["kind"], row["split"]) == ("food_pile", "lookalike", "train")
    assert (row["source"], row["license"]) == ("synthetic/almonds", "Apache-2.0")
    assert json.loads(row["origin"])["seed"] == 60
    assert hashlib.sha256((tmp_path / row["file"]).read_bytes()).hexdigest() == row["sha256"]
    assert max(int(row["width"]), int(row["height"])) == 32
