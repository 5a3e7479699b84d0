"""Every command that makes a bundle against every command that uses one.

A bundle is exported from a tiny network; then it is given a product, and another one.
"""

import pytest

from recognizer.model.bundle import load_bundle
from recognizer.model.description import Enrolled, Exported
from tests.conftest import read_rows, succeed, write_pictures
from tests.labelled import write_recipe, write_split_photos

PRODUCTS = ("rhino_horn", "seahorse")  # that are enrolled, one after the other


@pytest.fixture(scope="module", autouse=True)
def _few_negatives_are_enough():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recognizer.lab.enrolment.enroll.MIN_NEGATIVES", 3)
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("makers")


@pytest.fixture(scope="module")
def data(place):
    return write_split_photos(place / "data")


@pytest.fixture(scope="module")
def photos(place):
    """Product -> a folder with photos of it, which no network has seen."""
    return {
        name: write_pictures(place / name, *["gray"] * 3, seed=1000 + 10 * number)
        for number, name in enumerate(("rhino_horn", "seahorse", "coral"))
    }


@pytest.fixture(scope="module")
def bundles(place, data, photos):
    """Enrolments after the export -> the bundle."""
    recipe = write_recipe(place / "recipe.toml", photos=8, folds=2)
    succeed("train", recipe, "--data", data, "--output", place / "run")
    given = ("--output", place / "tiny-v1", "--license", "CC0-1.0")
    succeed("export", place / "run", "--data", data, *given)
    made = {"": place / "tiny-v1"}
    for count, product in enumerate(PRODUCTS, 1):
        parent, output = made[" ".join(PRODUCTS[: count - 1])], place / f"tiny-v{count + 1}"
        succeed("enroll", product, photos[product], "--model", parent, "--output", output)
        made[" ".join(PRODUCTS[:count])] = output
    return made


@pytest.fixture(params=range(len(PRODUCTS) + 1))
def made(request, bundles):
    return request.param, load_bundle(bundles[" ".join(PRODUCTS[: request.param])])


def test_its_lineage_is_what_was_done(made, bundles):
    count, bundle = made
    first, *steps = bundle.lineage
    assert isinstance(first, Exported)
    assert [step.label for step in steps] == [*PRODUCTS[:count]]
    if steps:
        assert isinstance(steps[-1], Enrolled)
        parent = load_bundle(bundles[" ".join(PRODUCTS[: count - 1])])
        assert (bundle.lineage[:-1], steps[-1].parent) == (parent.lineage, parent.reference)
    assert (bundle.evaluation is None) == bool(steps)
    assert bundle.negatives is not None
    assert bundle.license == "CC0-1.0"
    assert len(bundle.enrolled_photos()) == 3 * count


def test_everything_works_with_it(made, data, photos, tmp_path):
    _, bundle = made
    assert "ivory_worked" in succeed("evaluate", bundle.path, "--data", data, "--rounds", 5).stdout
    scan, report = tmp_path / "scan.sqlite", tmp_path / "report.html"
    succeed("scan", photos["coral"], "--model", bundle.path, "--output", scan, "--workers", 1)
    rows = read_rows(scan)
    assert {row["model"]["digest"] for row in rows} == {bundle.digest}
    assert set(rows[0]["scores"]) == set(bundle.label_names)
    succeed("report", scan, "--model", bundle.path, "--output", report)
    assert bundle.title in report.read_text()
    told = succeed("enroll", "coral", photos["coral"], "--model", bundle.path, "--check")
    assert told.stdout.startswith("coral: 3 photos of 1 source")
