from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recognizer.cli import ExitCode
from recognizer.errors import UsageError
from recognizer.listing_rules import KeywordHit
from recognizer.review.handover import coop
from recognizer.review.handover.accepted import AcceptedStore, accepted_path
from recognizer.review.handover.coop import CoopClient, HandoverReport, hand_over
from recognizer.review.handover.coop_requests import CoopTarget
from recognizer.review.handover.photo_urls import PhotoUrls
from recognizer.rows.listing_table import ListingTable
from recognizer.rows.row import Row
from tests.conftest import invoke
from tests.review.handover.servers import KEY, Coop, serving
from tests.rows.rows import bare_row, digest, write_rows


def photo(number: int, source: str, score: float = 0.6, **item: Any) -> Row:
    columns = {"listing_id": number, "title": f"Carving {number}", "seller": "s1", **item}
    decision = "review" if score > 0.5 else "clear"
    return bare_row(source, score, decision, item=columns)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    rows = [photo(n, f"https://photos.example/{n}.jpg") for n in range(5)]
    rows += [photo(0, "/backlog/0 b.jpg", 0.1), photo(9, "clear.jpg", 0.1)]
    return write_rows(tmp_path / "scan.jsonl", rows)


@pytest.fixture
def server() -> Iterator[Coop]:
    coop = Coop()
    with serving(coop.app()) as coop.url:
        yield coop


@pytest.fixture
def submit(journal: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., HandoverReport]:
    monkeypatch.setattr(coop, "BATCH", 4)

    def submit(server: Coop, reports: bool = False, **client: Any) -> HandoverReport:
        target = CoopTarget(
            url=server.url,
            item_type="listing",
            reporter_type="user" if reports else None,
            policy="wildlife",
            photo_urls=PhotoUrls("https://own.example/{sha256}?was={name}"),
        )
        given = {"api_key": KEY, "sleep": lambda _: None} | client
        with (
            AcceptedStore(accepted_path(journal), create=True) as store,
            closing(ListingTable(journal)) as table,
        ):
            leads = (listing for listing in table if listing.is_lead)
            return hand_over(leads, target, CoopClient(**given), store)

    return submit


def test_leads_become_items_of_their_listings(server: Coop, submit: Callable[..., Any]) -> None:
    assert submit(server).accepted == 5
    assert [len(body["items"]) for body in server.requests] == [4, 1]
    assert {*server.jobs} == {"0", "1", "2", "3", "4"}
    data = server.jobs["0"]["data"]
    assert data["images"] == [
        "https://photos.example/0.jpg",  # the lead first
        f"https://own.example/{digest('/backlog/0 b.jpg')}?was=0%20b.jpg",
    ]
    assert (data["title"], data["seller"], data["listing_id"]) == ("Carving 0", "s1", 0)
    assert (data["recognizer_product"], data["recognizer_score"]) == ("ivory_worked", 0.6)
    assert data["recognizer_decision"] == "review"
    assert data["recognizer_reason"] == "Lead, not a verdict: ivory_worked 0.6"
    assert data["recognizer_policy"] == "default " + "0" * 64


def test_leads_become_reports(server: Coop, submit: Callable[..., Any], journal: Path) -> None:
    assert submit(server, reports=True).accepted == 5
    report = server.jobs["3"]
    assert report["reportedForReason"]["policyId"] == "wildlife"
    assert report["reportedForReason"]["reason"].startswith("Lead, not a verdict")
    with AcceptedStore(accepted_path(journal), create=False) as store:
        found = store.find("3")
    assert found is not None
    assert (found.listing, found.images) == ("3", [digest("https://photos.example/3.jpg")])
    assert len(found.answer or "") == 36


def test_what_was_accepted_is_submitted_once_and_what_has_changed_again(
    server: Coop, submit: Callable[..., Any], journal: Path
) -> None:
    submit(server)
    again = submit(server)
    assert (again.accepted, again.earlier, len(server.requests)) == (0, 5, 2)
    said = KeywordHit(keyword="ivory", column="title")
    changed = replace(photo(1, "https://photos.example/1.jpg"), keywords=(said,))
    with journal.open("ab") as file:
        file.write(changed.to_json_line())
    third = submit(server)
    assert (third.accepted, third.earlier) == (1, 4)
    assert server.jobs["1"]["data"]["recognizer_keywords"] == ["ivory"]


