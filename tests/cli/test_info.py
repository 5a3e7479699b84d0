from pathlib import Path

from recognizer.cli import ExitCode
from recognizer.model.bundle import load_bundle
from tests.conftest import invoke, succeed
from tests.tiny import write_tiny_bundle


def test_it_says_what_a_bundle_is_and_the_evidence_for_its_labels() -> None:
    bundle = load_bundle()
    done = succeed("info")
    assert f"digest:                 {bundle.digest}" in done.stdout
    assert "\nmade:  " in done.stdout
    assert "Not yet recognised, product: " in done.stdout
    lite = "tf_efficientnet_lite"
    assert f"{lite}0, then {lite}0 and {lite}1 and {lite}2" in done.stdout
    lines = {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith("│")}
    assert {*bundle.label_names} <= lines.keys()
    worked = next(label for label in bundle.labels if label.name == "ivory_worked")
    recall, test = worked.evidence.recall[0.01], worked.evidence.test
    shown = f"{test.photos} ({test.sources}) │ {recall}"  # as the card has it
    for part in ("product", "ivory", f"{worked.evidence.train.photos:,} (", shown):
        assert part in " ".join(lines["ivory_worked"].split())


def test_a_changed_model_is_noticed(tmp_path: Path) -> None:
    changed = write_tiny_bundle(tmp_path / "tiny-v1")
    with (changed / "model.onnx").open("ab") as file:
        file.write(b"\0")
    for done in (invoke("info", changed), invoke("scan", "x.jpg", "--model", changed)):
        assert done.exit_code == ExitCode.MODEL
        assert "it was changed or is incomplete" in done.stderr
