from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from recognizer.cli import ExitCode
from recognizer.engine import Recognizer
from recognizer.errors import DatasetError
from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.dataset.outputs import run_photos
from recognizer.lab.evaluation.calibrate import calibrated, fit_calibration
from recognizer.model.bundle import load_bundle
from recognizer.model.description import Calibrated, Calibration, CalibrationFit
from recognizer.model.numerics import sigmoid
from tests.conftest import invoke
from tests.labelled import write_manifest_of
from tests.tiny import LABELS, write_tiny_bundle


@given(st.floats(0.001, 5), st.floats(-9, 9))
def test_a_line_never_ties_what_the_model_tells_apart(slope: float, intercept: float) -> None:
    line = Calibration(slope, intercept)
    assert (np.diff(line(np.linspace(-30, 30, 601))) > 0).all()
    assert msgspec.json.decode(msgspec.json.encode(line), type=Calibration) == line
    assert Calibration(1e-9, intercept).rounded().slope == 1e-6


def fit_one(log_odds: np.ndarray, hit: np.ndarray) -> Calibration:
    """The line of one label against all others."""
    return fit_calibration(log_odds[:, None], hit[:, None])


def drawn(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    true_log_odds = rng.normal(0, 2, count)
    return true_log_odds, rng.random(count) < sigmoid(true_log_odds)


def test_the_odds_are_recovered() -> None:
    true_log_odds, hit = drawn(np.random.default_rng(0), 6000)
    found = fit_one(true_log_odds * 3 + 2, hit)  # over-confident and shifted
    shown = np.linspace(-3, 3, 9) * 3 + 2
    assert found(shown) == pytest.approx((shown - 2) / 3, abs=0.25)


def test_a_label_predicted_without_a_mistake_keeps_some_doubt() -> None:
    hit = np.arange(200) < 20
    found = fit_one(np.where(hit, 10.0, -10.0) + np.linspace(0, 1, 200), hit)
    high, low = sigmoid(found(np.array([10.0, -10.0])))
    assert 0.9 < high < 0.999
    assert 0.001 < low < 0.05


@pytest.fixture
def held_out(labelled_photos: list[Photo]) -> list[Photo]:
    return [
        replace(p, split="validation", source=f"s{i % 5}") for i, p in enumerate(labelled_photos)
    ]


def test_the_same_network_is_another_bundle(
    recognizer: Recognizer, held_out: list[Photo], tmp_path: Path
) -> None:
    write_manifest_of(tmp_path, held_out)
    for name, why in (("mine", "NAME-vN"), ("wildlife-v6", "released bundle")):
        wrong = _run(recognizer.bundle.path, tmp_path, name)
        assert (wrong.exit_code, why in wrong.stderr) == (ExitCode.USAGE, True)
    done = _run(recognizer.bundle.path, tmp_path, "ours-v2")
    assert done.exit_code == ExitCode.DONE, done.output
    assert "so few photos say little: 12 with a product" in " ".join(done.stderr.split())
    again = load_bundle(tmp_path / "ours-v2")
    assert all(f"{t:.4f}" in done.stdout for t in again.labels[0].thresholds.values())
    assert (again.title, again.version) == ("ours-v2", 2)
    assert again.digest != recognizer.bundle.digest
    assert again.model == recognizer.bundle.model
    (step,) = again.lineage
    assert isinstance(step, Calibrated)
    assert step.parent == recognizer.bundle.reference
    assert again.calibration == step.photos
    assert step.photos.photos == len(held_out)
    fit = again.labels[LABELS.index("ivory_raw")].fit
    assert fit.method == "platt_shared"
    assert "calibrated again" in (again.path / "MODEL_CARD.md").read_text()
    before = Recognizer.load(recognizer.bundle.path).predict(held_out[0].path)
    after = Recognizer.load(again.path).predict(held_out[0].path)
    assert after.scores.keys() == before.scores.keys()
    assert after.scores != before.scores


def test_what_was_enrolled_keeps_its_thresholds(
    recognizer: Recognizer, held_out: list[Photo], tmp_path: Path
) -> None:
    """The photos may have been its negatives; their scores would make its thresholds too low."""
    bundle, place = recognizer.bundle, LABELS.index("ivory_raw")
    high = {0.05: 0.97, 0.01: 0.98, 0.001: 0.99}
    fit = CalibrationFit(method="enrolled", positives=3)
    labels = list(bundle.labels)
    labels[place] = replace(labels[place], thresholds=high, fit=fit)
    families = tuple(replace(family, thresholds=high) for family in bundle.families)
    changes = {"labels": tuple(labels), "families": families, "any_product_thresholds": high}
    folder = write_tiny_bundle(tmp_path / "parent-v1", **changes)
    log_odds = run_photos(recognizer, held_out)
    made = calibrated(load_bundle(folder), log_odds, held_out)
    assert made.labels[place] == labels[place]
    (family,) = made.families
    for rate, threshold in high.items():
        assert family.thresholds[rate] >= threshold
        assert made.any_product_thresholds[rate] >= threshold


def test_there_must_be_negatives_and_the_photos_of_the_manifest(
    recognizer: Recognizer, held_out: list[Photo]
) -> None:
    with pytest.raises(DatasetError, match="no photos"):
        run_photos(recognizer, [])
    with pytest.raises(DatasetError, match="sha256 is not that"):
        run_photos(recognizer, [replace(held_out[0], sha256="0" * 64)])
    ivory = [p for p in held_out if p.label == "ivory_worked"]
    with pytest.raises(DatasetError, match="without a product"):
        calibrated(recognizer.bundle, np.zeros((len(ivory), 4)), ivory)


def _run(bundle: Path, data: Path, name: str) -> Result:
    return invoke("calibrate", bundle, "--data", data, "--output", data / name)
