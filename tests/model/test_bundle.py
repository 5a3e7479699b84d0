from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recognizer.errors import (
    BundleDigestError,
    BundleError,
    BundleNotFoundError,
    BundleSchemaError,
)
from recognizer.model.bundle import Bundle, load_bundle, sigmoid, write_description
from recognizer.model.folders import DEFAULT_BUNDLE, find_bundle
from recognizer.taxonomy import Kind
from tests.tiny import LABELS, SIZE, write_tiny_bundle


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return load_bundle(tiny_bundle)


def test_what_a_bundle_says(bundle: Bundle) -> None:
    assert bundle.title == "tiny-v1"
    assert bundle.label_names == LABELS
    assert bundle.input_size == SIZE
    assert bundle.labels[0].kind is Kind.PRODUCT
    assert bundle.labels[0].thresholds["0.01"] == 0.5
    assert bundle.labels[2].thresholds == {}
    assert [family.members for family in bundle.families] == [("ivory_worked", "ivory_raw")]
    assert bundle.not_recognized == ("rhino_horn",)
    assert len(bundle.digest) == 64
    assert bundle.read_model()


def test_calibration(bundle: Bundle) -> None:
    log_odds = np.array([[-800.0, 0.0, 2.0, 800.0]])
    found = bundle.calibrate(log_odds)
    assert found.dtype == np.float64
    assert np.allclose(found, [[0, 0.5, 1 / (1 + math.exp(-2)), 1]])
    assert np.isfinite(sigmoid(np.array([-1e308, 1e308]))).all()


def test_a_curve_is_served_as_it_was_written(tmp_path: Path) -> None:
    knots = [[-1.0, -2.0], [1.0, 0.0], [2.0, 3.0]]

    def bend(description: dict[str, Any]) -> None:
        description["labels"][1]["calibration"] = {"slope": 0.5, "knots": knots}

    bundle = load_bundle(changed(tmp_path, bend))
    log_odds = np.array([[0.0, x, 0.0, 0.0] for x in (-3.0, -1.0, 0.0, 1.5, 2.0, 4.0)])
    found = bundle.calibrate(log_odds)
    assert np.allclose(found[:, 1], sigmoid(np.array([-3.0, -2.0, -1.0, 1.5, 3.0, 4.0])))
    assert np.allclose(found[:, 0], 0.5)


def test_of_schema_2_the_digest_covers_all_that_decides(tmp_path: Path) -> None:
    """Scans name the digest: the same network with other thresholds must not pass for the same."""
    old = load_bundle(write_tiny_bundle(tmp_path / "old"))
    assert old.digest == old.model_digest
    changes: dict[str, Callable[[dict[str, Any]], object]] = {
        "nothing": lambda d: None,
        "a word": lambda d: d.update(license="other"),
        "calibration": lambda d: d["labels"][0]["calibration"].update(intercept=0.1),
        "threshold": lambda d: d["labels"][0]["thresholds"].update({"0.01": 0.51}),
        "family": lambda d: d["families"][0].update(members=["ivory_raw"]),
        "photo": lambda d: d["photo_thresholds"].update({"0.01": 0.51}),
    }
    digests = {}
    for name, change in changes.items():
        folder = changed(tmp_path / name, lambda d: d.update(schema=2))
        bundle = load_bundle(changed_again(folder, change))
        assert bundle.model_digest == old.digest
        assert bundle.read_model()
        digests[name] = bundle.digest
    assert digests["nothing"] == digests["a word"]
    assert len(set(digests.values())) == len(digests) - 1
    assert old.digest not in digests.values()


def test_a_family_is_seen_where_any_member_is(bundle: Bundle) -> None:
    found = bundle.family_scores(np.array([[0.5, 0.5, 0.9, 0.9], [1.0, 0.0, 0, 0]]))
    assert np.allclose(found, [[0.75], [1.0]])


def test_a_bundle_without_families(tmp_path: Path) -> None:
    bundle = load_bundle(changed(tmp_path, lambda d: d.update(families=[])))
    assert bundle.family_scores(np.zeros((3, 4))).shape == (3, 0)


# --- finding ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["nothing", "../x", "..", ".", "", "/", "a/../b", "wildlife-v2/..", "nul\0", "*"]
)
def test_a_name_leads_nowhere_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle beside the shelf, or above it, is not found by a name."""
    shelf = tmp_path / "package" / "export"
    write_tiny_bundle(shelf / "on-the-shelf")
    write_tiny_bundle(tmp_path / "package" / "x")
    (tmp_path / "package" / "bundle.json").write_text("{}")
    (tmp_path / "package" / "recognizer").mkdir()
    here = str(tmp_path / "package/recognizer/model/folders.py")
    monkeypatch.setattr("recognizer.model.folders.__file__", here)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert find_bundle("on-the-shelf") == shelf / "on-the-shelf"
    with pytest.raises(BundleNotFoundError, match="on-the-shelf"):
        find_bundle(name)


def test_a_folder_is_taken_as_it_is(tiny_bundle: Path) -> None:
    assert find_bundle(tiny_bundle) == tiny_bundle
    assert find_bundle(str(tiny_bundle)) == tiny_bundle


def test_a_folder_that_hides_a_bundle_of_the_package_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a folder of that name would quietly serve in its place."""
    monkeypatch.chdir(tmp_path)
    write_tiny_bundle(tmp_path / DEFAULT_BUNDLE)
    with pytest.raises(BundleNotFoundError, match="a folder here and a bundle of this package"):
        find_bundle(DEFAULT_BUNDLE)
    assert find_bundle(f"./{DEFAULT_BUNDLE}") == Path(DEFAULT_BUNDLE)
    assert find_bundle(None) != Path(DEFAULT_BUNDLE)
    monkeypatch.chdir(find_bundle(None).parent)
    assert find_bundle(DEFAULT_BUNDLE).samefile(find_bundle(None))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["photo_thresholds"].update({"0.01": 0.0}),
        lambda d: d["labels"][0]["calibration"].update(intercept=9.0),
    ],
)
def test_numbers_that_were_changed_by_hand_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    folder = write_tiny_bundle(tmp_path)
    write_description(folder, json.loads((folder / "bundle.json").read_text()) | {"schema": 2})
    load_bundle(folder)
    changed_again(folder, change)
    with pytest.raises(BundleDigestError, match="recognizer calibrate"):
        load_bundle(folder)


