"""The site of the documentation: every page is in its menu, and every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_every_page_is_in_the_menu() -> None:
    menu = set(re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8")))
    made = set(re.findall(r'": "([\w-]+\.md)"', (DOCS / "hooks.py").read_text("utf-8")))
    assert {page.name for page in DOCS.glob("*.md")} | made == menu


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text).strip().lower().replace(" ", "-") for text in headings}


def leads_somewhere(page: Path, link: str, anchor: str) -> bool:
    target = DOCS / link if link else page
    return target.exists() and (not anchor or anchor in anchors(target))


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]*)(?:#([\w-]+))?[^)]*\)", page.read_text("utf-8"))
    missing = [
        (link, anchor)
        for link, anchor in links
        if "://" not in link and not leads_somewhere(page, link, anchor)
    ]
    assert missing == []
