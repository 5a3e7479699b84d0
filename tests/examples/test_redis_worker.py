import itertools
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.examples.load import UPLOADS, free_port, is_listening, running

COUNT = 200
SERVER = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    command = [SERVER, "--port", port, "--save", "", "--dir", folder, "--loglevel", "warning"]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL)
    while not is_listening(port)():
        assert process.poll() is None, "the server did not start"
        time.sleep(0.05)
    yield port
    process.terminate()
    process.wait(30)


def test_each_image_is_answered_also_where_a_worker_is_killed(
    server: int, tiny_bundle: Path
) -> None:
    url = f"redis://127.0.0.1:{server}"
    client = redis.Redis.from_url(url)
    names = [*itertools.islice(itertools.cycle(UPLOADS), COUNT)]
    for number, name in enumerate(names):
        client.xadd("photos", {"id": number, "photo": UPLOADS[name][0]})
    command = ["examples/redis_worker.py", url]

    def answered() -> int:
        return int(client.xlen("decisions"))

    with running(command, tiny_bundle, lambda: answered() >= 50) as pid:
        subprocess.run(["kill", "-9", str(pid)], check=True)
    # What the killed worker has left is taken over after a minute; here, at once.
    for entry in client.xpending_range("photos", "recognizer", "-", "+", 100):
        client.xclaim(
            "photos", "recognizer", entry["consumer"], 0, [entry["message_id"]], idle=10**6
        )
    with running(command, tiny_bundle, lambda: client.xlen("photos") == 0):
        pass
    answers = {int(a[b"id"]): a[b"decision"].decode() for _, a in client.xrange("decisions")}
    assert answers.keys() == {*range(COUNT)}
    for number, decision in answers.items():
        assert re.fullmatch(UPLOADS[names[number]][1], decision), names[number]
    assert Counter(answers.values())["unscored"] > COUNT // 2
