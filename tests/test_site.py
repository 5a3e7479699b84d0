"""The site of the documentation: every page is in its menu, and the examples of the guides run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_every_page_is_in_the_menu() -> None:
    menu = set(re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8")))
    assert {page.name for page in DOCS.glob("*.md")} == menu


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (DOCS / link).exists()]
    assert missing == []


def test_the_example_of_the_guide_to_services_runs(tiny_bundle: Path, tmp_path: Path) -> None:
    block = re.search(r"```python\n(.*?)```", (DOCS / "service.md").read_text("utf-8"), re.DOTALL)
    assert block is not None
    script = tmp_path / "service.py"
    script.write_text(block[1].replace(".load(\n", f".load(\n        {str(tiny_bundle)!r},\n"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "not_an_image" in done.stdout
