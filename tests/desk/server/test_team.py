"""Five reviewers at once, over a real socket, while the server is killed under them; its end."""

import hashlib
import signal
import socket
import threading
import time

import httpx

from tests.desk.server.queues import Client, Server, many, said_in
from tests.rows.rows import bare_row, write_scan

LISTINGS = 120


class Team:
    def __init__(self, folder):
        scan = write_scan(folder / "scan.sqlite", many(LISTINGS))
        self.server = Server(scan, folder / "team.sqlite")
        self.stored = []
        self.errors = []

    def work(self, name):
        """Sign in, decide until nothing is left, and come back after a crash."""
        while True:
            try:
                client = Client(self.server.base, name)
                client.open()
                while client.listing is not None:
                    self._decide(client, name)
                return
            except httpx.TransportError:
                time.sleep(0.2)  # it is being started again

    def _decide(self, client, name):
        answer = client.act("confirmed" if int(client.listing, 16) % 3 else "rejected")
        if answer.status_code != 200:  # as if it was handed to two people
            self.errors.append(f"{answer.status_code} {answer.text}")
        self.stored.append((answer.json()["notice"].rpartition("Title of ")[2], name))


def test_five_reviewers_lose_nothing_when_the_server_is_killed(tmp_path, request):
    team = Team(tmp_path)
    request.addfinalizer(lambda: team.server.stop(signal.SIGKILL))
    workers = [threading.Thread(target=team.work, args=(f"R{i}",)) for i in range(5)]
    for worker in workers:
        worker.start()
    while len(team.stored) < LISTINGS // 3:
        assert any(worker.is_alive() for worker in workers)
        time.sleep(0.01)
    team.server.stop(signal.SIGKILL)
    team.server.start()
    for worker in workers:
        worker.join()
    assert not team.errors
    outcomes = said_in(tmp_path / "team.sqlite")
    said = [(outcome.listing, outcome.reviewer) for outcome in outcomes]
    assert set(team.stored) <= set(said)  # whatever was acknowledged is there
    assert len(said) == len({name for name, _ in said}) == LISTINGS  # each once, by one person


def test_who_reads_no_answer_does_not_keep_the_server_from_ending(tmp_path):
    photo, content = tmp_path / "large.png", bytes(32 << 20)
    photo.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    rows = [bare_row(str(photo), 0.9, "review", sha256=sha256, format="png")]
    server = Server(write_scan(tmp_path / "scan.sqlite", rows), tmp_path / "team.sqlite")
    anna = Client(server.base, "Anna")
    anna.open()
    url = httpx.URL(f"{server.base}/photo/{anna.photos[0]}/original")
    ((name, cookie),) = anna.http.cookies.items()
    request = f"GET {url.path} HTTP/1.1\r\nHost: {url.host}\r\nCookie: {name}={cookie}\r\n\r\n"
    with socket.create_connection((url.host, url.port)) as stalled:
        stalled.sendall(request.encode())
        assert stalled.recv(15, socket.MSG_WAITALL) == b"HTTP/1.1 200 OK"
        server.stop(signal.SIGTERM)
    assert "Traceback" not in server.log.read_text()
