"""The pages in a real browser: keys, a reload, undo, a narrow screen, hostile texts."""

import re
from contextlib import contextmanager
from dataclasses import replace

import pytest

from recognizer.desk.outcomes import Outcomes
from recognizer.rows import ScanFile
from tests.conftest import picture
from tests.desk.outcomes import outcome, store
from tests.desk.server.queues import many, said_in, served
from tests.rows.rows import digest, lead, row_of, write_scan

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture
def scan(tmp_path, recognizer):
    rows = []
    for place, name in enumerate(("a", "b", "c")):
        for photo in range(2):
            path = tmp_path / f"{name}{photo}.png"
            picture("red", seed=10 * place + photo).save(path)
            columns = {"listing_id": name, "title": f"{EVIL} {name}", "reports": 3 - place}
            rows.append(replace(row_of(recognizer, path, item=columns), phash=f"{place:x}" * 64))
    return write_scan(tmp_path / "scan.sqlite", rows)


@contextmanager
def signed_in(browser, base, width=1280, height=800):
    """The page of somebody who has signed in, on which no script fails."""
    page = browser.new_page(viewport={"width": width, "height": height})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append("a dialog"))
    page.goto(f"{base}/login")
    page.fill("[name=name]", "Anna")
    page.press("[name=name]", "Enter")
    page.wait_for_selector("article.card")
    yield page
    assert errors == []
    page.close()


def press(page, key, title):
    """Press a key, and wait for the listing of this title; two keys in a row are one slip."""
    ready(page)
    page.keyboard.press(key)
    shown(page, title)


def ready(page):
    """Wait until a verdict is taken: a moment after the listing, and when its photo is shown."""
    page.wait_for_timeout(450)
    page.wait_for_selector("figure.waiting:not([hidden])", state="detached")


def shown(page, title):
    page.locator("h1", has_text=re.compile(f" {title}$")).wait_for()


def test_reviewers_work_by_keys_alone(browser, scan, recognizer):
    with served(scan, [recognizer.bundle]) as base, signed_in(browser, base) as page:
        assert page.inner_text("h1") == f"{EVIL} a"
        page.keyboard.press("ArrowRight")
        page.keyboard.press("h")
        page.wait_for_selector(".stage figure:not([hidden]) img[src*='/heat']")
        caption = page.inner_text(".stage figure:not([hidden]) .of-heat")
        assert re.match(r"Worked ivory: score [01]\.\d\d, threshold 0\.\d\d\.", caption)
        page.keyboard.press("x")  # the second photo does not show it
        page.keyboard.press("b")
        page.keyboard.press("1")
        page.keyboard.press("n")
        page.keyboard.type("carved, r u e")  # letters of a note are no keys
        page.keyboard.press("Escape")
        press(page, "c", "b")
        page.evaluate("shownAt = performance.now() + 1e6")
        page.keyboard.press("r")  # too soon: nobody has seen b yet
        page.locator("#notice", has_text="Not taken, too early: press r again.").wait_for()
        page.reload()
        assert page.inner_text("h1").endswith("b")
        page.keyboard.press("x")
        ready(page)
        page.route("**/act", lambda route: (page.keyboard.press("u"), route.continue_()))
        press(page, "r", "c")
        page.locator("#notice", has_text="What you pressed meanwhile was not taken").wait_for()
        page.unroute("**/act")
        press(page, "z", "b")
        assert not page.is_checked("[data-counts] >> nth=0")  # nor is a tick taken back forgotten
        page.keyboard.press("l")
        page.reload()
        assert page.evaluate("document.documentElement.className") == "with-blur with-boxes"
        press(page, "s", "c")
        assert "1" in page.inner_text(".progress .mine")
        assert page.title() != "owned"
    with Outcomes(scan) as outcomes:
        second, said = outcomes.decided().values()
    assert (said.listing, said.note, said.judgement) == ("a", "carved, r u e", "confirmed")
    assert (said.label, second.judgement) == ("ivory_worked", "rejected")


def test_who_was_signed_out_signs_in_again_and_loses_nothing(browser, scan):
    with served(scan) as base, signed_in(browser, base) as page:
        page.fill("#note", "a long note")
        page.context.clear_cookies()
        page.locator("h1").click()
        ready(page)
        page.keyboard.press("c")
        page.wait_for_selector("#who[open]")
        assert page.input_value("#who [name=name]") == "Anna"
        page.press("#who [name=name]", "Enter")
        shown(page, "b")
    assert {one.note for one in said_in(scan)} == {"a long note"}


