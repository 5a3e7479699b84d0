"""The desk under any sequence of events: what was acknowledged is stored once, for what was shown.

The server is the one of the command line, in a process of its own that can be killed.
"""

import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.desk.server.queues import Client, Server, listing, said_in
from tests.rows.rows import NOW, digest, quick_folder, write_scan

PEOPLE = st.sampled_from(["Anna", "Ben", "Chloe"])
PLACES = st.integers(0, 1)  # of the two servers
JUDGEMENTS = st.sampled_from(["confirmed", "rejected", "unsure", "escalated"])
WITHDRAWAL = "withdrawal"


@dataclass(frozen=True)
class Said:
    """What the store must hold of one verdict, or of its withdrawal."""

    listing: str
    reviewer: str
    judgement: str
    occasion: str = "review"


class Desk(RuleBasedStateMachine):
    """Reviewers at up to two servers over one scan and one store of outcomes."""

    def __init__(self):
        super().__init__()
        self.folder = quick_folder()
        place = Path(self.folder.name)
        self.scan, self.team = place / "scan.sqlite", place / "team.sqlite"
        self.rows = {}
        self.listings = 0
        self.said = []  # all that must be stored, in this order
        self.standing = []  # of it what was not withdrawn
        self.decided = set()
        self.pages = {}
        self.add_listings(4, NOW)
        self.servers = {0: Server(self.scan, self.team)}

    def teardown(self):
        """Have somebody work through what is left: it is what nobody has decided."""
        try:
            self.restart_all(signal.SIGTERM)
            last = Client(self.servers[0].base, "Last")
            last.open()
            left = set()
            while last.listing is not None:
                left.add(last.shown)
                assert last.act("rejected").status_code == 200
            assert left == {*self.rows} - self.decided, (left, self.decided, self.said)
        finally:
            for server in self.servers.values():
                server.stop(signal.SIGKILL)
            for page in self.pages.values():
                page.http.close()
            self.folder.cleanup()

    def add_listings(self, count, at):
        for _ in range(count):
            self.listings += 1
            name = f"L{self.listings}"
            self.rows[name] = [replace(listing(name, 0.5 + self.listings / 1000), time=at)]
        write_scan(self.scan, [row for rows in self.rows.values() for row in rows])

    @rule(hours=st.sampled_from([-100, 0, 24]), count=st.integers(1, 2))
    def scan_grows(self, hours, count):
        """Also by a clock that goes back later."""
        self.add_listings(count, datetime.now(UTC) + timedelta(hours=hours))

    @rule(number=st.integers(0, 50), is_ahead=st.booleans())
    def listing_gets_a_lead(self, number, is_ahead):
        name = [*self.rows][number % len(self.rows)]
        rows = self.rows[name]
        source = f"{name}-{len(rows)}.jpg"
        time = datetime.now(UTC) + timedelta(hours=24 * is_ahead)
        rows.append(replace(rows[0], source=source, sha256=digest(source), time=time))
        write_scan(self.scan, rows)
        if [one.judgement for one in self.standing if one.listing == name][-1:] != ["confirmed"]:
            self.decided.discard(name)  # somebody has to see it

    @rule(place=PLACES, how=st.sampled_from([signal.SIGTERM, signal.SIGKILL]))
    def server_starts_again(self, place, how):
        if place not in self.servers:
            self.servers[place] = Server(self.scan, self.team)
            return
        self.servers[place].stop(how)
        self.servers[place].start()

    def restart_all(self, how):
        for server in self.servers.values():
            server.stop(how)
        for server in self.servers.values():
            server.start()

    @rule(who=PEOPLE, place=PLACES)
    def opens_the_desk(self, who, place):
        server = self.servers.get(place, self.servers[0])
        page = self.pages.get(who)
        if page is None or page.base != server.base:
            if page is not None:
                page.http.close()
            page = self.pages[who] = Client(server.base, who)
        page.open()
        self.look(page)

    @precondition(lambda self: self.pages)
    @rule(who=PEOPLE, do=JUDGEMENTS, is_part=st.booleans())
    def says(self, who, do, is_part):
        page = self.pages.get(who)
        if page is None or page.listing is None:
            return
        shown, photos = page.shown, page.photos
        answer = page.act(do, without=photos[-1:] if is_part and len(photos) > 1 else [])
        if answer.status_code == 200:
            self.stored(Said(shown, who, do))
        else:
            assert answer.status_code == 409
        self.look(page)

    @precondition(lambda self: self.pages)
    @rule(who=PEOPLE)
    def takes_it_back(self, who):
        page = self.pages.get(who)
        if page is None:
            return
        own = [one for one in self.standing if one.reviewer == who]
        assert page.act("undo").status_code == 200
        if not own:
            self.look(page)
            return
        self.standing.remove(own[-1])
        self.said.append(replace(own[-1], occasion=WITHDRAWAL))
        self.decided.discard(own[-1].listing)
        if page.listing is not None and own[-1].listing in self.rows:
            assert page.shown == own[-1].listing

    @precondition(lambda self: self.pages)
    @rule(who=PEOPLE, delay=st.floats(0, 0.02))
    def says_while_the_server_is_killed(self, who, delay):
        page = self.pages.get(who)
        if page is None or page.listing is None:
            return
        answers = []
        shown = page.shown

        def act():
            with suppress(httpx.TransportError):
                answers.append(page.act("rejected").status_code)

        thread = threading.Thread(target=act)
        thread.start()
        time.sleep(delay)
        (server,) = (one for one in self.servers.values() if one.base == page.base)
        server.stop(signal.SIGKILL)
        thread.join()
        server.start()
        is_new = len(verdicts_in(self.team)) > len(self.said)
        assert is_new or answers in ([], [409])
        if is_new:
            self.stored(Said(shown, who, "rejected"))

    def stored(self, said):
        assert said.listing in self.rows, "stored for a listing that is gone"
        assert said.listing not in self.decided, "decided twice"
        self.said.append(said)
        self.standing.append(said)
        self.decided.add(said.listing)

    def look(self, page):
        if page.listing is not None:
            assert page.shown not in self.decided, "what was decided comes back"

    @invariant()
    def what_was_acknowledged_is_stored_once(self):
        assert verdicts_in(self.team) == self.said


def verdicts_in(team):
    """What the store holds, each verdict once that is about several images."""
    found = {}
    for one in said_in(team):
        said = Said(one.listing, one.reviewer, one.judgement, one.occasion)
        found[one.time, said] = said
    return [*found.values()]


QUICK = settings(
    max_examples=2,
    stateful_step_count=20,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
)


def test_what_was_acknowledged_is_stored_once_whatever_happens():
    run_state_machine_as_test(Desk, settings=QUICK)
