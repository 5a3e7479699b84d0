"""The report in a browser: it is read, filtered and paged, offline, and nothing on it decides."""

from urllib.parse import quote

import numpy as np
import pytest

from recognizer.desk.page import write_report
from recognizer.imaging.thumbnail import shrink
from recognizer.model.bundle import load_bundle
from recognizer.policy.values import CandidateKind
from recognizer.rows import NewRow
from tests.conftest import picture
from tests.desk.outcomes import outcome, store
from tests.rows.rows import HASH, bare_row, lead, write_scan

EVIL = '"><script>document.title = "run"</script><img src=x onerror="document.title = 1">'


def listing(number, **item):
    return {"listing_id": f"L{number}", "title": f"Carving {number}", **item}


@pytest.fixture
def page(browser, tmp_path, tiny_bundle):
    one = listing(1, reports=1, listed_at="2026-03-01")
    evil = listing(0, price="€1.200,00", title=EVIL, url="javascript:document.title=2", seller=EVIL)
    leads = (lead("ivory", 0.9, kind=CandidateKind.FAMILY), lead("rhino_horn", 0.6))
    copy, coral = listing(3, seller="C", price="777", color="Jade"), (lead("coral"),)
    rows = [
        bare_row("0.jpg", 0.95, "priority", item=evil),
        bare_row("1a.jpg", 0.9, "review", item=one, leads=leads),
        bare_row("1b.jpg", 0.8, "review", item=one),
        bare_row("2.jpg", 0.7, "review", item=listing(2, reports=4, color="Bamboo"), phash=HASH),
        bare_row("3.jpg", 0.6, "review", item=copy, phash=HASH, leads=coral),
        bare_row("said.jpg", 0.55, "review"),
        bare_row("broken.jpg", 0.0, "unscored"),
        bare_row("clear.jpg", 0.1, "clear", audit=0.5),
    ]
    rows += [bare_row(f"many{i}.jpg", 0.5 - i / 1000, "review") for i in range(60)]
    thumbnail = shrink(np.asarray(picture("red")), 64, 0)
    rows = [*(NewRow(row=row, thumbnail=thumbnail) for row in rows[:4]), *rows[4:]]
    bundle = load_bundle(tiny_bundle)
    scan = write_scan(tmp_path / "scan.sqlite", rows, bundle)
    store(scan, [outcome("confirmed", listing="said.jpg", note="as the last one")])
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


def wait_for(page, selector, *texts):
    """Wait until the elements that are shown have these texts, which is soon, not at once."""
    page.wait_for_function(
        "([selector, texts]) => JSON.stringify([...document.querySelectorAll(selector)]"
        ".filter((one) => one.getClientRects().length).map((one) => one.innerText))"
        " === JSON.stringify(texts)",
        arg=[selector, list(texts)],
    )


def go(page, path):
    page.goto(page.url.split("#")[0] + path)


def wait_for_rows(page, count):
    page.wait_for_function(
        "(count) => document.querySelectorAll('.rows > [data-key]:not([hidden])').length === count",
        arg=count,
    )
    return page.locator(".rows > li:not([hidden]) .what b").all_inner_texts()


def test_the_list_has_pages_and_filters_and_a_grid(page):
    names = ".rows > li .what b"
    assert wait_for_rows(page, 50)[1:3] == ["Carving 2", "Carving 1"]  # by reports, then by score
    assert page.inner_text("nav a[aria-current]") == "Queue 64"  # that are open
    assert page.locator(".rows img").first.get_attribute("src").startswith("data:image/jpeg")
    page.click("#pages [rel=next]")
    wait_for_rows(page, 14)
    page.click("#listings .filter-bar summary")
    page.fill("#listings [name=q]", "l3")  # a near-copy of Carving 2
    page.press("#listings [name=q]", "Enter")
    wait_for(page, names, "Carving 2")
    go(page, "#/?seller=c&product=coral&q=jade")  # as is that near-copy
    wait_for(page, "#found", "1 listing")
    go(page, "#/?seller=c&reported=1")  # which is the other one
    wait_for(page, "#found", "0 listings")
    chosen = page.locator("#listings option[value=rhino_horn]")
    assert chosen.text_content().endswith(" (0)")  # under the words that are searched
    page.click("#listings .buttons a")
    wait_for_rows(page, 50)
    page.select_option("#listings [name=level]", "priority")
    page.click("#listings .buttons button")
    wait_for(page, names, EVIL)
    go(page, "#/?product=rhino_horn")  # not the strongest lead of the listing
    wait_for(page, names, "Carving 1")
    assert chosen.text_content().endswith(" (1)")
    go(page, "#/?min_score=0.6&sort=old")  # without near-copies
    wait_for(page, names, EVIL, "Carving 2", "Carving 1")
    for query in ("min_score=0,9&level=priority", f"seller={quote(EVIL.upper())}"):
        go(page, f"#/?{query}&state=all")
        wait_for(page, names, EVIL)
        go(page, "#/?q=many")
    assert wait_for_rows(page, 50)[0] == "many0.jpg"
    page.keyboard.press("v")
    page.keyboard.press("ArrowRight")
    for key in "xacrz":  # at the desk they pick and decide
        page.keyboard.press(key)
    assert wait_for_rows(page, 50)[0] == "many0.jpg"
    assert page.inner_text("#notice") == ""
    assert page.title() == "scan.sqlite"  # nothing of a title has run
    assert page.locator("a[href^=javascript]").count() == 0


def test_a_card_leads_to_the_next_one(page):
    page.click(".rows li:not([hidden]) a.row")
    wait_for(page, "article.card h1", EVIL)
    page.click("#around [rel=next]")
    wait_for(page, "article.card h1", "Carving 2")
    page.click("#around [rel=next]")
    wait_for(page, "article.card h1", "Carving 1")
    page.keyboard.press("ArrowRight")
    wait_for(page, "#around [rel=prev]", "Previous")
    assert page.locator("figure:not([hidden]) img[alt='1b.jpg']").count() == 1
    page.keyboard.press("c")
    wait_for(page, "article.card h1", "Carving 1")
    go(page, "#/?state=confirmed")
    page.click(".rows li:not([hidden]) a.row")
    wait_for(page, "article.card h1", "said.jpg")
    assert "as the last one" in page.inner_text(".outcomes")
    assert page.locator("#around a:visible").count() == 0
    page.click("nav a:has-text('Audit sample')")
    wait_for(page, ".rows > li .what b", "clear.jpg")
    assert page.inner_text("#listings h1") == "Audit sample"
    page.click(".rows li:not([hidden]) a.row")
    page.locator("article.card").wait_for()
    assert "0.10" not in page.inner_text("article.card")
    page.set_viewport_size({"width": 390, "height": 844})  # of a phone
    for path in ("#/?section=audit", page.url[page.url.index("#") :], "#/summary", "#/"):
        go(page, path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    page.evaluate("document.querySelector('nav [href$=audit]').remove()")  # without a sample
    go(page, "#/?section=audit")
    assert page.inner_text("#listings h1") == "Queue"
