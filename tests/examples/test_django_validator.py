from __future__ import annotations

import functools
import json
import time
from concurrent.futures import ThreadPoolExecutor
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
from django.conf import settings

from examples import django_validator


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


def test_the_first_requests_share_one_recognizer(monkeypatch: pytest.MonkeyPatch) -> None:
    if not settings.configured:
        settings.configure()
    loaded: list[object] = []

    def load(*_: object, **__: object) -> object:
        time.sleep(0.02)  # while the other threads arrive
        loaded.append(object())
        return loaded[-1]

    monkeypatch.setattr(django_validator.GuardedRecognizer, "load", load)
    monkeypatch.setattr(
        django_validator, "_load", functools.cache(django_validator._load.__wrapped__)
    )
    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(django_validator.recognizer) for _ in range(8)]
    assert [call.result() for call in calls] == loaded * 8