def test_nothing_is_said_of_a_photo_before_it_or_why_it_is_missing_is_shown(
    browser, scan, recognizer
):
    with served(scan, [recognizer.bundle]) as base, signed_in(browser, base) as page:
        held = []
        page.route("**/large", lambda route, _: held.append(route))
        page.route("**/heat?*", lambda _: None)  # heat-maps never come
        page.reload(wait_until="domcontentloaded")
        for answer in (200, 404):  # of the photo; of the script that asks why
            page.wait_for_timeout(450)
            page.keyboard.press("c")
            page.locator("#notice", has_text="the photo is not shown yet").wait_for()
            held.pop().fulfill(status=answer, body="It is gone.")
        page.locator(".missing", has_text="It is gone.").wait_for()
        page.unroute("**/large")
        press(page, "c", "b")
        ready(page)
        page.route("**/large", lambda route, _: held.append(route))
        page.keyboard.press("h")  # the photo was shown
        page.keyboard.press("c")
        shown(page, "c")
        page.wait_for_timeout(450)
        page.keyboard.press("h")  # this one was not
        page.keyboard.press("c")
        page.locator("#notice", has_text="the photo is not shown yet").wait_for()
    assert {one.listing for one in said_in(scan)} == {"a", "b"}


def test_a_note_is_kept_when_somebody_else_was_faster(browser, scan):
    with served(scan) as base, signed_in(browser, base) as page:
        key = page.get_attribute("article.card", "data-listing")
        page.fill("#note", "a long note")
        page.locator("h1").click()
        store(scan, [outcome("rejected", listing="a", reviewer="Ben")])
        press(page, "c", "b")
        assert "Your note is kept" in page.inner_text("#notice")
        assert page.input_value("#note") == ""
        press(page, "r", "c")
        page.goto(f"{base}/listing/{key}")
        assert page.input_value("#note") == "a long note"
        press(page, "c", "c")
        page.goto(f"{base}/listing/{key}")
        assert page.input_value("#note") == ""
    assert {one.note for one in said_in(scan)} == {None, "a long note"}


def test_obvious_rejects_are_picked_in_the_grid(browser, tmp_path):
    scan = write_scan(tmp_path / "scan.sqlite", many(70))
    with served(scan) as base, signed_in(browser, base) as page:
        page.route("**/app.js", lambda route: (page.wait_for_timeout(500), route.continue_()))
        page.goto(f"{base}/listings")  # the script comes after photos that cannot be read
        page.keyboard.press("v")
        page.keyboard.press("ArrowRight")  # to the first
        page.keyboard.press("ArrowDown")
        page.keyboard.press("x")
        first = page.evaluate("document.activeElement.closest('[data-key]').dataset.key")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+X")
        assert page.inner_text("[data-picked]") == "2 picked"
        # Photos that are not shown yet are not decided on, which takes longer on a busy machine.
        images = "[...document.querySelectorAll('[data-key]:has(:checked) img')]"
        page.wait_for_function(f"{images}.every((image) => image.naturalWidth)")
        page.keyboard.press("r")
        page.locator("#notice", has_text="2 listings: Rejected").wait_for()
        assert page.locator(f"[data-key='{first}']").count() == 0
        page.keyboard.press("r")
        page.locator("#notice", has_text="Not stored: nothing is picked.").wait_for()
        page.keyboard.press("a")
        assert page.inner_text("[data-picked]") == "50 picked"
        page.keyboard.press("Escape")
        assert page.is_hidden(".picking")
        page.keyboard.press("z")
        page.locator(f"[data-key='{first}']").wait_for()
    assert [one.occasion for one in said_in(scan)] == ["review"] * 2 + ["withdrawal"] * 2


