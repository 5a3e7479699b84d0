"""A web server on the loopback with the habits of the web, and an access that may reach it."""

import ipaddress
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from recognizer.scan.items import Access, IpAddress
from tests.conftest import encoded, picture

PHOTO = encoded(picture("red"))
LOOPBACK = ipaddress.ip_address("127.0.0.1")
DRIPS = 1200  # a minute


class LoopbackToo(Access):
    """Lets this one address pass, whatever the port."""

    def refusal(self, address: IpAddress, port: int) -> str | None:
        return None if address == LOOPBACK else super().refusal(address, port)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str]] = []
        self.ended = 0  # answers that were sent to their end, though they have hardly any

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients break off here; that is what the tests are for."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.requests.append((self.headers["Host"], self.path))
        name, _, query = self.path[1:].partition("?")
        getattr(self, f"send_{name}", self.send_photo)(query)

    def send_photo(self, _: str) -> None:
        self._send(200, PHOTO)

    def send_status(self, code: str) -> None:
        self._send(int(code), b"gone")

    def send_to(self, url: str) -> None:
        self._send(302, b"", Location=url)

    def send_packed(self, _: str) -> None:
        self._send(200, PHOTO, **{"Content-Encoding": "gzip"})

    def send_short(self, _: str) -> None:
        self._send(200, PHOTO[:100], **{"Content-Length": str(len(PHOTO))})

    def send_large(self, _: str) -> None:
        self._send(200, b"", **{"Content-Length": str(1 << 40)})

    def send_endless(self, _: str) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(bytes(10_000))

    def send_drip(self, _: str) -> None:
        self.send_response(200)
        self.end_headers()
        self._drip()

    def send_slow_header(self, _: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        self._drip()

    def _drip(self) -> None:
        for _ in range(DRIPS):
            self.wfile.write(b"x")
            time.sleep(0.05)
        self.server.ended += 1

    def send_flaky(self, _: str) -> None:
        tries = sum(path == self.path for _, path in self.server.requests)
        self._send(200 if tries == 3 else 503, PHOTO)

    def _send(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
