"""Promises of the repository as a whole, and the site of its documentation."""

import hashlib
import json
import re
import tomllib
from pathlib import Path

import pytest

import recognizer
from tests import budget

ROOT = Path(__file__).parents[1]
IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic"}


def tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    return budget.tracked()


def test_every_picture_is_one_that_the_project_made():
    lists = ("datasets/samples/samples", "docs/pictures/renderings", "export/pictures")
    entries = [entry for name in lists for entry in json.loads((ROOT / f"{name}.json").read_text())]
    listed = {entry["sha256"] for entry in entries}
    for path in tracked():
        if path.suffix.lower() in IMAGES:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            assert digest in listed, f"{path.relative_to(ROOT)} is in no list"


def test_notebooks_carry_no_outputs():
    """Outputs may hold photos of others."""
    notebooks = [path for path in tracked() if path.suffix == ".ipynb"]
    assert notebooks
    for path in notebooks:
        for cell in json.loads(path.read_text())["cells"]:
            kept = [cell.get(key) for key in ("attachments", "outputs", "execution_count")]
            assert not any(kept), (path.name, cell.get("id"))


def anchors(page):
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text).strip().lower().replace(" ", "-") for text in headings}


def test_links_and_paths_of_the_pages_lead_somewhere():
    for page in tracked():
        if page.suffix not in {".md", ".ipynb"}:
            continue
        text = page.read_text(encoding="utf-8")
        folders = "recognizer|tests|benchmarks|datasets|docs|export"
        paths = re.findall(rf"`((?:{folders})/[\w/.-]+)`", text)
        missing = [path for path in paths if not (ROOT / path).exists()]
        for link, anchor in re.findall(r"\]\(([^)#\s:]*)(?:#([\w-]+))?\)", text):
            target = page.parent / link if link else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                missing.append(f"{link}#{anchor}")
        assert missing == [], page.relative_to(ROOT)


def test_every_page_of_the_site_is_in_its_menu():
    docs = ROOT / "docs"
    menu = set(re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8")))
    made = set(re.findall(r'": "([\w-]+\.md)"', (docs / "hooks.py").read_text("utf-8")))
    assert {page.name for page in docs.glob("*.md")} | made == menu


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_the_version_is_said_once():
    cited = re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited == [recognizer.__version__]
    headings = re.findall(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == recognizer.__version__


def test_files_of_the_repository_are_of_no_one_machine():
    assert [path for path in tracked() if path.is_symlink()] == []
    folders = "|".join(["/home/[a-z]+/", "/root/", "/work/(?!scan)", r"\.\./sha" "red"])
    for path in tracked():
        if path.suffix in {".md", ".toml", ".yml", ".yaml", ".cff", ".ipynb"} or not path.suffix:
            found = re.findall(rf"(?<![\w.])(?:{folders})", path.read_text("utf-8"))
            assert found == [], path.relative_to(ROOT)


def test_constraints_are_names_and_versions_alone_and_of_all_that_make_installs():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [re.fullmatch(r"([a-z0-9-]+)==[\w.]+( ; .*)?", line) for line in lines if line[0] != "#"]
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = PROJECT["project"]["dependencies"] + extras["dev"] + extras["docs"] + extras["lab"]
    names = {re.split(r"[\[>]", line)[0] for line in wanted} - {PROJECT["project"]["name"]}
    assert names <= {pin[1] for pin in pins if pin}
    assert all(pins)
