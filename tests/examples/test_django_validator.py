from __future__ import annotations

import json
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


@LOADS
def test_64_clients_validate_photos(tiny_bundle: Path, count: int) -> None:
    port = free_port()
    command = ["-m", "tests.examples.django_site", str(port)]
    with running(command, tiny_bundle, is_listening(port)) as pid:

        def send(body: bytes) -> str:
            status, answer = post(port, "/photos", body)
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
