import math
import os
from dataclasses import replace

import pytest

from recognizer.errors import BundleDigestError, BundleNotFoundError, BundleSchemaError
from recognizer.model.bundle import bundles_behind, load_bundle, write_bundle
from recognizer.model.folders import DEFAULT_BUNDLE, find_bundle
from recognizer.model.self_test import TOLERANCE, self_test, with_self_test
from tests.tiny import change_by_hand, edit_description, write_tiny_bundle


def test_the_digest_covers_all_that_decides(tmp_path):
    """Scans name the digest: the same network with other thresholds must not pass for the same."""
    changes = {
        "nothing": lambda d: None,
        "a word": lambda d: d.update(license="other"),
        "calibration": lambda d: d["labels"][0]["calibration"].update(slope=1.1),
        "threshold": lambda d: d["labels"][0]["thresholds"].update({"0.01": 0.51}),
        "family": lambda d: d["families"][0].update(members=["ivory_raw"]),
        "any product": lambda d: d["any_product_thresholds"].update({"0.01": 0.51}),
    }
    digests = {
        name: load_bundle(edit_description(write_tiny_bundle(tmp_path / name), change)).digest
        for name, change in changes.items()
    }
    assert digests["nothing"] == digests["a word"]
    assert len(set(digests.values())) == len(digests) - 1
    for name in changes:
        assert load_bundle(tmp_path / name).read_model()


def test_what_was_read_is_written(bundle, tmp_path):
    for original in (bundle, load_bundle()):
        copy = replace(original, path=tmp_path)
        write_bundle(copy)
        assert load_bundle(tmp_path) == copy
        assert copy.digest == original.digest


@pytest.mark.parametrize(
    "name", ["nothing", "../x", "..", ".", "", "/", "a/../b", "wildlife-v7/..", "nul\0", "*"]
)
def test_a_name_leads_nowhere(name, tmp_path, monkeypatch):
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


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["any_product_thresholds"].update({"0.01": 0.0}),
        lambda d: d["labels"][0]["calibration"].update(slope=9.0),
        lambda d: d.pop("digest"),
        lambda d: d.update(digest=None),
    ],
)
def test_numbers_that_were_changed_by_hand_are_refused(tmp_path, change):
    with pytest.raises(BundleDigestError, match="export it again"):
        load_bundle(changed(tmp_path, change))


@pytest.mark.parametrize("name", ["model.onnx", "bundle.json"])
def test_a_pipe_is_refused_and_not_waited_for(name, tmp_path):
    folder = write_tiny_bundle(tmp_path)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)

    with pytest.raises(BundleNotFoundError):
        load_bundle(folder).read_model()


def test_the_bundles_of_the_package_are_loaded_but_for_those_that_cannot_be_read(
    tmp_path, monkeypatch
):
    folders = {
        "old-v1": changed(tmp_path / "old-v1", lambda d: d.update(schema=1)),
        "a-v1": write_tiny_bundle(tmp_path / "a-v1", name="a"),
        DEFAULT_BUNDLE: write_tiny_bundle(tmp_path / DEFAULT_BUNDLE),
    }
    monkeypatch.setattr("recognizer.model.bundle.carried_bundles", lambda: folders)
    assert [bundle.name for bundle in bundles_behind(None)] == ["tiny", "a"]


def changed(folder, change):
    """A tiny bundle whose description was changed by hand."""
    return change_by_hand(write_tiny_bundle(folder), change)


BROKEN = {
    "a schema to come": lambda d: d.update(schema=5),
    "a schema without a digest": lambda d: (d.update(schema=1), d.pop("digest")),
    "no schema": lambda d: d.pop("schema"),
    "no version": lambda d: d.pop("version"),
    "size zero": lambda d: d["input"].update(size=0),
    "another preprocessing": lambda d: d["input"].update(preprocessing=99),
    "another activation": lambda d: d.update(activation="relu"),
    "no labels": lambda d: d.update(labels=[], families=[]),
    "a label twice": lambda d: d["labels"].append(d["labels"][0]),
    "an unknown kind": lambda d: d["labels"][0].update(kind="animal product"),
    "no calibration": lambda d: d["labels"][0].pop("calibration"),
    "calibration NaN": lambda d: d["labels"][0]["calibration"].update(intercept=math.nan),
    "calibration upside down": lambda d: d["labels"][0]["calibration"].update(slope=-1),
    "a threshold missing": lambda d: d["labels"][0]["thresholds"].pop("0.01"),
    "threshold NaN": lambda d: d["labels"][0]["thresholds"].update({"0.01": math.nan}),
    "a family of strangers": lambda d: d["families"][0].update(members=["coral"]),
    "a family of nobody": lambda d: d["families"][0].update(members=[]),
    "a step of no known kind": lambda d: d.update(lineage=[{"step": "guessed"}]),
    "an escape in its name": lambda d: d.update(name="x\x1b[2J\x07"),
    "an escape in its schema": lambda d: d.update(schema="\x9b2J"),
    "an escape in a key": lambda d: d.update({"taxonomy": {"\x1b[2J": {}}}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_description_is_a_schema_error(name, tmp_path):
    with pytest.raises(BundleSchemaError, match=r"bundle\.json"):
        load_bundle(changed(tmp_path, BROKEN[name]))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '"words"', "[" * 100_000, "\xff"],
    ids=lambda t: t[:3] or "-",
)
def test_an_unreadable_description_is_a_schema_error(text, tmp_path):
    write_tiny_bundle(tmp_path)
    (tmp_path / "bundle.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleSchemaError):
        load_bundle(tmp_path)


@pytest.mark.parametrize("change", [lambda b: b + b"\0", lambda b: b[:-1], lambda _: b""])
def test_another_model_or_a_missing_one_is_reported(change, tmp_path):
    folder = write_tiny_bundle(tmp_path)
    model = folder / "model.onnx"
    model.write_bytes(change(model.read_bytes()))
    with pytest.raises(BundleDigestError, match="changed or is incomplete"):
        load_bundle(folder).read_model()
    model.unlink()
    with pytest.raises(BundleNotFoundError, match=r"model\.onnx"):
        load_bundle(folder).read_model()


def test_a_model_says_what_was_recorded_of_it(tiny_bundle, tmp_path):
    bundle = load_bundle(tiny_bundle)
    assert self_test(bundle) is None
    tested = with_self_test(bundle)
    assert tested.digest == bundle.digest
    assert self_test(tested) == pytest.approx(0, abs=1e-4)
    assert tested.self_test is not None
    write_bundle(replace(tested, path=tmp_path))
    assert load_bundle(tmp_path).self_test == tested.self_test


def test_the_released_model_gives_its_recorded_scores():
    assert self_test(load_bundle()) <= TOLERANCE