def test_a_large_listing_is_paged_and_ticks_stay(browser, tmp_path):
    columns = {"listing_id": "big", "title": " big"}
    rows = [
        replace(row, source=f"{i}.jpg", sha256=digest(str(i)), item=columns)
        for i, row in enumerate(many(90))
    ]
    scan = write_scan(tmp_path / "big.sqlite", rows)
    with served(scan) as base, signed_in(browser, base) as page:
        page.locator("[data-counts]").first.click()
        page.click("[data-page='2']")
        page.locator(".strip", has_text="Page 2 of 3").wait_for()
        page.locator("[data-counts]").first.click()
        page.click("[data-page='1']")
        page.locator(".strip", has_text="Page 1 of 3").wait_for()
        assert not page.locator("[data-counts]").first.is_checked()
        page.locator("h1").click()
        ready(page)
        page.keyboard.press("r")
        page.locator("#notice", has_text="leads on pages that you have not opened").wait_for()
        held = []
        page.route("**/photos?page=2", lambda route, _: held.append(route))
        page.click("[data-page='2']")
        page.keyboard.press("c")  # before the page is there
        page.locator("#notice", has_text="Confirmed").wait_for()
        with page.expect_response("**/photos?page=2"):
            held[0].continue_()
        page.wait_for_timeout(300)  # nor does it come in the place of another listing's
    assert [one.judgement for one in said_in(scan)] == ["rejected"] * 2 + ["confirmed"] * 78


def test_copies_are_decided_at_a_glance_and_a_photo_is_looked_at_closely(
    browser, scan, recognizer, tmp_path
):
    picture("blue").save(tmp_path / "blue.png")
    with ScanFile(scan) as file:
        first, *_ = rows = [replace(row, phash="0" * 64) for row in file.rows()]
    blue = row_of(recognizer, tmp_path / "blue.png", item=first.item)
    scan = write_scan(tmp_path / "copies.sqlite", [*rows[::2], blue])
    with served(scan, [recognizer.bundle]) as base, signed_in(browser, base) as page:
        group = page.locator("[data-bulk]").bounding_box()
        assert group["y"] + group["height"] <= 800
        shot = page.locator("figure:not([hidden]) .shot img")
        shot.wait_for()
        before, bars = shot.bounding_box()["width"], page.inner_text("#may-show")
        for key in "++.":
            page.keyboard.press(key)
        assert shot.bounding_box()["width"] > 1.5 * before
        assert "brightness(1.2)" in shot.evaluate("one => getComputedStyle(one).filter")
        page.keyboard.press("0")
        assert shot.bounding_box()["width"] == before
        page.keyboard.press("ArrowRight")  # the blue one
        assert page.inner_text("#may-show") != bars
        ready(page)
        for key in ("a", "r", "Enter"):
            page.keyboard.press(key)
        page.locator("#notice", has_text="3 listings: Rejected").wait_for()
    assert {one.listing for one in said_in(scan)} == {"a", "b", "c"}


def test_a_filter_by_product_opens_a_photo_of_it(browser, tmp_path):
    """Also in the next listing, after a key has decided this one."""
    leads = lead("ivory_worked", 0.9), lead("rhino_horn", 0.5)
    rows = [
        replace(row, item={"listing_id": name, "title": name}, leads=(one,))
        for row, name, one in zip(many(4), "KKLL", leads * 2, strict=True)
    ]
    scan = write_scan(tmp_path / "scan.sqlite", rows)
    with served(scan) as base, signed_in(browser, base) as page:
        page.goto(f"{base}/?product=rhino_horn")
        for _ in range(2):
            ready(page)
            assert page.get_attribute("figure:not([hidden])", "data-leads") == "rhino_horn"
            assert "Rhino horn" in page.inner_text("#may-show")
            title = page.inner_text("h1")
            page.keyboard.press("c")
            page.locator("h1", has_text=title).wait_for(state="detached")
        page.keyboard.press("z")  # now the desk is empty
        page.locator("article.card h1", has_text=title).wait_for()
    assert {one.listing for one in said_in(scan)} == {"K", "L"}


def test_a_phone_shows_everything_in_its_width(browser, scan, recognizer):
    with served(scan, [recognizer.bundle]) as base, signed_in(browser, base, 390, 844) as page:
        page.goto(f"{base}/listings")
        page.keyboard.press("v")  # the grid, on every page
        for path in ("/listings", "/shift", "/"):
            page.goto(base + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
            assert page.title() != "owned"
            for one in page.locator(".rows .empty, .rows .what, .scroll").all():
                assert one.evaluate("one => one.scrollWidth - one.clientWidth") <= 0, path
        ready(page)
        page.click("[data-do=rejected]")
        shown(page, "b")
