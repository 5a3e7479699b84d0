"""Images from the web: of allowed hosts alone, by one request, within limits."""

import gzip
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from recognizer.desk.photos import original_reader
from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused
from recognizer.rows import ScanFile
from recognizer.scan import Item, stores
from recognizer.scan.worker import Reader
from recognizer.status import Reason
from tests.conftest import encoded, invoke, picture, read_rows

PHOTO = encoded(picture("red"))
DRIPS = 1200  # a minute


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.host = f"127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Let clients break off, which they do here."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_): ...

    def do_GET(self):
        self.server.requests.append(f"{self.command} {self.path}")
        status, headers, body = 200, {"Content-Length": str(len(PHOTO))}, PHOTO
        match self.path.split("?")[0].split("/"):
            case ["", "status", code]:
                status = int(code)
            case ["", "redirect"]:
                status, body = 302, b""
                headers = {"Location": "/photo.jpg", "Content-Length": "0"}
            case ["", "packed"]:
                body = gzip.compress(PHOTO)
                headers = {"Content-Encoding": "gzip", "Content-Length": str(len(body))}
            case ["", "short"]:
                body = PHOTO[:100]
            case ["", "large" | "endless" | "drip"]:
                headers = {"Content-Length": str(1 << 40)} if "large" in self.path else {}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        for _ in range(DRIPS if "drip" in self.path else 0):
            self.wfile.write(b"x")
            time.sleep(0.05)
        while "endless" in self.path or "large" in self.path:
            self.wfile.write(bytes(10_000))

    do_HEAD = do_GET  # noqa: N815 - the name that the base class calls


@pytest.fixture
def server():
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


def fetch(server, path, host=None):
    try:
        reader = Reader(Limits(max_bytes=100_000), {host or server.host})
        return reader.read(Item.at(f"http://{server.host}/{path}"))
    except Refused as refused:
        return refused.reason, refused.detail


def test_an_image_of_an_allowed_host_takes_one_request(server):
    assert fetch(server, "photo.jpg?size=big&q=a%20b") == PHOTO
    assert server.requests == ["GET /photo.jpg?size=big&q=a%20b"]
    assert fetch(server, "packed") == gzip.compress(PHOTO)  # which could grow without bounds


@pytest.mark.parametrize(
    ("path", "reason", "words"),
    [
        ("status/404", Reason.NOT_FOUND, "FileNotFoundError"),
        ("status/410", Reason.NOT_FOUND, "HTTP 410"),
        ("status/403", Reason.PERMISSION_DENIED, "HTTP 403"),
        ("status/503", Reason.READ_ERROR, "HTTP 503"),
        ("status/206", Reason.READ_ERROR, "HTTP 206"),
        ("redirect", Reason.READ_ERROR, "HTTP 302"),
        ("short", Reason.READ_ERROR, ""),
        ("large", Reason.TOO_MANY_BYTES, "limit 100000"),
        ("endless", Reason.TOO_MANY_BYTES, "limit 100000"),
    ],
)
def test_any_other_answer_is_a_reason(server, path, reason, words):
    answer = fetch(server, path)
    assert isinstance(answer, tuple)
    assert answer[0] is reason, answer
    assert words in answer[1]
    assert len(server.requests) == 1


def test_a_server_that_never_ends_is_left(server, monkeypatch):
    monkeypatch.setattr(stores, "WEB_SECONDS", 0.5)
    assert fetch(server, "drip") == (Reason.READ_ERROR, "no answer in time")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Refused, match="no answer"):
            Reader(Limits(), {host}).read(Item.at(f"http://{host}/a.jpg"))
    with pytest.raises(Refused):  # and nobody listens there any more
        Reader(Limits(), {host}).read(Item.at(f"http://{host}/a.jpg"))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://{host}.evil.example/",
            "http://evil.example/{host}",
            "http://{host}@evil.example/",
        ),
        *("http://{host}:80/", "http://evil.example#@{host}/", "http://evil.example\\@{host}/"),
        *("http://user:s3cret@{host}/", "http:/{host}/", "http:///{host}/", "http://{host}\t/"),
        *("http://127.0.0.1/", "http://localhost:{port}/", "http://", "HTTPS://{port}:{host}"),
    ],
)
def test_no_other_host_is_asked(server, monkeypatch, url):
    monkeypatch.setattr("fsspec.filesystem", lambda *_, **__: pytest.fail("a request"))
    url = url.format(host=server.host, port=server.server_port)
    with pytest.raises(Refused) as caught:
        Reader(Limits(), {server.host}).read(Item.at(url))
    if url.lower().startswith("http://"):
        assert caught.value.reason is Reason.SOURCE_REFUSED
        assert "s3cret" not in caught.value.detail
    assert server.requests == []


def test_the_host_is_a_setting_of_the_scans_file(server, tiny_bundle, tmp_path):
    table, output = tmp_path / "t.csv", tmp_path / "scan.sqlite"
    table.write_text(f"id,image\n1,http://{server.host}/photo.jpg\n")
    command = ("scan", table, "--model", tiny_bundle, "--workers", 1, "--output", output)
    assert "source_refused" in invoke(*command, code=0).stdout
    (row,) = read_rows(output)
    assert row["detail"] == f"the web needs --allow-host {server.host}"
    assert server.requests == []
    invoke(*command, "--allow-host", server.host, code=0)
    (row,) = read_rows(output)
    assert (row["status"], row["decision"]) == ("ok", "priority")
    invoke(*command, f"http://{server.host}/other.jpg", code=0)  # remembered
    assert {row["status"] for row in read_rows(output)} == {"ok"}
    with ScanFile(output) as file:
        read = original_reader(file)
        assert [read(row) for row in file.rows()] == [PHOTO, PHOTO]
