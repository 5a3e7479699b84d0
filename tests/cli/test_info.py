from __future__ import annotations

import json
from pathlib import Path

from recognizer.cli import ExitCode
from recognizer.model.bundle import load_bundle
from recognizer.taxonomy import load_taxonomy
from tests.conftest import invoke
from tests.tiny import LABELS


def _sorted(line: str) -> str:
    head, colon, names = line.partition(": ")
    return head + colon + ", ".join(sorted(names.split(", ")))


def test_labels_have_kind_family_and_evidence() -> None:
    done = invoke("info")
    assert done.exit_code == ExitCode.DONE, done.stderr
    lines = {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith("│")}
    bundle = load_bundle()
    assert {*bundle.label_names} <= lines.keys()
    assert f"Not yet recognised, product: {', '.join(sorted(bundle.not_recognized))}" in (
        "\n".join(_sorted(line) for line in done.stdout.splitlines())
    )
    worked = next(label for label in bundle.labels if label.name == "ivory_worked")
    assert worked.evidence is not None
    recall, test = worked.evidence.recall[0.01], worked.evidence.test
    shown = f"{test.photos} ({test.sources}) │ {recall.value:.0%} ({recall.low:.0%} to"
    for part in (
        "product",
        "ivory",
        f"{worked.evidence.train.photos:,} (",
        " ".join(shown.split()),
    ):
        assert part in " ".join(lines["ivory_worked"].split())


def test_labels_as_json(tiny_bundle: Path) -> None:
    rows = json.loads(invoke("info", tiny_bundle, "--json").stdout)["labels"]
    assert {row["label"] for row in rows if row["recognized"]} == {*LABELS}
    assert {row["label"] for row in rows} == {*load_taxonomy().labels}
    raw = next(row for row in rows if row["label"] == "ivory_raw")
    assert (raw["kind"], raw["family"], raw["train"], raw["recall"]) == (
        *("product", "ivory"),
        *(None, None),
    )
    released = json.loads(invoke("info", "--json").stdout)["labels"]
    worked = next(row for row in released if row["label"] == "ivory_worked")
    assert worked["train"].keys() == {"photos", "sources", "patches"}
    assert 0 < worked["recall"]["low"] < worked["recall"]["value"] < worked["recall"]["high"] < 1


def test_info_says_what_a_bundle_is() -> None:
    bundle = load_bundle()
    done = invoke("info")
    assert done.exit_code == ExitCode.DONE, done.stderr
    assert f"digest:                 {bundle.digest}" in done.stdout
    assert "\nmade:  " in done.stdout
    about = json.loads(invoke("info", "--json").stdout)
    assert about["bundle"] == bundle.title
    assert about["network"] == bundle.model.backbone
    assert about["any_product_thresholds"]["0.01"] == bundle.any_product_thresholds[0.01]


def test_info_notices_a_changed_model(tiny_bundle: Path, tmp_path: Path) -> None:
    changed = tmp_path / "tiny-v1"
    changed.mkdir()
    for file in tiny_bundle.iterdir():
        (changed / file.name).write_bytes(file.read_bytes())
    with (changed / "model.onnx").open("ab") as file:
        file.write(b"\0")
    done = invoke("info", changed)
    assert done.exit_code == ExitCode.MODEL
    assert "it was changed or is incomplete" in done.stderr
