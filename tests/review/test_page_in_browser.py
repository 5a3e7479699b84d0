"""The page as a reviewer uses it: keys, a reload, undo, an export that `outcomes import` reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recognizer.model.bundle import load_bundle
from recognizer.review.outcomes import Outcome, OutcomeStore, read_outcomes
from recognizer.review.page import write_report
from tests.conftest import invoke
from tests.review.browser import chromium
from tests.rows.rows import HASH, bare_row, digest, write_rows

EVIL = '"><script>document.title = "run"</script><img src=x onerror="document.title = 1">'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Any, tmp_path: Path, tiny_bundle: Path) -> Iterator[Any]:
    def listing(number: int, **item: Any) -> dict[str, Any]:
        return {"listing_id": f"L{number}", "title": f"Carving {number}", **item}

    one = listing(1, reports=1, listed_at="2026-03-01")
    evil = listing(0, title=EVIL, url="javascript:document.title = 2", seller=EVIL)
    rows = [
        bare_row("0.jpg", 0.95, "priority", item=evil),
        bare_row("1a.jpg", 0.9, "review", item=one),
        bare_row("1b.jpg", 0.8, "review", item=one),
        bare_row("2.jpg", 0.7, "review", item=listing(2, reports=4, color="Bamboo"), phash=HASH),
        bare_row("3.jpg", 0.6, "review", item=listing(3), phash=HASH),
        bare_row("stray.jpg", 0.55, "review"),
        bare_row("broken.jpg", 0.0, "unscored"),
        bare_row("clear.jpg", 0.1, "clear", audit=0.5),
    ]
    bundle = load_bundle(tiny_bundle)
    journal = write_rows(tmp_path / "scan.jsonl", rows, bundle)
    write_report(journal, tmp_path / "queue.html", [bundle])
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", lambda request: page.errors.append(request.url))
        page.goto((tmp_path / "queue.html").as_uri())
        yield page
        own = (tmp_path / "queue.html").as_uri()
        assert [
            error for error in page.errors if not error.startswith(("data:", "blob:", own))
        ] == []


def export(page: Any, kind: str, folder: Path) -> list[Outcome]:
    with page.expect_download() as download:
        page.click(f"[data-export={kind}]")
    path = folder / f"export.{kind}"
    download.value.save_as(path)
    return read_outcomes(path)


def said(outcomes: list[Outcome]) -> list[tuple[str | None, str | None, str]]:
    return [(one.listing, one.sha256, one.judgement.value) for one in outcomes]


def test_decide_reload_undo_export_import(page: Any, tmp_path: Path) -> None:
    page.keyboard.press("j")
    page.keyboard.press("c")
    assert "Give your name first" in page.inner_text("#message")
    page.fill("#reviewer", "Ama")
    page.keyboard.press("Escape")
    for key in "jcrR":  # L0; then L2, which users have reported most; then L1, which has no copies
        page.keyboard.press(key)
    assert page.inner_text("#progress") == "3 of 6 decided"
    page.keyboard.press("u")  # the stray photo
    page.keyboard.press("z")
    assert page.inner_text("#progress") == "3 of 6 decided"
    page.keyboard.press("n")
    page.select_option("#label", "ivory_raw")
    page.fill("#words", 'a\x07"tusk", 牙')
    page.click("#keep")
    page.keyboard.press("c")
    page.keyboard.press("k")
    page.keyboard.press("u")  # the note stays
    page.reload()
    assert page.input_value("#reviewer") == "Ama"
    assert page.inner_text("#progress") == "4 of 6 decided"
    assert page.inner_text("[data-said=unsure] .said") == 'Unsure ✎ a "tusk", 牙'

    found = export(page, "json", tmp_path)
    assert said(found) == [
        ("L0", digest("0.jpg"), "confirmed"),
        ("L2", digest("2.jpg"), "rejected"),
        ("L1", digest("1a.jpg"), "rejected"),
        ("L1", digest("1b.jpg"), "rejected"),
        (None, digest("stray.jpg"), "unsure"),
    ]
    assert {one.reviewer for one in found} == {"Ama"}
    assert (found[-1].label, found[-1].note) == ("ivory_raw", 'a "tusk", 牙')
    assert export(page, "csv", tmp_path) == found
    page.keyboard.press("z")
    assert "exported already" in page.inner_text("#message")

    for number, name in enumerate(("export.json", "export.csv")):
        imported = invoke("outcomes", "import", tmp_path / "store.sqlite", tmp_path / name)
        assert f"{0 if number else 5} new, 5 in all" in " ".join(imported.stdout.split())
    with OutcomeStore(tmp_path / "store.sqlite") as store:
        assert [*store] == found


def test_near_copies_clear_images_and_failures_are_decided_too(page: Any, tmp_path: Path) -> None:
    page.fill("#reviewer", "Bo")
    card = page.locator("[data-verdict*=L2]")
    card.focus()
    page.keyboard.press("Shift+C")
    page.locator("[data-decision=unscored] [data-key=e]").click()
    page.locator("[data-decision=clear]").focus()
    page.keyboard.press("r")
    found = export(page, "csv", tmp_path)
    assert said(found) == [
        ("L2", digest("2.jpg"), "confirmed"),
        ("L3", digest("3.jpg"), "confirmed"),
        ("broken.jpg", None, "escalated"),
        (None, digest("clear.jpg"), "rejected"),
    ]
    assert found[-1].occasion == "audit"


def walked(page: Any, steps: int) -> list[str]:
    """The titles that are met by a walk with the keys, which is what is seen from top to bottom."""
    titles, tops = [], []
    page.evaluate("document.activeElement.blur()")
    for _ in range(steps):
        page.keyboard.press("j")
        card = page.locator("[data-decision]:focus")
        titles.append(card.locator("h3").inner_text())
        tops.append(card.evaluate("(it) => it.offsetTop * 10000 + it.offsetLeft"))
    assert tops == sorted(tops)
    return titles


def test_search_sort_and_filters(page: Any) -> None:
    def shown() -> list[str]:
        return page.locator(".card:not([hidden]) h3").all_inner_texts()

    assert shown()[1:3] == ["Carving 2", "Carving 1"]  # by reports, then by score
    page.fill("#search", "bamboo carving")
    assert shown() == ["Carving 2"]
    page.fill("#search", "l3")  # a near-copy of Carving 2
    assert shown() == ["Carving 2"]
    page.fill("#search", "")
    page.select_option("#sort", "time")
    assert walked(page, 3) == [EVIL, "Carving 1", "Carving 2"]
    page.select_option("#sort", "rank")
    assert walked(page, 3) == [EVIL, "Carving 2", "Carving 1"]
    page.click("[data-show=priority]")
    assert shown() == [EVIL]
    assert page.title() == "Review queue: scan.jsonl"  # nothing of a title has run
    assert page.locator("a[href^=javascript]").count() == 0


def test_it_fits_a_phone(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