def test_the_model_may_be_missing(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path)
    (folder / "model.onnx").unlink()
    with pytest.raises(BundleNotFoundError, match=r"model\.onnx"):
        load_bundle(folder).read_model()


# --- refusing ---------------------------------------------------------------------------------


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A tiny bundle whose description was changed."""
    return changed_again(write_tiny_bundle(folder), change)


def changed_again(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    description = json.loads((folder / "bundle.json").read_text())
    change(description)
    (folder / "bundle.json").write_text(json.dumps(description))
    return folder


BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "a schema to come": lambda d: d.update(schema=3),
    "schema nought": lambda d: d.update(schema=0),
    "a schema of words": lambda d: d.update(schema="1"),
    "no schema": lambda d: d.pop("schema"),
    "no name": lambda d: d.pop("name"),
    "no version": lambda d: d.pop("version"),
    "version of words": lambda d: d.update(version="one"),
    "no model": lambda d: d.pop("model"),
    "no digest": lambda d: d["model"].clear(),
    "no input": lambda d: d.pop("input"),
    "no size": lambda d: d["input"].pop("size"),
    "size zero": lambda d: d["input"].update(size=0),
    "no preprocessing": lambda d: d["input"].pop("preprocessing"),
    "another preprocessing": lambda d: d["input"].update(preprocessing=99),
    "no activation": lambda d: d.pop("activation"),
    "another activation": lambda d: d.update(activation="relu"),
    "no labels": lambda d: d.update(labels=[], families=[]),
    "labels of words": lambda d: d.update(labels=["ivory"]),
    "labels as a number": lambda d: d.update(labels=3),
    "a label twice": lambda d: d["labels"].append(d["labels"][0]),
    "an unknown kind": lambda d: d["labels"][0].update(kind="animal product"),
    "no calibration": lambda d: d["labels"][0].pop("calibration"),
    "calibration that is no number": lambda d: d["labels"][0]["calibration"].update(slope="steep"),
    "calibration NaN": lambda d: d["labels"][0]["calibration"].update(intercept=math.nan),
    "calibration upside down": lambda d: d["labels"][0]["calibration"].update(slope=-1),
    "no knots": lambda d: d["labels"][0]["calibration"].update(knots=[]),
    "a knot of one number": lambda d: d["labels"][0]["calibration"].update(knots=[[1]]),
    "a flat step": lambda d: d["labels"][0]["calibration"].update(knots=[[0, 1], [1, 1]]),
    "knots out of order": lambda d: d["labels"][0]["calibration"].update(knots=[[1, 0], [0, 1]]),
    "a knot NaN": lambda d: d["labels"][0]["calibration"].update(knots=[[0, math.nan]]),
    "no thresholds": lambda d: d["labels"][0].pop("thresholds"),
    "thresholds as a list": lambda d: d["labels"][0].update(thresholds=[0.5]),
    "a threshold missing": lambda d: d["labels"][0]["thresholds"].pop("0.01"),
    "threshold NaN": lambda d: d["labels"][0]["thresholds"].update({"0.01": math.nan}),
    "no photo thresholds": lambda d: d.pop("photo_thresholds"),
    "no families": lambda d: d.pop("families"),
    "a family of strangers": lambda d: d["families"][0].update(members=["coral"]),
    "a family of nobody": lambda d: d["families"][0].update(members=[]),
    "a family threshold missing": lambda d: d["families"][0].update(thresholds={}),
    "no list of the unknown": lambda d: d.pop("not_recognized"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_description_is_a_schema_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(BundleSchemaError, match=r"bundle\.json"):
        load_bundle(changed(tmp_path, BROKEN[name]))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '"words"', "[" * 100_000, "\xff"],
    ids=lambda t: t[:3] or "-",
)
def test_an_unreadable_description_is_a_schema_error(text: str, tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    (tmp_path / "bundle.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleSchemaError):
        load_bundle(tmp_path)


@pytest.mark.parametrize("change", [lambda b: b + b"\0", lambda b: b[:-1], lambda _: b""])
def test_another_model_is_a_digest_error(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path)
    model = folder / "model.onnx"
    model.write_bytes(change(model.read_bytes()))
    with pytest.raises(BundleDigestError, match="changed or is incomplete"):
        load_bundle(folder).read_model()


def test_all_of_them_are_bundle_errors() -> None:
    for error in (BundleNotFoundError, BundleDigestError, BundleSchemaError):
        assert issubclass(error, BundleError)
