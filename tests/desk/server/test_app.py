import csv
import html
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
import pytest

from recognizer.desk.entries import MAX_IMAGES
from recognizer.desk.queue import Queue
from recognizer.desk.security import Guard
from recognizer.desk.texts import catalogue
from recognizer.engine import Recognizer
from recognizer.imaging.thumbnail import shrink
from recognizer.policy.values import CandidateKind, Decision, Policy, Rule
from recognizer.rows import NewRow, ScanFile
from tests.conftest import picture
from tests.desk.server.queues import Client, listing, many, said_in, served
from tests.rows.rows import FAR, HASH, NEAR, NOW, bare_row, digest, known_match, row_of, write_scan
from tests.work import Count

EVIL = '"><script>document.title="owned"</script><img src=x onerror=alert(1)>{{7*7}}'
POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SOME_KEY = "0" * 15 + "1"


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory, recognizer: Recognizer) -> Path:
    folder = tmp_path_factory.mktemp("scan")
    picture("red").save(folder / "red.png")
    picture("red", seed=1).save(folder / "changed.png")
    picture("red", seed=2).save(folder / "kept.png")
    rows = [
        row_of(
            recognizer,
            folder / name,
            item={"listing_id": EVIL + name, "title": EVIL + "\ud800", "seller": EVIL, "url": url},
        )
        for name, url in (
            ("red.png", "https://shop.example/1"),
            ("changed.png", "javascript:x()"),
            ("kept.png", "ftp://shop.example"),
        )
    ]
    picture("blue").save(folder / "changed.png")
    (folder / "kept.png").unlink()
    rows.append(bare_row("gone.jpg", 0.05, "clear", audit=0.5, known=(known_match("cleared"),)))
    kept = NewRow(row=rows[2], thumbnail=shrink(np.asarray(picture("red")), 256, 0))
    return write_scan(folder / "scan.sqlite", [*rows[:2], kept, rows[3]], recognizer.bundle)


@pytest.fixture(scope="module")
def base(scan: Path, recognizer: Recognizer) -> Iterator[str]:
    with served(scan, [recognizer.bundle]) as address:
        yield address


