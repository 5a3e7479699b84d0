from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.examples.load import (
    LOADS,
    free_port,
    is_listening,
    post,
    report,
    running,
    uploads_of,
)

pytest.importorskip("django")


@pytest.mark.stress
@LOADS
def test_64_clients_validate_photos(tiny_bundle: Path, count: int) -> None:
    port = free_port()
    command = ["-m", "tests.examples.django_site", str(port)]
    with running(command, tiny_bundle, is_listening(port)) as pid:

        def send(body: bytes) -> str:
            while True:
                try:
                    status, answer = post(port, "/photos", body)
                    break
                except ConnectionError:  # the standard library's server drops some when crowded
                    time.sleep(0.1)
            assert status == 200
            return ",".join(json.loads(answer)["codes"]) or "valid"

        answers, seconds = uploads_of(send, count, 64)
        report("Django, 64 clients", seconds, pid)
    assert answers.total() == count
    assert {*answers} == {
        ("red", "lead"),
        ("green", "valid"),
        *((name, "unreadable") for name in ("empty", "text", "truncated", "garbage", "bomb")),
    }
