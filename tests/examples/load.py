"""Many clients of one service, and what became of their uploads."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
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


@contextmanager
def running(command: list[str], bundle: Path, is_up: Callable[[], bool]) -> Iterator[int]:
    """Run a service until the block ends; yields its process id."""
    environment = {**os.environ, "BUNDLE": str(bundle), "PROCESSES": "2", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment)
    try:
        deadline = time.monotonic() + 600
        while not is_up():
            assert process.poll() is None, "the service has ended"
            assert time.monotonic() < deadline, "the service did not start"
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def uploads_of(send: Callable[[bytes], str]) -> Counter[tuple[str, str]]:
    """Send 301 uploads from 64 threads; return (name, answer) -> how often."""
    names = [*UPLOADS] * 43
    with ThreadPoolExecutor(64) as threads:
        answers = threads.map(lambda name: send(UPLOADS[name][0]), names)
        return Counter(zip(names, answers, strict=True))
