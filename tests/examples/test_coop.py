"""The example that submits leads to Coop, against a server on a real socket."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from examples import coop
from recognizer.rows import ScanFile, write_listings
from recognizer.rows.row import Row
from tests.rows.rows import bare_row, digest, write_scan
from tests.serving import serving

KEY = "secret-key"
# As docs/api/report.md of Coop 1.0.2 describes a report, which also has "reportedAt".
PARTS = {
    "reporter": {"kind", "typeId", "id"},
    "reportedItem": {"id", "typeId", "data"},
    "reportedForReason": {"policyId", "reason", "csam"},
}


def photo(number: int, source: str, score: float = 0.6) -> Row:
    columns = {"listing_id": number, "title": f"Carving {number}", "seller": "s1"}
    return bare_row(source, score, "review" if score > 0.5 else "clear", item=columns)


ROWS = [
    *(photo(n, f"https://photos.example/{n}.jpg") for n in range(5)),
    *(photo(0, "/backlog/0 b.jpg", 0.1), photo(9, "clear.jpg", 0.1)),
]


@dataclass
class Coop:
    """A Coop on a real socket; ``troubles`` are statuses that are answered first."""

    troubles: list[int] = field(default_factory=list)
    invalid: set[str] = field(default_factory=set)
    requests: list[Any] = field(default_factory=list)
    jobs: dict[str, Any] = field(default_factory=dict)  # one for each item, as there
    url: str = ""

    async def report(self, request: Request) -> Response:
        self.requests.append(body := await request.json())
        name = body["reportedItem"]["id"]
        if request.headers.get("x-api-key") != KEY:
            return Response(status_code=401)
        if status := self.troubles.pop(0) if self.troubles else 0:
            return Response(status_code=status, headers={"Location": "http://127.0.0.1:9/"})
        is_valid = {part: {*body[part]} for part in PARTS} == PARTS and len(body) == 4
        if not is_valid or name in self.invalid:
            return Response("invalid", 400)
        self.jobs[name] = body
        return Response(status_code=201)


@pytest.fixture
def server():
    coop_server = Coop()
    app = Starlette(routes=[Route("/api/v1/report", coop_server.report, methods=["POST"])])
    with serving(app, log_level="error", lifespan="off") as coop_server.url:
        yield coop_server


@pytest.fixture
def submit(server, tmp_path, monkeypatch):
    monkeypatch.setenv("COOP_API_KEY", KEY)
    monkeypatch.setattr("time.sleep", lambda _: None)

    def submit(rows=ROWS) -> int:
        listings = tmp_path / "listings.jsonl"
        with ScanFile(write_scan(tmp_path / "scan.sqlite", rows)) as file:
            write_listings(file, listings)
        options = ("--item-type", "listing", "--reporter-type", "user", "--policy", "wildlife")
        urls = ("--photo-url", "https://own.example/{sha256}")
        return coop.main([str(listings), server.url, *options, *urls])

    return submit


def test_leads_become_reports_on_their_listings(server, submit):
    assert submit() == 0
    assert {*server.jobs} == {"0", "1", "2", "3", "4"}
    report = server.jobs["0"]
    assert report["reporter"]["kind"] == "user"
    assert report["reportedForReason"] == {
        "policyId": "wildlife",
        "reason": "Lead, not a verdict: ivory_worked 0.6",
        "csam": False,
    }
    data = report["reportedItem"]["data"]
    own = f"https://own.example/{digest('/backlog/0 b.jpg')}"
    assert data["images"] == ["https://photos.example/0.jpg", own]  # the lead first
    assert (data["title"], data["seller"], data["listing_id"]) == ("Carving 0", "s1", 0)
    assert (data["recognizer_product"], data["recognizer_decision"]) == ("ivory_worked", "review")


def test_what_was_accepted_is_submitted_once_and_what_has_changed_again(server, submit):
    tries = len(coop.PAUSES)
    server.troubles = [0, 0, *[503] * tries]
    with pytest.raises(SystemExit, match="status 503: ; the same command goes on"):
        submit()
    assert len(server.jobs) == 2
    for _ in range(2):
        assert submit() == 0
    assert (len(server.jobs), len(server.requests)) == (5, 5 + tries)
    submit([replace(row, why=("ivory in the title",)) if row is ROWS[1] else row for row in ROWS])
    assert len(server.requests) == 6 + tries
    assert "ivory in" in server.jobs["1"]["reportedItem"]["data"]["recognizer_reason"]


def test_passing_failures_cost_time_alone_and_a_refused_item_stops_no_other(server, submit, capsys):
    server.troubles, server.invalid = [429, 500, 503], {"2"}
    assert submit() == 3
    assert {*server.jobs} == {"0", "1", "3", "4"}
    printed = capsys.readouterr()
    assert "'2': refused: 400" in printed.err
    assert KEY not in printed.out + printed.err


@pytest.mark.parametrize("status", [302, 404])
def test_what_is_no_coop_is_left_alone(server, submit, status):
    server.troubles = [status]
    with pytest.raises(SystemExit, match=f"status {status}"):
        submit()
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["http://coop.example", "http://127.0.0.1.example", "ftp://a.b"])
def test_the_key_does_not_travel_in_clear(tmp_path, url):
    with pytest.raises(SystemExit, match="2"):
        coop.main([str(tmp_path), url, "--item-type", "a", "--reporter-type", "b"])