@pytest.mark.parametrize("reports", [False, True])
def test_passing_failures_cost_time_alone(
    server: Coop, submit: Callable[..., Any], reports: bool
) -> None:
    pauses: list[float] = []
    server.troubles = [429, 500, "hang", 503]
    report = submit(server, reports, sleep=pauses.append, timeout=0.4)
    assert (report.accepted, report.refused) == (5, {})
    assert len(server.jobs) == 5
    assert pauses[0] == 7.0  # as Retry-After says
    assert all(2**n / 2 <= pause <= 2**n for n, pause in enumerate(pauses[1:4], 1))
    assert server.requests[0] == server.requests[4]  # the same each time


def test_a_batch_of_which_a_part_was_taken_is_repeated_whole(
    server: Coop, submit: Callable[..., Any]
) -> None:
    server.troubles = ["half"]
    assert submit(server).accepted == 5
    assert server.requests[0] == server.requests[1]
    assert len(server.jobs) == 5


def test_an_item_that_coop_refuses_does_not_stop_the_others(
    server: Coop, submit: Callable[..., Any]
) -> None:
    server.invalid = {"2"}
    report = submit(server)
    assert (report.accepted, {*server.jobs}) == (4, {"0", "1", "3", "4"})
    assert report.refused == {"2": "400: Invalid Data for Item: item 2"}


def test_a_run_that_was_stopped_goes_on(server: Coop, submit: Callable[..., Any]) -> None:
    server.troubles = [0, *[503] * coop.TRIES]
    with pytest.raises(UsageError, match="give the same command again later"):
        submit(server)
    report = submit(server)
    assert (report.earlier, report.accepted, len(server.jobs)) == (4, 1, 5)


def test_killed_between_the_answer_and_the_note_of_it(
    server: Coop, submit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(AcceptedStore, "add", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            submit(server, reports=True)
    assert submit(server, reports=True).accepted == 5
    assert (server.reports, len(server.jobs)) == (6, 5)  # Coop merges the two into one job


@pytest.mark.parametrize(("status", "message"), [(302, "redirects"), (404, "is this a Coop")])
def test_what_is_no_coop_is_left_alone(
    server: Coop, submit: Callable[..., Any], status: int, message: str
) -> None:
    server.troubles = [status]
    with pytest.raises(UsageError, match=message):
        submit(server)
    assert len(server.requests) == 1


def test_the_key_stays_where_it_is(
    server: Coop, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("handover", journal, "--to", "coop", "--url", server.url, "--item-type", "listing")
    monkeypatch.delenv("COOP_API_KEY", raising=False)
    assert "COOP_API_KEY" in invoke(*command).stderr
    monkeypatch.setenv("COOP_API_KEY", "wrong")
    refused = invoke(*command)
    assert refused.exit_code == ExitCode.USAGE
    assert "the API key is not accepted" in " ".join(refused.stderr.split())
    assert "wrong" not in refused.output
    (tmp_path / "key").write_text(KEY + "\n")
    server.invalid = {"4"}
    done = invoke(*command, "--api-key-file", tmp_path / "key", "--reporter-type", "user")
    assert done.exit_code == ExitCode.SOME_FAILED
    assert "4 leads accepted, 0 were accepted earlier, 1 refused" in " ".join(done.output.split())
    assert KEY not in done.output
    for url in ("http://coop.example", "ftp://coop.example", "coop.example"):
        assert "https" in invoke(*command[:5], url, *command[6:]).stderr


def test_a_dry_run_prints_the_requests(server: Coop, journal: Path) -> None:
    command = ("handover", journal, "--to", "coop", "--url", server.url, "--item-type", "listing")
    printed = invoke(*command, "--dry-run")
    (request,) = [json.loads(line) for line in printed.stdout.splitlines()]
    assert request["url"].endswith("/api/v1/items/async/")
    assert [item["id"] for item in request["body"]["items"]] == ["0", "1", "2", "3", "4"]
    assert server.requests == []
    assert not accepted_path(journal).exists()


@pytest.mark.parametrize("template", ["https://a.example/", "https://a.example/{id}", "{"])
def test_a_template_names_what_there_is(template: str) -> None:
    with pytest.raises(UsageError, match="photo URL"):
        PhotoUrls(template)


def test_killed_in_between_it_goes_on(server: Coop, journal: Path) -> None:
    server.troubles = [0, 0, "hang"]
    command = ("handover", str(journal), "--to", "coop", "--url", server.url)
    options = ("--item-type", "listing", "--reporter-type", "user")
    process = subprocess.Popen(
        [sys.executable, "-m", "recognizer", *command, *options],
        env=os.environ | {"COOP_API_KEY": KEY},
    )
    while len(server.requests) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COOP_API_KEY", KEY)
        done = invoke(*command, *options)
    assert "3 leads accepted, 2 were accepted earlier, 0 refused" in " ".join(done.output.split())
    assert len(server.jobs) == 5
