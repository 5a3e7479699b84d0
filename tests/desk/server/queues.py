"""Queues for tests: scans of listings, a server over them, and reviewers without a browser."""

import multiprocessing
import os
import re
import signal
import socket
import sys
import time
import weakref
from contextlib import contextmanager
from dataclasses import replace

import httpx

from recognizer.commands import main
from recognizer.desk.app import make_app
from recognizer.desk.outcomes import Judgement, Outcomes
from recognizer.desk.photos import Photos
from recognizer.desk.queue import Queue
from recognizer.policy.values import Decision
from tests.rows.rows import NOW, bare_row, digest, lead
from tests.serving import serving

REJECTED, CONFIRMED = Judgement.REJECTED, Judgement.CONFIRMED
EVIL = '"><script>document.title="owned"</script><img src=x onerror=alert(1)>{{7*7}}'
SOME_KEY = "0" * 15 + "1"


def listing(name, score=0.6, level="review", **columns):
    item = {"listing_id": name, "title": f"Title of {name}", **columns}
    return bare_row(f"{name}.jpg", score, level, item=item, time=NOW)


def many(count):
    return [
        listing(f"L{i:05}", round(0.5 + 0.4 * i / count, 6), seller=f"S{i // 5}")
        for i in range(count)
    ]


def copy_of(row, **changes):
    return replace(row, sha256=digest("the same photo"), **changes)


def tusk_fish_and_broken():
    """One listing by the policy strict, which has animals and failures reviewed too."""
    tusk = listing("a", 0.9)
    fish = replace(tusk, source="fish.jpg", sha256=digest("fish"), leads=(), why=("an animal",))
    broken = bare_row("broken.jpg", 0, "unscored", item=tusk.item, sha256=digest("broken"))
    horn = replace(tusk, source="horn.jpg", sha256=digest("horn"), leads=(lead("rhino_horn", 0.5),))
    return [tusk, fish, replace(broken, decision=Decision.REVIEW), horn]


def said_in(path):
    with Outcomes(path) as outcomes:
        return [*outcomes]


@contextmanager
def served(scan, bundles=(), outcomes=None, prepare=lambda _: None, **parts):
    """A server over a scan, in a thread; its address."""
    with Queue(scan, outcomes) as desk, Photos(desk.file, bundles=[*bundles]) as photos:
        prepare(desk)
        app = make_app(desk, photos, **{"secret": "secret of a test", "port": 0, **parts})
        with serving(app, log_level="warning") as url:
            yield url


def serve(log, *arguments):
    """Run the command of the server in this process."""
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    # Some versions of Python hold them back in all that a fork server forks.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    sys.argv = ["recognizer", "review", *map(str, arguments)]
    main()


class Server:
    """A server in a process that can be killed, always at the same address."""

    def __init__(self, scan, team, *options):
        reserved = socket.socket()  # bound, so that nobody else is given the port meanwhile
        weakref.finalize(self, reserved.close)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        self.base, self.log = f"http://127.0.0.1:{port}", team.with_name("log")
        self._args = (scan, "--outcomes", team, "--port", port, *options)
        self.start()

    def start(self):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, "uvicorn"])
        self.process = context.Process(target=serve, args=(self.log, *self._args), daemon=False)
        self.process.start()
        end = time.monotonic() + 600
        while True:
            try:
                httpx.get(f"{self.base}/login")
                return
            except httpx.TransportError:
                assert self.process.is_alive(), self.log.read_text()
                assert time.monotonic() < end
                time.sleep(0.02)

    def stop(self, how):
        if self.process.is_alive():
            assert self.process.pid is not None
            os.kill(self.process.pid, how)
        self.process.join(60)
        assert not self.process.is_alive()


class Client:
    """A reviewer without a browser; ``listing`` is the key of the one on the page."""

    def __init__(self, base, name, token=""):
        self.base = base
        self.http = httpx.Client(base_url=base, timeout=60)
        answer = self.http.post("/login", data={"name": name, "token": token})
        assert answer.status_code == 303, answer.text
        self.listing = None
        self.digest = None  # of the photos on the page
        self.title = ""
        self.photos = []

    @property
    def shown(self):
        """The name of the listing on the page, as :func:`listing` gives titles."""
        return self.title.removeprefix("Title of ")

    def open(self, path="/"):
        page = self.http.get(path).raise_for_status().text
        self._look(page)
        return page

    def act(self, do, query="", **data):
        card = {} if do == "undo" else {"listing": self.listing, "shown": self.digest}
        answer = self.http.post(f"/act{query}", json={"do": do, **card, **data})
        if answer.headers["content-type"] == "application/json" and "html" in answer.json():
            self._look(answer.json()["html"])
        return answer

    def _look(self, html):
        card = r'data-listing="(\w+)" data-shown="(\w+)" data-may-decide="yes"'
        self.listing, self.digest = next(iter(re.findall(card, html)), (None, None))
        self.title = "".join(re.findall(r'class="title" title="([^"]*)"', html))
        self.photos = re.findall(r'data-photo="(\w+)"', html)