def test_every_answer_has_the_headers_of_safety(base: str) -> None:
    for path in ("/login", "/static/app.js", "/nothing", f"/photo/{SOME_KEY}/small"):
        headers = httpx.get(base + path).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_other_names_sites_and_forged_requests_are_refused(base: str) -> None:
    port = base.rpartition(":")[2]
    for host in (f"evil.example:{port}", "127.0.0.1.evil.example", "10.0.0.1", ""):
        assert httpx.get(f"{base}/login", headers={"host": host}).status_code in {400, 403}
    assert httpx.get(f"{base}/login", headers={"host": f"localhost:{port}"}).status_code == 200
    anna = Client(base, "Anna")
    anna.open()
    data = {"do": "confirmed", "listing": anna.listing}
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        assert anna.http.post("/act", json=data, headers=headers).status_code == 403
        assert anna.http.post("/login", data={"name": "Eve"}, headers=headers).status_code == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded"):  # what a form can send
        headers = {"content-type": kind}
        content = json.dumps(data).encode()
        assert anna.http.post("/act", content=content, headers=headers).status_code == 400
    for cookie in ("", "QW5uYQ==." + "0" * 64, "é", "QW5uYQ==", "eyJuYW1lIjogIkFubmEifQ=="):
        for name in ("recognizer_review_0", "session"):
            headers = {"cookie": f"{name}={cookie}".encode()}
            assert httpx.get(f"{base}/", headers=headers).headers["location"] == "/login"
            assert httpx.get(f"{base}/photo/{SOME_KEY}/small", headers=headers).status_code == 403
    assert httpx.post(f"{base}/act", json=data).status_code == 401


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"1", b"null", b'{"do": 1}', b'{"do": ["confirmed"]}', b"\xff\xfe"),
        *(b'{"do": "drop"}', b'{"do": "confirmed"}', b'{"do": "skip"}', b"[" * 30_000),
        b'{"do": "confirmed", "listing": 7}',
        b'{"do": "confirmed", "listing": "0x00000000000001"}',
        b'{"do": "confirmed", "listing": "%s"}' % SOME_KEY.encode(),  # not what was shown
        *(
            b'{"do": "confirmed", "listing": "%s", %s}' % (SOME_KEY.encode(), more)
            for more in (b'"expected": 1e400', b'"expected": 0', b'"note": "\\ud800"', b'"more": 1')
        ),
        b'{"do": "confirmed", "listing": "%s", "also": [99999999999999999999]}' % SOME_KEY.encode(),
        b'{"do": "undo", "listings": {"%s": 1}}' % SOME_KEY.encode(),
        b'{"do": "skip", "listings": {"%s": "%s"}}' % (SOME_KEY.encode(), SOME_KEY.encode()),
    ],
)
def test_a_request_that_makes_no_sense_is_400(base: str, content: bytes) -> None:
    anna = Client(base, "Anna")
    answer = anna.http.post("/act", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["notice"] == "This request makes no sense to the server."


def test_forms_and_addresses_that_make_no_sense_are_told_so(base: str) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    for content in (b"name=%ff\xff", b"&".join([b"name=a"] * 100)):
        assert httpx.post(f"{base}/login", content=content, headers=form).status_code == 400
    for name in ("", " ", "\0", "a\x07b", "x" * 61, "\u202e"):
        answer = httpx.post(f"{base}/login", data={"name": name})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert httpx.post(f"{base}/login", content=b"x" * 70_000, headers=form).status_code == 413
    anna = Client(base, "Anna")
    assert anna.http.post("/act", content=iter([b"{}"])).status_code == 400  # of unknown length
    longer = form | {"transfer-encoding": "chunked", "content-length": "2"}  # than it says
    assert httpx.post(f"{base}/login", content=b"name=Anna", headers=longer).status_code == 400
    strange = "?page=²&since=0001-01-01&until=9999-12-31&q=%00%ff&section=%5b&state=,"
    for path in ("/", "/listings", "/shift", "/login"):
        assert anna.http.get(path + strange).status_code == 200
    for path in (
        *("/listing/1", "/listing/" + "9" * 40, f"/listing/{SOME_KEY}", "/photo/x/small"),
        *(f"/photo/{SOME_KEY}/small", f"/photo/{SOME_KEY}/secret", "/listing/../etc/passwd"),
        *(f"/listing/{key}" for key in ("g" * 16, "0" * 17, "+123456789012345", "A" * 16)),
        *(f"/listing/{key}" for key in ("\uff10" * 16, "0" * 15 + "%00")),
        *(f"/listing/{SOME_KEY}/photos", "/static/../app.py", "/photo/1/..%2f..%2fetc%2fpasswd"),
    ):
        assert anna.http.get(path).status_code == 404, path
    anna.open()
    assert anna.act("confirmed", note="x" * 5000).status_code == 400  # longer than a note may be
    for label in ("a\x00b", "../../elsewhere", "ivroy"):
        assert anna.act("confirmed", label=label).status_code == 400


def test_a_listing_that_is_gone_is_a_conflict_with_a_fresh_card(tmp_path: Path) -> None:
    scan, team = tmp_path / "scan.sqlite", tmp_path / "team.sqlite"
    write_scan(scan, [listing("A3", 0.9), listing("B3", 0.8)])
    with served(scan, outcomes=team) as base:
        anna = Client(base, "Anna")
        anna.open()
        cookies, page = anna.http.cookies, anna.listing
        assert anna.title == "Title of A3"
    for path in tmp_path.glob("scan.sqlite*"):
        path.unlink()
    write_scan(scan, [listing("B3", 0.8), listing("C3", 0.7)])  # the numbers are those of others
    with served(scan, outcomes=team) as base:
        anna.http = httpx.Client(base_url=base, cookies=cookies)
        anna.listing = page
        answer = anna.act("confirmed")
        assert answer.status_code == 409
        assert "Not stored" in answer.json()["notice"]
        assert said_in(team) == []
        assert anna.title == "Title of B3"  # the fresh card
        assert anna.act("confirmed").status_code == 200
    assert [one.listing for one in said_in(team)] == ["B3"]


def test_what_listeners_beyond_this_machine_need(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "scan.sqlite", [listing("a")])
    with served(scan, token="a token of sixteen", hosts={"review.example"}) as base:
        for token in ("guess", "", "é"):
            page = httpx.post(f"{base}/login", data={"name": "Eve", "token": token})
            assert page.status_code == 403
            assert "set-cookie" not in page.headers
        assert Client(base, "Anna", "a token of sixteen").open()
    guard = Guard(lambda *_: None, {"review.example"})  # type: ignore[arg-type,return-value]
    for host, is_ours in (
        *(("review.example:8420", True), ("10.0.0.1:8420", True), ("[::1]:8420", True)),
        *(("rebound.example", False), ("[::1", False)),
    ):
        assert guard._is_ours(host) is is_ours, host


def test_servers_on_other_ports_and_with_other_secrets_know_nobody_of_this_one(
    tmp_path: Path,
) -> None:
    scan = write_scan(tmp_path / "scan.sqlite", [listing("a")])
    with Queue(scan) as queue:
        assert queue.secret("first") == queue.secret("second") == "first"
    with served(scan, port=1) as one, served(scan, port=2) as two, served(scan, port=1) as again:
        anna, ben = Client(one, "Anna"), Client(two, "Ben")
        cookies = {**anna.http.cookies, **ben.http.cookies}
        assert len(cookies) == 2
        for base, name in ((one, "Anna"), (two, "Ben"), (again, "Anna")):
            assert name in httpx.get(f"{base}/shift", cookies=cookies).text
    with served(scan, port=1, secret="another") as other:
        assert httpx.get(f"{other}/", cookies=cookies).headers["location"] == "/login"


def test_a_cookie_is_worth_nothing_after_signing_out(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "scan.sqlite", [listing("a")])
    with served(scan) as base:
        anna, again = Client(base, "Anna"), Client(base, "Anna")
        kept = dict(anna.http.cookies)
        assert anna.http.post("/logout", json={}).json() == {"url": "/login"}
        assert httpx.get(f"{base}/", cookies=kept).headers["location"] == "/login"
        assert httpx.post(f"{base}/act", cookies=kept, json={"do": "undo"}).status_code == 401
        assert again.open()
    with served(scan) as base:  # nor behind a restart
        assert httpx.get(f"{base}/", cookies=kept).headers["location"] == "/login"


def test_a_page_shows_hostile_text_as_text_and_links_only_to_the_web(base: str) -> None:
    anna = Client(base, "Anna <b>")
    pages = anna.open() + anna.act("skip").json()["html"] + anna.act("skip").json()["html"]
    pages += anna.open("/listings")
    assert "<script>document" not in pages
    assert "<img src=x" not in pages
    assert "<b>" not in re.sub(r"<b>[^<]*(<bdi>[^<]*</bdi>)?[^<]*</b>", "", pages)
    links = "".join(re.findall(r'(?:href|src)="([^"]*)"', pages))
    assert "javascript:" not in links
    assert "ftp:" not in links
    link, *_ = re.findall(r'<a href="https://shop.example/1"[^>]*>', pages)
    assert 'rel="noopener noreferrer"' in link
    assert "style=" not in pages
    assert " on" not in "".join(re.findall(r"<\w[^>]*", re.sub(r'"[^"]*"', "", pages)))


def test_photos_are_served_by_key_if_they_are_what_was_scored(base: str, scan: Path) -> None:
    anna = Client(base, "Anna")
    with Queue(scan) as queue:
        found = queue.file.select("SELECT source, printf('%016x', key) FROM image")
    keys = {Path(source).name: key for source, key in found}

    def get(name: str, kind: str) -> httpx.Response:
        return anna.http.get(f"/photo/{keys[name]}/{kind}")

    red = get("red.png", "original")
    assert red.content == (scan.parent / "red.png").read_bytes()
    assert red.headers["content-type"] == "image/png"
    assert red.headers["content-security-policy"] == "default-src 'none'; sandbox"
    for kind in ("small", "large", "heat?label=ivory_worked"):
        assert get("red.png", kind).content.startswith(b"\xff\xd8"), kind
    assert get("red.png", "heat?label=nothing").status_code == 404
    changed = get("changed.png", "large")
    assert changed.status_code == 404
    assert changed.headers["content-type"] == "text/plain; charset=utf-8"
    assert "has changed since the scan" in changed.text
    for kind in ("small", "large"):
        assert get("kept.png", kind).content.startswith(b"\xff\xd8")
    assert "has gone since the scan" in get("kept.png", "original").text


def test_the_audit_sample_is_blind(base: str) -> None:
    anna = Client(base, "Anna")
    page = anna.open("/?section=audit")
    assert "drawn at random" in page
    assert "0.05" not in page
    assert 'data-view="heat"' not in page
    assert catalogue()["words"]["near_known"] not in page


def test_similar_photos_are_a_click_away(tmp_path: Path) -> None:
    rows = [
        replace(listing(EVIL, 0.9), phash=HASH),
        replace(listing("copy", 0.1, "clear"), phash=NEAR),
        replace(listing("other", 0.8), phash=FAR),
    ]
    scan = write_scan(tmp_path / "scan.sqlite", rows)
    with served(scan) as base:
        anna = Client(base, "Anna")
        (link,) = re.findall(r'href="(/similar/\w+)"', anna.open())
        page = anna.http.get(link).text
        assert page.count('<img src="/photo/') == 2
        assert "copy.jpg" in page
        assert "other.jpg" not in page
        assert "<script>document" not in page
        assert "/listing/" not in page  # a clear listing has no card
        assert anna.http.get(f"/similar/{SOME_KEY}").status_code == 404
        assert httpx.get(base + link).headers["location"] == "/login"
    rows = [
        NewRow(row=row, embedding=np.array([1, number], np.int8)) for number, row in enumerate(rows)
    ]
    scan = write_scan(tmp_path / "embeddings.sqlite", rows)
    with served(scan) as base:
        page = Client(base, "Anna").http.get(link).text
        assert page.index("copy.jpg") < page.index("other.jpg")
        assert page.count('href="/listing/') == 1


@pytest.mark.parametrize("changed", ["the lead", "a photo that was ticked"])
def test_a_photo_that_was_exchanged_since_it_was_shown_is_not_decided(
    tmp_path: Path, changed: str
) -> None:
    """Also behind a restart, of which the page knows nothing."""
    scan = tmp_path / "scan.sqlite"
    rows = [replace(listing("A"), source="x.jpg", sha256=digest("x"))]
    other = {"source": "y.jpg", "image_decision": Decision.CLEAR, "leads": ()}
    rows.append(replace(rows[0], sha256=digest("y"), **other))
    write_scan(scan, rows)
    with served(scan) as base:
        anna = Client(base, "Anna")
        page = anna.open()
        cookies, shown = anna.http.cookies, (anna.listing, anna.digest)
        figures = dict(re.findall(r'data-photo="(\w+)" data-sha256="(\w+)"', page))
    also = {key: digits for key, digits in figures.items() if digest("y").startswith(digits)}
    assert len(also) == 1
    place = 0 if changed == "the lead" else 1
    write_scan(scan, [replace(rows[place], sha256=digest("another"))])
    with served(scan) as base:
        anna.http = httpx.Client(base_url=base, cookies=cookies, timeout=60)
        anna.listing, anna.digest = shown
        if changed == "a photo that was ticked":
            assert anna.act("confirmed", also=also).status_code == 409
        else:
            listings = dict([shown])
            many = anna.http.post("/act", json={"do": "confirmed", "listings": listings}).json()
            assert many["notice"].startswith("0 listings: Confirmed. 1 not stored")
            assert anna.act("confirmed").status_code == 409
        assert said_in(scan) == []
        assert anna.digest is not None  # of the fresh card
        assert anna.act("confirmed").status_code == 200
    leads = {digest("x"), digest("another")} if changed == "the lead" else {digest("x")}
    assert {one.sha256 for one in said_in(scan)} == leads  # the former lead is shown, too


def test_a_list_is_written_as_csv_without_formulas_or_what_is_blind(tmp_path: Path) -> None:
    audited = replace(bare_row("clear.jpg", 0.3, "clear"), audit=0.5)
    sold = listing("=1+1", 0.9, price="7", currency="EUR", seller="@x"), listing("b", 0.8)
    scan = write_scan(tmp_path / "scan.sqlite", [*sold, audited])
    with served(scan) as base:
        anna = Client(base, "Anna")
        link = re.findall(r'href="(/listings.csv[^"]*)"', anna.open("/listings?min_price=5"))[0]
        lines = [*csv.DictReader(io.StringIO(anna.http.get(link).text.removeprefix("\ufeff")))]
        cells = [(one["listing"], one["seller"], one["price"], one["score"]) for one in lines]
        assert cells == [("'=1+1", "'@x", "7 EUR", "0.9")]
        blind = anna.http.get("/listings.csv?section=audit").text
        assert "clear.jpg" in blind
        assert "priority" not in blind
        assert httpx.get(base + link).headers["location"] == "/login"


def test_pages_say_what_is_missing_when_and_why_not(tmp_path: Path) -> None:
    failed = bare_row("gone.jpg", 0, "unscored", item={"id": "G", "seller": EVIL}, time=NOW)
    rows = [failed, listing("old", 0.9, listed_at="2024-05-06"), listing("new", 0.8)]
    scan = write_scan(tmp_path / "scan.sqlite", rows)
    with served(scan) as base:
        anna, ben = Client(base, "Anna"), Client(base, "BEN")
        ben.open()
        held, free, missing = anna.open("/listings").split("<li ")[1:4]
        assert 'title="BEN is looking at this listing now' in held
        assert "Listed 2024-05-06" in held
        assert f"Scanned {NOW:%Y-%m-%d}" in free
        assert "No photo" in missing
        assert "<img" not in missing.split("</li>")[0]
        assert ben.act("confirmed").status_code == 200
        assert 'title="Confirmed by BEN: open it' in anna.open("/listings?state=all")
        assert "<bdi>BEN</bdi>" in Client(base, "ben").open("/shift")
        page = anna.open(f"/seller?{urlencode({'name': EVIL})}")
        assert "<script>document" not in page
        card = anna.open(*re.findall(r'href="(/listing/\w+)"', page))
        assert card.count(catalogue()["reasons"][failed.reason or ""]) == 1
        assert anna.http.get("/seller?name=nobody").status_code == 404


def test_the_desk_follows_the_policy_of_the_scan(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "scan.sqlite", many(1))
    with served(scan) as base:
        anna = Client(base, "Anna")
        for words in ("Call the seller.", "Hide it."):
            (own := tmp_path / "own.toml").write_text(f"[actions]\nreview = '{words}'\n")
            with ScanFile(scan, write=True) as file:
                file.use_policy(Policy.load(own))
            assert words in anna.open()
        with ScanFile(scan, write=True) as file:
            file.use_policy(Policy(rules={(CandidateKind.LABEL, "of_another_bundle"): Rule()}))
        assert "Hide it." not in anna.open()


def test_a_search_says_that_it_is_of_open_listings_and_leads_to_all(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "scan.sqlite", many(3))
    with served(scan) as base:
        anna = Client(base, "Anna")
        anna.open()
        title = anna.title
        anna.act("confirmed", note="a\u2028b\tc\rd")
        assert [one.note for one in said_in(scan)] == ["a\u2028b c\nd"]
        page = anna.open(f"/listings?q={title}")
        assert "State: Open" in page
        assert f"<bdi>{title}</bdi></b>" not in page
        (link,) = re.findall(r'href="(/listings[?][^"]*state=all[^"]*)"', page)
        page = anna.open(html.unescape(link))
        assert f"<bdi>{title}</bdi></b>" in page
        assert "state-confirmed" in page


def test_a_lead_sees_what_was_escalated(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "scan.sqlite", many(1))
    with served(scan, queue={"lead_reviewers": ["Lea"]}) as base:
        anna, lea = Client(base, "Anna"), Client(base, "Lea")
        anna.open()
        page = f"/listing/{anna.listing}"
        assert anna.act("escalated").status_code == 200
        assert "/?state=escalated" not in anna.open()
        assert "a lead reviewer decides" in anna.open(page)
        assert anna.listing is None
        assert 'href="/?state=escalated" aria-current="page"' in lea.open("/?state=escalated")
        assert lea.act("confirmed").status_code == 200
    assert [one.judgement for one in said_in(scan)] == ["escalated", "confirmed"]


def test_several_listings_are_decided_from_their_list(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "scan.sqlite", many(60))
    with served(scan) as base:
        anna, ben = Client(base, "Anna"), Client(base, "Ben")
        ben.open()  # has the first, which nobody else can decide
        listed = re.findall(r'data-key="(\w+)" data-shown="(\w+)"', anna.open("/listings"))
        shown, keys = dict(listed), [key for key, _ in listed]
        assert (len(keys), keys[0]) == (50, ben.listing)
        picked = {**dict(listed[1:49]), SOME_KEY: SOME_KEY}
        picking = {"do": "rejected", "listings": picked, "list": True}
        answer = anna.http.post("/act?page=2", json=picking).json()
        assert answer["notice"].startswith("48 listings: Rejected")
        assert len(re.findall(r'data-key="(\w+)"', answer["html"])) == 12  # no page 2 is left
        more = {"do": "rejected", "listings": {key: shown[key] for key in (keys[0], *keys[48:50])}}
        again = anna.http.post("/act", json=more).json()
        assert again["notice"].startswith("1 listing: Rejected. 2 not stored")
        assert {one.reviewer for one in said_in(scan)} == {"Anna"}
        for _ in range(2):
            undone = anna.http.post("/act", json={"do": "undo", "list": True}).json()
        assert "60 listings" in undone["html"]
        assert "<span>Review <b>5</b></span>" in anna.open("/?seller=S3")


def test_twenty_thousand_photos_of_a_listing_come_in_pages_and_are_undone_at_once(
    tmp_path: Path,
) -> None:
    rows = [
        replace(listing("a", 0.9), source=f"{i}.jpg", sha256=digest(str(i))) for i in range(20_000)
    ]
    scan = write_scan(tmp_path / "scan.sqlite", [*rows, listing("b")])
    desks: list[Queue] = []
    with served(scan, prepare=desks.append) as base:
        anna = Client(base, "Anna")
        page = anna.open()
        assert len(page) < 100_000
        assert page.count("<figure") == 40
        assert "Page 1 of 500" in page
        last = anna.http.get(f"/listing/{anna.listing}/photos?page=500").text
        assert last.count("<figure") == 40
        assert {*anna.photos}.isdisjoint(re.findall(r'data-photo="(\w+)"', last))
        shown = anna.listing
        assert anna.act("rejected").status_code == 200
        assert (len(said_in(scan)), anna.title) == (MAX_IMAGES, "Title of b")
        steps = Count()  # of a thousand instructions of SQLite
        desks[0].file._database.set_progress_handler(steps.wrap(lambda: 0), 1000)
        assert anna.act("undo").status_code == 200
        assert steps.number < 10_000
        assert anna.listing == shown


def test_a_full_disk_is_507_and_a_lost_file_503_and_the_end(tmp_path: Path) -> None:
    team = tmp_path / "team.sqlite"
    scan = write_scan(tmp_path / "scan.sqlite", many(3))
    stopped: list[bool] = []
    stores: list[Any] = []

    def fill(queue: Queue) -> None:
        stores.append(queue._outcomes.file)
        ((pages,),) = stores[0].select("PRAGMA page_count")
        stores[0].execute(f"PRAGMA max_page_count = {pages}")

    with served(scan, outcomes=team, prepare=fill, stop=lambda: stopped.append(True)) as base:
        anna = Client(base, "Anna")
        anna.open()
        full = anna.act("rejected", note="x" * 4000)
        assert full.status_code == 507
        assert full.json()["notice"].startswith("Not stored: the disk of the server is full")
        stores[0].execute("PRAGMA max_page_count = 1073741823")
        assert anna.act("rejected", note="x" * 4000).status_code == 200
        assert not stopped
        team.rename(tmp_path / "moved.sqlite")
        lost = anna.act("rejected")
        assert lost.status_code == 503
        assert "put it back in its place and start again" in lost.json()["notice"]
        assert anna.http.get("/").status_code == 503
        assert not team.exists()
        assert stopped
    assert len(said_in(tmp_path / "moved.sqlite")) == 1
