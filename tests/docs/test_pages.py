"""Every block of README and documentation that is Python or runs ``recognizer`` is executed.

Each page is run from top to bottom in a folder of its own with what the pages speak of. A block
that cannot be run here says why in a comment above it: ``<!-- not run: needs a GPU -->``; one that
another test runs names it: ``<!-- run by: tests/docs/test_ray.py -->``.
"""

import csv
import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from benchmarks.pictures import PICTURES, draw_precision
from recognizer import load_bundle
from recognizer.cli import ExitCode
from recognizer.policy.values import Policy
from tests.conftest import invoke, read_rows
from tests.docs.blocks import PAGES, ROOT, blocks
from tests.docs.runner import Runner
from tests.docs.world import SAMPLES, TINTS, write_world
from tests.labelled import carry_small_recipe

BLOCKS = [block for page in PAGES for block in blocks(page)]
GUIDE, PRACTICE = ROOT / "docs/own-photos.md", ROOT / "docs/practice.md"
NAMES = ("data", "evaluation", "training")
NEED_TRAINING = [ROOT / "README.md", *(ROOT / f"docs/{name}.md" for name in NAMES)]
"""Pages with commands that need a data folder or a trained bundle."""
MAX_NOT_RUN = 8


def run_here(page):
    """Return the blocks of a page that this module runs."""
    return [b for b in BLOCKS if b.page == page and not (b.not_run or b.run_by)]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The folder in which every page begins; its scan knows the photos by their place there."""
    folder = tmp_path_factory.mktemp("world") / "here"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_world(folder)
    return shutil.copytree(folder, folder.with_name("as-written"))


def run(runner, page):
    """Run a page in the current folder; the policies that it shows lie there as files."""
    for block in run_here(page):
        if block.language == "toml" and "review_" in block.text:
            name = tomllib.loads(block.text).get("name", "policy")
            Path(f"{name}.toml").write_text(block.text)
        if block.language == "toml" and block.text.startswith("[label."):
            Path("photos/taxonomy.toml").write_text(block.text)
        runner.run(block)


@pytest.mark.parametrize(
    "page",
    [
        p
        for p in PAGES
        if any(b.lines or b.has_code for b in run_here(p))
        and p not in {GUIDE, PRACTICE, *NEED_TRAINING}
    ],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_a_page_runs(page, world, monkeypatch):
    shutil.rmtree(here := world.with_name("here"))
    shutil.copytree(world, here)
    monkeypatch.chdir(here)
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    run(Runner(), page)


def test_the_page_on_practice_runs(tmp_path, monkeypatch):
    """From listings to a verified case, on the tables that it shows."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SAMPLES, "photos")
    tables = [block for block in blocks(PRACTICE) if block.language == "csv"]
    for name, table in zip(("listings.csv", "verdicts.csv"), tables, strict=True):
        Path(name).write_text(table.text, encoding="utf-8")
    run(runner := Runner(), PRACTICE)
    first, *others = csv.DictReader(Path("by-listing.csv").read_text().splitlines())
    assert first["listing"] == "L1"  # words, reports and its photos say so
    clear = {row["listing"] for row in others if row["decision"] == "clear"}
    assert {*re.findall(r",audit,(L\d)", Path("verdicts.csv").read_text())} == clear
    figures = json.loads(Path("figures.json").read_text())
    assert min(figures["decided"], figures["misses"]["audited"]) >= 1
    assert "its files agree with its digest" in runner.printed["recognizer verify case-L1"]
    assert [*Path("case-L1/data/heatmaps").glob("*.png")]
    assert "(known) 1.000" in str(runner.printed)
    wanted = ("thresholds", "--scan", "scan.sqlite", "--policy", "mine.toml", "--precision", "0.5")
    few = invoke(*wanted, "--output", "next.toml", code=ExitCode.SOME_FAILED)
    assert "No threshold was chosen; next.toml was not written" in few.stderr


def test_the_pages_about_training_run(world, tmp_path, monkeypatch):
    """The guide first; the other pages begin with what it has made, and do not train again.

    The recipe is the default one with a small network of random weights in place of its own.
    """
    trained = tmp_path / "trained"
    shutil.copytree(world, trained)
    monkeypatch.chdir(trained)
    carry_small_recipe(trained, monkeypatch)
    guide = Runner()
    run(guide, GUIDE)
    check_guide(trained, guide)
    shutil.copytree("runs/mine", "runs/before")  # that a page compares with
    for page in NEED_TRAINING:
        shutil.copytree(trained, tmp_path / page.stem)
        monkeypatch.chdir(tmp_path / page.stem)
        run(Runner(skip=set(guide.printed)), page)


def check_guide(folder, runner):
    """The guide to training does what it says."""
    printed = {" ".join(line.split()[1:3]): text for line, text in runner.printed.items()}
    assert "Layout: a folder for each label" in printed["dataset split"]
    assert "small-cpu: 36 photos of 3 labels" in printed["train --data"]
    assert "any product" in printed["evaluate bundles/own-v1"]
    assert "Whale tooth" in (folder / "queue.html").read_text("utf-8")
    for row in read_rows(folder / "own.sqlite"):
        assert row["scores"].keys() == TINTS.keys()
    assert all(r["policy"]["name"] == "policy" for r in read_rows(folder / "strict.sqlite"))
    assert "3 labels" in invoke("info", "bundles/own-v1").stdout


def test_rates_agree_between_the_pages_the_card_and_why():
    """Nominal rates are those of the default policy, measured ones those of the card."""
    bundle, (review, priority) = load_bundle(), (Policy().default.review, Policy().default.priority)
    pages = ("README.md", "docs/scan.md", "docs/experiments.md", f"{bundle.path}/MODEL_CARD.md")
    readme, scan, experiments, card = (" ".join((ROOT / p).read_text().split()) for p in pages)
    sent = re.search(r"it sends ([\d.]+) % \(([\d.]+)-([\d.]+)\)", card).groups()
    measured = "{:.1f} % ({:.1f}-{:.1f})".format(*map(float, sent))
    assert f"becomes a lead in {measured}**" in readme
    assert f"the released model sent {measured} to review" in scan
    leads, photos = re.search(r"\| product \| (\d+) \(\d+\) \| (\d+):", card).group(2, 1)
    assert f"sends {leads} of the {photos} products to review" in experiments
    (words,) = draw_precision().axes[0].get_legend().get_texts()
    assert f"<!-- {words.get_text()} -->" in (PICTURES / "precision.svg").read_text()
    for name, rate in (("review", review), ("priority", priority)):
        row = rf"`{name}` \| over the threshold for a [^|]* of ([\d.]+) % \|"
        (nominal,) = re.findall(row, scan)
        assert float(nominal) == pytest.approx(100 * rate.value)
    (nominal,) = re.findall(r"set such that ([\d.]+) % of the photos without one", card)
    assert float(nominal) == 100 * review.value


def test_few_blocks_are_not_run():
    left_out = [block for block in BLOCKS if block.has_code and block.not_run]
    assert len(left_out) <= MAX_NOT_RUN, [(b.page.name, b.not_run) for b in left_out]
    for path in {b.run_by for b in BLOCKS if b.run_by}:
        assert (ROOT / path).is_file(), path
