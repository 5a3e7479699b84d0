from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from recognizer.engine import Recognizer
from recognizer.review.server.security import Guard
from tests.conftest import picture
from tests.review.server.queues import Client, listing, opened, served
from tests.rows.rows import bare_row, row_of, write_rows

EVIL = '"><script>document.title="owned"</script><img src=x onerror=alert(1)>{{7*7}}'
POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory, recognizer: Recognizer) -> Path:
    folder = tmp_path_factory.mktemp("scan")
    picture("red").save(folder / "red.png")
    picture("red", seed=1).save(folder / "changed.png")
    rows = [
        row_of(
            recognizer,
            folder / name,
            item={"listing_id": EVIL + name, "title": EVIL, "seller": EVIL, "url": url},
        )
        for name, url in (("red.png", "https://shop.example/1"), ("changed.png", "javascript:x()"))
    ]
    picture("blue").save(folder / "changed.png")
    rows.append(replace(bare_row("gone.jpg", 0.05, "clear"), audit=0.5))
    return write_rows(folder / "rows.jsonl", rows, recognizer.bundle)


@pytest.fixture(scope="module")
def base(journal: Path, recognizer: Recognizer) -> Iterator[str]:
    with served(journal, [recognizer.bundle]) as address:
        yield address


def test_every_answer_has_the_headers_of_safety(base: str) -> None:
    for path in ("/login", "/static/app.js", "/nothing", "/photo/1/small"):
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
    token = {"x-review-token": anna.page_token}
    for headers in (
        {},
        {"x-review-token": "0" * 64},
        {**token, "origin": "https://evil.example"},
        {**token, "sec-fetch-site": "cross-site"},
    ):
        answer = anna.http.post(
            "/act", json={"do": "confirm", "listing": anna.listing}, headers=headers
        )
        assert answer.status_code == 403
    assert anna.http.post("/act", content=b"x" * 70_000, headers=token).status_code == 403
    for data in ({}, {"do": "drop"}, {"do": "confirm", "listing": "1"}, {"do": "skip"}):
        assert anna.http.post("/act", json=data, headers=token).status_code == 400
    assert anna.act("confirm", note="x" * 5000).status_code == 400  # longer than a note may be
    for cookie in ("", "QW5uYQ==." + "0" * 64, "é", "QW5uYQ=="):
        request = httpx.get(f"{base}/", headers={"cookie": f"recognizer_review={cookie}".encode()})
        assert request.headers["location"] == "/login"
        assert httpx.get(f"{base}/photo/1/small").status_code == 403
    assert anna.http.post("/logout", headers=token).json() == {"url": "/login"}


def test_what_listeners_beyond_this_machine_need(tmp_path: Path) -> None:
    journal = write_rows(tmp_path / "rows.jsonl", [listing("a")])
    with served(journal, token="a token of sixteen", hosts={"review.example"}) as base:
        page = httpx.post(f"{base}/login", data={"name": "Eve", "token": "guess"})
        assert page.status_code == 403
        assert "set-cookie" not in page.headers
        assert Client(base, "Anna", "a token of sixteen").open()
    guard = Guard(lambda *_: None, {"review.example"})  # type: ignore[arg-type,return-value]
    for host, is_ours in (
        *(("review.example:8420", True), ("10.0.0.1:8420", True), ("[::1]:8420", True)),
        *(("rebound.example", False), ("[::1", False)),
    ):
        assert guard._is_ours(host) is is_ours, host


def test_a_page_shows_hostile_text_as_text_and_links_only_to_the_web(base: str) -> None:
    anna = Client(base, "Anna <b>")
    pages = anna.open() + anna.act("skip").json()["html"] + anna.open("/listings")
    assert "<script>document" not in pages
    assert "<img src=x" not in pages
    assert "<b>" not in re.sub(r"<b>[^<]*(<bdi>[^<]*</bdi>)?[^<]*</b>", "", pages)
    assert "javascript:" not in "".join(re.findall(r'(?:href|src)="([^"]*)"', pages))
    link = re.findall(r'<a href="https://shop.example/1"[^>]*>', pages)
    assert link
    assert 'rel="noopener noreferrer"' in link[0]
    assert "style=" not in pages
    assert " on" not in "".join(re.findall(r"<\w[^>]*", re.sub(r'"[^"]*"', "", pages)))


def test_photos_are_served_by_number_if_they_are_what_was_scored(base: str, journal: Path) -> None:
    anna = Client(base, "Anna")
    with opened(journal) as queue:
        numbers = {
            Path(row.source).name: number
            for number in range(1, 10)
            if (row := queue.index.row_of(number)) is not None
        }
    red = anna.http.get(f"/photo/{numbers['red.png']}/original")
    assert red.content == (journal.parent / "red.png").read_bytes()
    assert red.headers["content-type"] == "image/png"
    assert red.headers["content-security-policy"] == "default-src 'none'; sandbox"
    for kind in ("small", "large", "heat"):
        made = anna.http.get(f"/photo/{numbers['red.png']}/{kind}")
        assert made.content.startswith(b"\xff\xd8")
    changed = anna.http.get(f"/photo/{numbers['changed.png']}/large")
    assert (changed.status_code, changed.headers["content-type"]) == (
        *(404, "text/plain; charset=utf-8"),
    )
    assert "has changed since the scan" in changed.text
    for path in ("/photo/999/small", "/photo/1/secret", "/photo/1/..%2f..%2fetc%2fpasswd"):
        assert anna.http.get(path).status_code == 404


def test_the_audit_sample_is_blind_and_the_words_are_those_of_the_browser(base: str) -> None:
    anna = Client(base, "Anna")
    page = anna.open("/?section=audit")
    assert "drawn at random" in page
    assert "0.05" not in page
    assert 'data-view="heat"' not in page
    anna.http.headers["accept-language"] = "fr, zh-CN;q=0.9, en;q=0.5"
    assert "随机抽取" in anna.open("/?section=audit")
    anna.open("/shift?lang=en")
    assert "Shift" in anna.open("/shift")
