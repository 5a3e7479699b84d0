import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest
import redis

from tests.examples.load import UPLOADS, running

SERVER = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("redis")
    socket = folder / "socket"  # a port might be given to another program meanwhile
    command = [SERVER, "--port", 0, "--unixsocket", socket, "--save", "", "--dir", folder]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL)
    client = redis.Redis.from_url(url := f"unix://{socket}")
    while True:
        with suppress(redis.ConnectionError):
            client.ping()
            break
        assert process.poll() is None, "the server did not start"
        time.sleep(0.05)
    yield url
    process.terminate()
    process.wait(30)


def test_each_image_is_answered_even_if_a_worker_is_killed(server, tiny_bundle):
    client = redis.Redis.from_url(server)
    names = [*UPLOADS] * 29
    for number, name in enumerate(names):
        client.xadd("photos", {"id": number, "photo": UPLOADS[name][0]})
    command = ["examples/redis_worker.py", server]
    with running(command, tiny_bundle, lambda: client.xlen("decisions") >= 50) as pid:
        subprocess.run(["kill", "-9", str(pid)], check=True)
    # What the killed worker has left is taken over after a minute; here, at once.
    for entry in client.xpending_range("photos", "recognizer", "-", "+", 100):
        client.xclaim(
            "photos", "recognizer", entry["consumer"], 0, [entry["message_id"]], idle=10**6
        )
    with running(command, tiny_bundle, lambda: client.xlen("photos") == 0):
        pass
    answers = {int(a[b"id"]): a[b"decision"].decode() for _, a in client.xrange("decisions")}
    assert answers.keys() == {*range(len(names))}
    for number, decision in answers.items():
        assert re.fullmatch(UPLOADS[names[number]][1], decision), names[number]
    assert Counter(answers.values())["unscored"] > len(names) // 2
