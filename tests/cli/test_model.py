import importlib.util
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from recognizer.cli import ExitCode, model, options
from recognizer.model.bundle import load_bundle, write_bundle
from recognizer.model.description import SelfTest
from recognizer.model.self_test import with_self_test
from tests.conftest import invoke, refuse, succeed
from tests.tiny import write_tiny_bundle

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bundle(tmp_path):
    folder = write_tiny_bundle(tmp_path / "tiny-v1")
    write_bundle(with_self_test(load_bundle(folder)))
    return folder


def test_a_sound_installation(bundle):
    done = succeed("doctor", bundle)
    for words in ("self-test:              passed", "onnxruntime:  ", "workers of a scan:  "):
        assert words in done.stdout


def test_a_model_that_says_something_else_here_or_was_changed(bundle):
    described = load_bundle(bundle)
    others = tuple(tuple(-value for value in row) for row in described.self_test.log_odds)
    write_bundle(replace(described, self_test=SelfTest(log_odds=others)))
    done = invoke("doctor", bundle, code=ExitCode.MODEL)
    assert "self-test:              failed" in done.stdout
    assert "do not use it here" in done.stderr
    (bundle / "model.onnx").write_bytes(b"")
    done = invoke("doctor", bundle, code=ExitCode.MODEL)
    assert "onnxruntime:  " in done.stdout
    assert "it was changed or is incomplete" in done.stderr


def test_a_broken_library(bundle, monkeypatch):
    monkeypatch.setitem(model._MODULES, "opencv-python-headless", "no_such_library")
    assert "opencv-python-headless: broken: No module named" in refuse("doctor", bundle).stderr


def test_missing_extras_say_how_to_install(bundle, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "pyarrow" else find_spec(name)
    )
    printed = invoke("doctor", bundle).stdout
    line = "not installed (Parquet tables; pip install 'wildlife-product-recognizer[parquet]')"
    assert f"extra parquet:          {line}" in printed
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    own = project["optional-dependencies"].keys() - {"dev", "docs", "renders"}
    assert options.EXTRAS.keys() == own
    brought = {e: " ".join(project["optional-dependencies"][e]) for e in own}
    for extra, (_, modules) in options.EXTRAS.items():
        for module in {"scipy", "pyarrow"} & {*modules}:
            assert module in brought[extra], extra
    assert "scipy" in options.EXTRAS["desk"][1]  # intervals of shares


def test_it_says_what_a_bundle_is_and_the_evidence_for_its_labels():
    bundle = load_bundle()
    done = succeed("info")
    assert f"digest:                 {bundle.digest}" in done.stdout
    assert "\nmade:  " in done.stdout
    assert "Not yet recognised, product: " in done.stdout
    lite = "tf_efficientnet_lite"
    assert f"{lite}0 and {lite}1" in done.stdout
    lines = {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith("│")}
    assert {*bundle.label_names} <= lines.keys()
    worked = next(label for label in bundle.labels if label.name == "ivory_worked")
    recall, test = worked.evidence.recall[0.01], worked.evidence.test
    shown = f"{test.photos} ({test.sources}) │ {recall}"  # as the card has it
    for part in ("product", "ivory", f"{worked.evidence.train.photos:,} (", shown):
        assert part in " ".join(lines["ivory_worked"].split())
