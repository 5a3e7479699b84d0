"""The loop from a scan over what reviewers find to a better one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recognizer.cli import ExitCode
from recognizer.policy import Policy
from recognizer.review.outcomes import Occasion
from tests.conftest import encoded, invoke, picture
from tests.review.outcomes import outcome, store
from tests.rows.rows import read_scan


def write_photos(folder: Path, seed: int, **colors: int) -> Path:
    folder.mkdir()
    for color, count in colors.items():
        for i in range(count):
            path = folder / f"{color}-{i:03}.jpg"
            path.write_bytes(encoded(picture(color, seed=seed + i)))
    return folder


def scan(folder: Path, bundle: Path, output: Path) -> Path:
    """Scan with an audit sample of all that is clear."""
    options = ("--bundle", bundle, "--output", output, "--audit-rate", 1)
    done = invoke("scan", folder, *options, "--workers", 1)
    assert done.exit_code == ExitCode.DONE, done.output
    return output


def review(team: Path, scanned: Path, product_of: dict[str, str], wrong: int = 0) -> None:
    """Say of each photo what its colour stands for; of the first ``wrong`` ones that it does not.

    Photos of a colour that stands for no product are rejected.
    """
    outcomes = []
    for row in sorted(read_scan(scanned), key=lambda row: row.source):
        label = product_of.get(Path(row.source).name.partition("-")[0])
        if label is not None and int(Path(row.source).stem[-3:]) < wrong:
            label = None
        occasion = Occasion.REVIEW if row.audit is None else Occasion.AUDIT
        about = {"sha256": row.sha256, "label": label, "occasion": occasion}
        outcomes.append(outcome("rejected" if label is None else "confirmed", **about))
    store(team, outcomes)


def measured(scanned: Path, team: Path) -> dict[str, Any]:
    done = invoke("measure", scanned, "--outcomes", team, "--json")
    assert done.exit_code == ExitCode.DONE, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_reviewers_find_makes_the_next_scan_better(tmp_path: Path, tiny_bundle: Path) -> None:
    """Scan, decide, measure, enrol what was missed, scan again: on photos that are new."""
    pytest.importorskip("onnx")
    product_of = {"red": "ivory_worked", "blue": "rhino_horn"}  # of which the model knows one
    team = tmp_path / "team.sqlite"
    first = write_photos(tmp_path / "monday", 0, red=3, blue=5, green=40, gray=40)
    monday = scan(first, tiny_bundle, tmp_path / "monday.sqlite")
    review(team, monday, product_of)
    decided = tmp_path / "decided"
    written = invoke("outcomes", "dataset", monday, decided, "--outcomes", team)
    assert written.exit_code == ExitCode.DONE
    made = tmp_path / "better-v2"
    negatives = ("--negatives", decided / "listing_other", "--negatives", decided / "ivory_worked")
    options = (*negatives, "--bundle", tiny_bundle, "--output", made)
    done = invoke("enroll", "rhino_horn", decided / "rhino_horn", *options)
    assert done.exit_code == ExitCode.DONE, done.output

    second = write_photos(tmp_path / "tuesday", 500, red=4, blue=8, green=20, gray=20)
    before = scan(second, tiny_bundle, tmp_path / "before.sqlite")
    after = scan(second, made, tmp_path / "after.sqlite")
    review(team, before, product_of)
    figures = [measured(scanned, team) for scanned in (before, after)]
    recalls = [one["misses"]["recall"]["value"] for one in figures]
    assert recalls[0] == pytest.approx(4 / 12)
    assert recalls[1] == 1
    assert all(one["precision"][0]["precision"]["value"] == 1 for one in figures)


def test_thresholds_come_from_a_scan(tmp_path: Path, tiny_bundle: Path) -> None:
    """Of 24 red photos 12 are worked ivory, which the model takes all of them for."""
    chosen = tmp_path / "chosen.toml"
    folder = write_photos(tmp_path / "photos", 0, red=24, green=40, gray=40)
    scanned = scan(folder, tiny_bundle, tmp_path / "scan.sqlite")
    review(scanned, scanned, {"red": "ivory_worked"}, wrong=12)
    options = ("--scan", scanned, "--bundle", tiny_bundle, "--output", chosen)
    done = invoke("thresholds", *options, "--precision", 0.285)
    assert done.exit_code == ExitCode.DONE, done.output
    assert "104 images, 104 of them decided" in " ".join(chosen.read_text().split())
    assert Policy.load(chosen).name == "chosen"
    done = invoke("thresholds", *options, "--precision", 0.9, "--json")
    assert json.loads(done.stdout)["chosen"] is None  # half of them were rejected
    assert Policy.load(chosen).rules == {}
