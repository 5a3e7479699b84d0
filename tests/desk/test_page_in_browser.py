"""The report as a reviewer uses it: keys, a reload, undo, an export that is read again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recognizer.desk.outcomes import Outcome, read_outcomes
from recognizer.desk.page import write_report
from recognizer.imaging.thumbnail import shrink
from recognizer.model.bundle import load_bundle
from recognizer.rows import NewRow
from tests.conftest import picture
from tests.rows.rows import HASH, bare_row, digest, write_scan

EVIL = '"><script>document.title = "run"</script><img src=x onerror="document.title = 1">'


def listing(number: int, **item: Any) -> dict[str, Any]:
    return {"listing_id": f"L{number}", "title": f"Carving {number}", **item}


@pytest.fixture
def page(browser: Any, tmp_path: Path, tiny_bundle: Path) -> Iterator[Any]:
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
    rows += [bare_row(f"many{i}.jpg", 0.5 - i / 1000, "review") for i in range(60)]
    thumbnail = shrink(np.asarray(picture("red")), 64, 0)
    rows = [*(NewRow(row=row, thumbnail=thumbnail) for row in rows[:4]), *rows[4:]]
    bundle = load_bundle(tiny_bundle)
    scan = write_scan(tmp_path / "scan.sqlite", rows, bundle)
    write_report(scan, tmp_path / "queue.html", [bundle])
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", lambda request: page.errors.append(request.url))
        own = (tmp_path / "queue.html").as_uri()
        page.goto(own)
        yield page
        assert [e for e in page.errors if not e.startswith(("data:", "blob:", own))] == []


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.wait_for_timeout(400)  # two keys in a row are one slip
        page.keyboard.press(key)


def wait_for(page: Any, selector: str, *texts: str) -> None:
    """Wait until the elements that are shown have these texts, which is soon, not at once."""
    page.wait_for_function(
        "([selector, texts]) => JSON.stringify([...document.querySelectorAll(selector)]"
        ".filter((one) => one.getClientRects().length).map((one) => one.innerText))"
        " === JSON.stringify(texts)",
        arg=[selector, list(texts)],
    )


def go(page: Any, path: str) -> None:
    page.goto(page.url.split("#")[0] + path)


def sign(page: Any, name: str) -> None:
    page.fill("#who [name=name]", name)
    page.press("#who [name=name]", "Enter")


def export(page: Any, folder: Path) -> list[Outcome]:
    with page.expect_download() as download:
        page.click("#export")
    path = folder / "export.json"
    download.value.save_as(path)
    return list(read_outcomes(path))


def said(outcomes: list[Outcome]) -> list[tuple[str | None, str | None, str]]:
    return [(one.listing, one.sha256, one.judgement.value) for one in outcomes]


def test_decide_reload_undo_export(page: Any, tmp_path: Path) -> None:
    wait_for(page, "article.card h1", EVIL)
    press(page, "2", "n")
    page.keyboard.type('a\x07"tusk", 牙')
    page.keyboard.press("Escape")
    press(page, "c")  # no name was given yet
    assert page.input_value("#who [name=name]") == ""
    sign(page, "Ama")
    page.locator("h1", has_text="Carving 2").wait_for()  # and nothing is lost
    press(page, "r")
    wait_for(page, "article.card h1", "Carving 1")  # which users have reported less
    press(page, "ArrowRight", "x", "u")  # the second photo does not show it
    wait_for(page, "article.card h1", "stray.jpg")
    press(page, "e", "z")
    wait_for(page, "article.card h1", "stray.jpg")
    page.reload()
    wait_for(page, "article.card h1", "stray.jpg")
    wait_for(page, "#progress", "3 of 65 decided")
    wait_for(page, "#unexported", "3 not exported yet")
    go(page, "#/listings?state=confirmed")
    page.click(".rows li:not([hidden]) a.row")
    wait_for(page, "article.card h1", EVIL)
    assert page.input_value("#note") == 'a "tusk", 牙'
    assert page.locator(".title + .warning").inner_text() == "Confirmed · Ama"
    found = export(page, tmp_path)
    assert said(found) == [
        ("L0", digest("0.jpg"), "confirmed"),
        ("L2", digest("2.jpg"), "rejected"),
        ("L1", digest("1a.jpg"), "unsure"),
    ]
    assert {one.reviewer for one in found} == {"Ama"}
    assert found[0].note == 'a "tusk", 牙'
    assert found[0].label is not None
    press(page, "z")
    assert "exported already" in page.inner_text("#notice")
    assert page.inner_text("#unexported") == ""


def test_copies_the_audit_sample_and_failures_are_decided_too(page: Any, tmp_path: Path) -> None:
    page.click("#name-now")
    sign(page, "Bo")
    go(page, "#/listings?q=bamboo")
    page.click(".rows li:not([hidden]) a.row")
    page.click("[data-bulk]")
    page.click("[data-bulk-dialog] input[value=confirmed]")
    page.click("[data-bulk-do]")
    page.locator("#notice", has_text="2 listings: Confirmed").wait_for()
    go(page, "#/listings?level=unscored")
    page.click(".rows li:not([hidden]) a.row")
    press(page, "e")
    page.click("nav a:has-text('Audit sample')")
    assert "0.10" not in page.inner_text("article.card")
    press(page, "r")
    page.locator("text=Nothing is left here.").wait_for()
    found = export(page, tmp_path)
    assert said(found) == [
        ("L2", digest("2.jpg"), "confirmed"),
        ("L3", digest("3.jpg"), "confirmed"),
        ("broken.jpg", None, "escalated"),
        (None, digest("clear.jpg"), "rejected"),
    ]
    assert found[-1].occasion == "audit"


def test_the_list_has_pages_filters_and_a_grid_to_pick_from(page: Any) -> None:
    names = ".rows > li .what b"

    def wait_for_rows(count: int) -> list[str]:
        page.wait_for_function(
            "(count) => document.querySelectorAll('.rows > [data-key]:not([hidden])').length"
            " === count",
            arg=count,
        )
        return page.locator(".rows > li:not([hidden]) .what b").all_inner_texts()

    page.click("nav a:has-text('Listings')")
    assert wait_for_rows(50)[1:3] == ["Carving 2", "Carving 1"]  # by reports, then by score
    assert page.locator(".rows img").first.get_attribute("src").startswith("data:image/jpeg")
    page.click("#pages [rel=next]")
    wait_for_rows(15)
    page.fill("#listings [name=q]", "l3")  # a near-copy of Carving 2
    page.press("#listings [name=q]", "Enter")
    wait_for(page, names, "Carving 2")
    page.click("#listings .buttons a")
    wait_for_rows(50)
    page.select_option("#listings [name=level]", "priority")
    page.click("#listings .buttons button")
    wait_for(page, names, EVIL)
    go(page, "#/listings?q=many")
    assert wait_for_rows(50)[0] == "many0.jpg"
    page.keyboard.press("v")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.locator(".rows li:not([hidden]) [data-pick]").nth(4).click(modifiers=["Shift"])
    wait_for(page, "[data-picked]", "5 picked")
    page.keyboard.press("r")
    sign(page, "Cleo")
    page.locator("#notice", has_text="5 listings: Rejected").wait_for()
    wait_for(page, "#progress", "5 of 65 decided")
    page.wait_for_function(
        "() => document.querySelector('.rows > li:not([hidden]) b').innerText === 'many5.jpg'"
    )
    page.keyboard.press("z")
    wait_for(page, "#progress", "0 of 65 decided")
    assert page.title() == "Review queue: scan.sqlite"  # nothing of a title has run
    assert page.locator("a[href^=javascript]").count() == 0


def test_it_fits_a_phone(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("#/", "#/listings", "#/summary", "#/?section=audit"):
        go(page, path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_what_grows_keeps_its_verdicts(browser: Any, tmp_path: Path) -> None:
    scan, report = tmp_path / "scan.sqlite", tmp_path / "queue.html"
    write_report(write_scan(scan, [bare_row("a.jpg", 0.6, "review")]), report, [])
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(report.as_uri())
        page.click("#name-now")
        sign(page, "Bo")
        press(page, "c")
        page.locator("#progress", has_text="1 of 1 decided").wait_for()
        write_report(write_scan(scan, [bare_row("b.jpg", 0.7, "review")]), report, [])
        page.goto(report.as_uri())
        wait_for(page, "#progress", "1 of 2 decided")
