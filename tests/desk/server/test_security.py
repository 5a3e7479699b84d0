"""Who may ask the server for what, and requests and texts that are hostile."""

import json
import re
from pathlib import Path

import httpx
import numpy as np
import pytest

from recognizer.desk.queue import Queue
from recognizer.desk.security import Guard
from recognizer.imaging.thumbnail import shrink
from recognizer.rows import NewRow
from tests.conftest import picture
from tests.desk.server.queues import EVIL, SOME_KEY, Client, listing, served
from tests.rows.rows import bare_row, row_of, write_scan

POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.fixture(scope="module")
def scan(tmp_path_factory, recognizer):
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
    rows.append(bare_row("gone.jpg", 0.05, "clear", audit=0.5))
    kept = NewRow(row=rows[2], thumbnail=shrink(np.asarray(picture("red")), 256, 0))
    return write_scan(folder / "scan.sqlite", [*rows[:2], kept, rows[3]], recognizer.bundle)


@pytest.fixture(scope="module")
def base(scan, recognizer):
    with served(scan, [recognizer.bundle]) as address:
        yield address


def test_every_answer_has_the_headers_of_safety(base):
    for path in ("/login", "/static/app.js", "/nothing", f"/photo/{SOME_KEY}/small"):
        headers = httpx.get(base + path).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_other_names_sites_and_forged_requests_are_refused(base):
    port = base.rpartition(":")[2]
    for host in (f"evil.example:{port}", "127.0.0.1.evil.example", "10.0.0.1", ""):
        assert httpx.get(f"{base}/login", headers={"host": host}).status_code in {400, 403}
    assert httpx.get(f"{base}/login", headers={"host": f"localhost:{port}"}).status_code == 200
    anna = Client(base, "Anna")
    anna.open()
    data = {"do": "confirmed", "listing": anna.listing}
    forged = [{"origin": origin} for origin in ("https://evil.example", "null", "http://[")]
    forged += [{"sec-fetch-site": site} for site in ("cross-site", "same-site")]
    for headers in forged:
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
def test_a_request_that_makes_no_sense_is_400(base, content):
    anna = Client(base, "Anna")
    answer = anna.http.post("/act", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["notice"] == "This request makes no sense to the server."


def test_forms_and_addresses_that_make_no_sense_are_told_so(base):
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


def test_what_listeners_beyond_this_machine_need(tmp_path):
    scan = write_scan(tmp_path / "scan.sqlite", [listing("a")])
    with served(scan, token="a token of sixteen", hosts={"review.example"}) as base:
        for token in ("guess", "", "é"):
            page = httpx.post(f"{base}/login", data={"name": "Eve", "token": token})
            assert page.status_code == 403
            assert "set-cookie" not in page.headers
        assert Client(base, "Anna", "a token of sixteen").open()
    guard = Guard(lambda *_: None, {"review.example"})  # type: ignore[arg-type,return-value]
    ours = ("review.example:8420", "10.0.0.1:8420", "[::1]:8420")
    for host in (*ours, "rebound.example", "[::1"):
        assert guard._is_ours(host) is (host in ours), host


def test_servers_on_other_ports_and_with_other_secrets_know_nobody_here(tmp_path):
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


def test_a_cookie_is_worth_nothing_after_signing_out(tmp_path):
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


def test_a_page_shows_hostile_text_as_text_and_links_only_to_the_web(base):
    anna = Client(base, "Anna <b>")
    pages = anna.open() + anna.act("skip").json()["html"] + anna.act("skip").json()["html"]
    pages += anna.open("/listings")
    assert "<script>document" not in pages
    assert "<img src=x" not in pages
    assert "<b>" not in re.sub(r"<b>[^<]*(<bdi>[^<]*</bdi>)?[^<]*</b>", "", pages)
    links = "".join(re.findall(r'(?:href|src)="([^"]*)"', pages))
    assert not re.search("(javascript|ftp):", links)
    link, *_ = re.findall(r'<a href="https://shop.example/1"[^>]*>', pages)
    assert 'rel="noopener noreferrer"' in link
    assert "style=" not in pages
    assert " on" not in "".join(re.findall(r"<\w[^>]*", re.sub(r'"[^"]*"', "", pages)))


def test_photos_are_served_by_key_if_they_are_what_was_scored(base, scan):
    anna = Client(base, "Anna")
    with Queue(scan) as queue:
        found = queue.file.select("SELECT source, printf('%016x', key) FROM image")
    keys = {Path(source).name: key for source, key in found}

    def get(name, kind):
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
    assert "no longer where the scan found it" in get("kept.png", "original").text


def test_the_audit_sample_is_blind(base):
    anna, action = Client(base, "Anna"), "Platform action"
    page = anna.open("/?section=audit")
    assert "drawn at random" in page
    for hidden in ("0.05", 'data-view="heat"', "data-leads", "data-may-show", action):
        assert hidden not in page
    card = f"/listing/{anna.listing}"
    anna.act("confirmed")
    assert 'data-view="heat"' in (page := anna.open(card))
    assert [words for words in ("badge priority", action) if words in page] == []  # not a lead
