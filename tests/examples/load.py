"""Many clients of one service, and what became of their uploads."""

import http.client
import itertools
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import encoded, picture

ROOT = Path(__file__).parents[2]


UPLOADS = {
    "red": (encoded(picture("red")), "review|priority"),
    "green": (encoded(picture("green"), "PNG"), "clear"),
    "empty": (b"", "unscored"),
    "text": (b"<html>not a photo</html>", "unscored"),
    "truncated": (encoded(picture("red"))[:300], "unscored"),
    "garbage": (b"\xff\xd8\xff\xe0" + bytes(range(256)) * 8, "unscored"),
    # A header that claims 90 megapixels.
    "bomb": (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x25\x1c\0\0\x25\x1c\x08\x02\0\0\0" + b"\0" * 64,
        "unscored",
    ),
}
"""Name -> bytes, and the decision that they must get."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(command: list[str], bundle: Path, is_up: Callable[[], bool]) -> Iterator[int]:
    """Run a service until the block ends; yields its process id."""
    environment = {**os.environ, "BUNDLE": str(bundle), "PROCESSES": "2", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment)
    try:
        deadline = time.monotonic() + 120
        while not is_up():
            assert process.poll() is None, "the service has ended"
            assert time.monotonic() < deadline, "the service did not start"
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def is_listening(port: int) -> Callable[[], bool]:
    def connect() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return connect


def post(
    port: int,
    path: str,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def uploads_of(
    send: Callable[[bytes], str], count: int = 300, clients: int = 64
) -> Counter[tuple[str, str]]:
    """Send uploads from many threads; return (name, answer) -> how often."""
    names = [*itertools.islice(itertools.cycle(UPLOADS), count)]
    with ThreadPoolExecutor(clients) as threads:
        answers = threads.map(lambda name: send(UPLOADS[name][0]), names)
        found = Counter(zip(names, answers, strict=True))
    assert found.total() == count
    return found
