from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from recognizer import load_policy
from recognizer.cli import ExitCode, app
from recognizer.dataset.manifest import Photo
from recognizer.policy import FALSE_POSITIVE_RATES, Rate
from tests.labelled import write_manifest

TEAM = ("--photos-per-day", 10_000, "--reviewers", 2, "--cases-per-reviewer", 300)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["plan", *(str(argument) for argument in arguments)])


@pytest.fixture
def data(labelled_photos: list[Photo], tmp_path: Path) -> Path:
    """A manifest of red, green and blue photos of four sources each, all of the test split."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [
        {
            "sha256": photo.sha256,
            "file": str(photo.path),
            "label": photo.label,
            "source": f"{photo.label}/{i % 4}",
            "split": "test",
        }
        for i, photo in enumerate(labelled_photos)
    ]
    write_manifest(folder, rows)
    return folder


def test_a_bundle_alone_is_enough(tmp_path: Path) -> None:
    policy = tmp_path / "planned.toml"
    result = invoke("wildlife-v5", *TEAM, "--output", policy)
    assert result.exit_code == ExitCode.DONE, result.output
    assert "2 reviewers x 300 cases = 600 a day" in result.stdout
    assert "give labelled photos (--data)" in result.stdout
    assert load_policy(policy).default.review in {Rate(rate) for rate in FALSE_POSITIVE_RATES}
    assert load_policy(policy).name == "planned"
    plan = json.loads(invoke("wildlife-v5", *TEAM, "--json").stdout)
    assert plan["capacity"] == 600
    assert plan["steps"][plan["chosen"]]["queue"]["value"] <= 600
    # A plan may be made again in its place.
    assert invoke("wildlife-v5", *TEAM, "--output", policy).exit_code == ExitCode.DONE


def test_photos_are_scored_once(tiny_bundle: Path, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `evaluate` is not installed")
    scores, plot = tmp_path / "scores.csv", tmp_path / "plan.svg"
    result = invoke(tiny_bundle, *TEAM, "-d", data, "--scores", scores)
    assert result.exit_code == ExitCode.DONE, result.output
    assert "from 36 labelled photos of the test split" in result.stdout
    with scores.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 36
    assert {row["source"] for row in rows if row["label"] == "ceramic"} == {
        f"ceramic/{i}" for i in range(4)
    }
    again = (tiny_bundle, *TEAM, "--scores", scores, "--json")
    before = json.loads(invoke(*again).stdout)
    result = invoke(*again, "--plot", plot, "--one-threshold")
    assert result.exit_code == ExitCode.DONE, result.output
    assert plot.read_text().startswith("<?xml")
    after = json.loads(result.stdout)
    assert before["products"][0]["name"] == "ivory"
    assert before["products"][0]["recall"]["value"] == 1
    assert after["steps"][0]["levels"].keys() == {"any product"}


def test_a_plan_of_products(tiny_bundle: Path, data: Path) -> None:
    result = invoke(tiny_bundle, *TEAM, "-d", data, "--prevalence", "ivory=0.001")
    assert result.exit_code == ExitCode.DONE, result.output
    assert "0.1000% with a product" in result.stdout


def test_photos_of_ones_own_are_no_test_split(
    tiny_bundle: Path, labelled_photos: list[Photo]
) -> None:
    folder = labelled_photos[0].path.parents[1]
    result = invoke(tiny_bundle, *TEAM, "-d", folder)
    assert result.exit_code == ExitCode.USAGE
    assert "--split all" in result.stderr
    result = invoke(tiny_bundle, *TEAM, "-d", folder, "--split", "all")
    assert result.exit_code == ExitCode.DONE, result.output
    assert "come from one source" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--prevalence", "much"], "could not convert"),
        (["--prevalence", "2"], "from 0 to 1"),
        (["--prevalence", "nan"], "from 0 to 1"),
        (["--prevalence", "0.1", "--prevalence", "ivory=0.1"], "one SHARE, or a NAME=SHARE"),
        (["--prevalence", "unicorn=0.1"], "no such family"),
        (["--split", "train"], "test, validation or all"),
        (["--plot", "plan.gif"], "must end in .png or .svg"),
        (["--output", "nowhere/p.toml"], "make it first"),
        (["--scores", "missing.csv"], "missing.csv: No such file"),
    ],
)
def test_mistakes_are_told(options: list[str], words: str) -> None:
    result = invoke(*TEAM, *options)
    assert result.exit_code == ExitCode.USAGE
    assert words in result.stderr


def test_a_policy_that_somebody_wrote_is_not_overwritten(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text("review_rate = 0.01\n")
    result = invoke(*TEAM, "--output", own)
    assert result.exit_code == ExitCode.USAGE
    assert "will not be overwritten" in result.stderr
