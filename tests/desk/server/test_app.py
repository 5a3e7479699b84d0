"""The pages and requests of the desk."""

import csv
import io
import re
from dataclasses import replace
from urllib.parse import urlencode

import httpx
import pytest

from recognizer.policy.values import CandidateKind, Decision, Policy, Rule
from recognizer.rows import ScanFile
from tests.desk.server.queues import EVIL, SOME_KEY, Client, copy_of, listing, many, said_in, served
from tests.rows.rows import NOW, bare_row, digest, write_scan


@pytest.mark.parametrize("changed", ["the lead", "a photo that was ticked", "the whole scan"])
def test_a_photo_exchanged_since_it_was_shown_is_not_decided(tmp_path, changed):
    """Also behind a restart, of which the page knows nothing."""
    scan = tmp_path / "scan.sqlite"
    rows = [replace(listing("A"), source="x.jpg", sha256=digest("x"))]
    other = {"source": "y.jpg", "decision": Decision.CLEAR, "leads": ()}
    rows.append(replace(rows[0], sha256=digest("y"), **other))
    write_scan(scan, rows)
    with served(scan) as base:
        anna = Client(base, "Anna")
        page = anna.open()
        cookies, shown = anna.http.cookies, (anna.listing, anna.digest)
        figures = dict(re.findall(r'data-photo="(\w+)" data-sha256="(\w+)"', page))
    also = {key: digits for key, digits in figures.items() if digest("y").startswith(digits)}
    assert len(also) == 1
    now = replace(rows[changed == "a photo that was ticked"], sha256=digest("another"))
    if changed == "the whole scan":
        scan.unlink()
        now = replace(now, item=listing("B").item)
    write_scan(scan, [now])
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
    lead = "x" if changed == "a photo that was ticked" else "another"
    assert {one.sha256 for one in said_in(scan)} == {digest(lead)}  # shown in the end


def test_a_list_is_written_as_csv_without_formulas_or_what_is_blind(tmp_path):
    audited = replace(bare_row("clear.jpg", 0.3, "clear"), audit=0.5)
    sold = listing("=1+1", 0.9, price="7", currency="EUR", seller="@x"), listing("b", 0.8)
    sold = [copy_of(row) for row in sold]  # folded in the list alone
    with served(write_scan(tmp_path / "scan.sqlite", [*sold, audited])) as base:
        anna = Client(base, "Anna")
        link = re.findall(r'href="(/listings.csv[^"]*)"', anna.open("/listings?min_score=0.85"))[0]
        lines = [*csv.DictReader(io.StringIO(anna.http.get(link).text.removeprefix("\ufeff")))]
        cells = [(one["listing"], one["seller"], one["price"], one["score"]) for one in lines]
        assert cells == [("'=1+1", "'@x", "7 EUR", "0.9")]
        assert anna.http.get("/listings.csv").text.count("\n") == 3
        blind = anna.http.get("/listings.csv?section=audit").text
        assert "clear.jpg" in blind
        assert "priority" not in blind
        assert httpx.get(base + link).headers["location"] == "/login"


def test_pages_say_what_is_missing_and_why_not(tmp_path):
    failed = bare_row("gone.jpg", 0, "unscored", item={"id": "G", "seller": EVIL}, time=NOW)
    rows = [failed, listing("old", 0.9, listed_at="2024-05-06"), listing("new", 0.8)]
    with served(write_scan(tmp_path / "scan.sqlite", rows)) as base:
        anna, ben = Client(base, "Anna"), Client(base, "BEN")
        ben.open()
        held, _, missing = anna.open("/listings").split("<li ")[1:4]
        assert 'title="BEN is looking at this listing now' in held
        assert "<img" not in missing.split("</li>")[0]
        assert ben.act("confirmed").status_code == 200
        assert 'title="Confirmed by BEN: open it' in anna.open("/listings?state=all")
        page = anna.open(f"/seller?{urlencode({'name': EVIL})}")
        assert "<script>document" not in page
        card = anna.open(*re.findall(r'href="(/listing/\w+)"', page))
        assert card.count("The file is empty.") == 1
        assert anna.http.get("/seller?name=nobody").status_code == 404


def test_the_desk_follows_the_policy_of_the_scan(tmp_path):
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


def test_several_listings_are_decided_from_their_list(tmp_path):
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


@pytest.mark.parametrize(("verdict", "left"), [("rejected", 1), ("confirmed", 0)])
def test_a_verdict_from_a_list_is_of_the_photos_that_it_shows(tmp_path, verdict, left):
    other = replace(listing("a", 0.5), source="other.jpg", sha256=digest("other.jpg"))
    scan = write_scan(tmp_path / "scan.sqlite", [listing("a", 0.9), other, listing("b")])
    with served(scan) as base:
        anna = Client(base, "Anna")
        page = anna.open("/listings")
        assert page.count("photos with a lead: 2") == 1
        picked = dict(re.findall(r'data-key="(\w+)" data-shown="(\w+)"', page))
        said = anna.http.post("/act", json={"do": verdict, "listings": picked}).json()
        assert ("leads that the list does not show" in said["notice"]) == bool(left)
    shown = {(name, digest(f"{name}.jpg")) for name in "ab"[left:]}
    assert {(one.listing, one.sha256) for one in said_in(scan)} == shown


def test_what_is_taken_back_is_there_to_be_changed(tmp_path):
    scan = write_scan(tmp_path / "scan.sqlite", [listing("a"), listing("b")])
    with served(scan) as base:
        anna = Client(base, "Anna")
        anna.open()
        for label, chosen in (("coral", "selected"), ("ivory_worked", "checked")):
            anna.act("rejected", note="a <note>", label=label)
            card = anna.act("undo").json()["html"]
            assert re.search(rf'value="{label}"[^>]* {chosen}>', card)
            assert ">a &lt;note&gt;</textarea>" in card
        assert anna.act("skip").json()["html"].count("&lt;note") == 0


def test_a_full_disk_is_507_and_a_lost_file_503_and_the_end(tmp_path):
    team = tmp_path / "team.sqlite"
    scan = write_scan(tmp_path / "scan.sqlite", many(3))
    stopped = []
    stores = []

    def fill(queue):
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
        assert "put it back and start again" in lost.json()["notice"]
        assert anna.http.get("/").status_code == 503
        assert not team.exists()
        assert stopped
    assert len(said_in(tmp_path / "moved.sqlite")) == 1
