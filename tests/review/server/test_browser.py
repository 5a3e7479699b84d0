"""The pages in a real browser: keys, a reload, undo, a narrow screen, hostile texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recognizer.engine import Recognizer
from recognizer.review.outcomes import OutcomeStore
from tests.conftest import picture
from tests.review.browser import chromium
from tests.review.server.queues import served
from tests.rows.rows import row_of, write_rows

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def journal(tmp_path: Path, recognizer: Recognizer) -> Path:
    rows = []
    for place, name in enumerate(("a", "b", "c")):
        for photo in range(2):
            path = tmp_path / f"{name}{photo}.png"
            picture("red", seed=10 * place + photo).save(path)
            columns = {"listing_id": name, "title": f"{EVIL} {name}", "reports": 3 - place}
            rows.append(replace(row_of(recognizer, path, item=columns), phash=f"{place:x}" * 64))
    return write_rows(tmp_path / "rows.jsonl", rows)


def signed_in(browser: Browser, base: str, width: int = 1280, height: int = 800) -> Page:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.errors = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.errors.append(str(error)))  # type: ignore[attr-defined]
    page.on("dialog", lambda dialog: page.errors.append("a dialog"))  # type: ignore[attr-defined]
    page.goto(f"{base}/login")
    page.fill("[name=name]", "Anna")
    page.press("[name=name]", "Enter")
    page.wait_for_selector("article.card")
    return page


def press(page: Page, key: str, title: str) -> None:
    """Press a key, and wait for the listing of this title; two keys in a row are one slip."""
    page.wait_for_timeout(450)
    page.keyboard.press(key)
    shown(page, title)


def shown(page: Page, title: str) -> None:
    page.locator("h1", has_text=re.compile(f" {title}$")).wait_for()


def test_a_reviewer_works_by_keys_alone(
    browser: Browser, journal: Path, recognizer: Recognizer
) -> None:
    with served(journal, [recognizer.bundle]) as base:
        page = signed_in(browser, base)
        assert page.inner_text("h1") == f"{EVIL} a"
        page.keyboard.press("ArrowRight")
        page.keyboard.press("h")
        page.wait_for_selector(".stage figure:not([hidden]) img[src$='/heat']")
        page.keyboard.press("x")  # the second photo does not show it
        page.keyboard.press("b")
        page.keyboard.press("1")
        page.keyboard.press("n")
        page.keyboard.type("carved, r u e")  # letters of a note are no keys
        page.keyboard.press("Escape")
        press(page, "c", "b")
        page.keyboard.press("r")  # too soon: nobody has seen b yet
        page.reload()
        assert page.inner_text("h1").endswith("b")
        press(page, "r", "c")
        press(page, "z", "b")
        page.keyboard.press("l")
        page.reload()
        assert page.evaluate("document.documentElement.className") == "with-blur with-boxes"
        press(page, "s", "c")
        assert "1" in page.inner_text(".progress .mine")
        assert page.title() != "owned"
        assert page.errors == []  # type: ignore[attr-defined]
        page.close()
    with OutcomeStore(f"{journal}.outcomes") as store:
        (said,) = store.standing()
    assert (said.listing, said.note, said.judgement) == ("a", "carved, r u e", "confirmed")
    assert said.label == "ivory_worked"


def test_a_phone_shows_everything_in_its_width(
    browser: Browser, journal: Path, recognizer: Recognizer
) -> None:
    with served(journal, [recognizer.bundle]) as base:
        page = signed_in(browser, base, 390, 844)
        for path in ("/", "/listings", "/shift", "/?lang=zh"):
            page.goto(base + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
            assert page.title() != "owned"
        page.wait_for_timeout(450)
        page.click("[data-do=reject]")
        shown(page, "b")
        assert page.errors == []  # type: ignore[attr-defined]
        page.close()
