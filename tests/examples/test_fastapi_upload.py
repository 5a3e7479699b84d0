from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.load import (
    LOADS,
    UPLOADS,
    free_port,
    is_listening,
    post,
    report,
    running,
    uploads_of,
)

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def service(tiny_bundle: Path) -> Iterator[tuple[int, int]]:
    port = free_port()
    command = ["-m", "uvicorn", "examples.fastapi_upload:app", "--port", str(port)]
    command += ["--log-level", "warning"]
    with running(command, tiny_bundle, is_listening(port)) as pid:
        yield port, pid


@LOADS
def test_64_clients_get_an_answer_to_each_upload(service: tuple[int, int], count: int) -> None:
    port, pid = service

    def send(body: bytes) -> str:
        while True:
            status, answer = post(port, "/photos", body)
            if status != 503:
                assert status == 200
                return str(json.loads(answer)["decision"])
            time.sleep(0.05)

    answers, seconds = uploads_of(send, count, 64)
    assert answers.total() == count
    for name, decision in answers:
        assert re.fullmatch(UPLOADS[name][1], decision), name
    report("FastAPI, 64 clients", seconds, pid)


def test_an_upload_that_is_too_large_is_refused_before_it_is_read(service: tuple[int, int]) -> None:
    port, _ = service
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"POST /photos HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nx")
        assert client.recv(100).startswith(b"HTTP/1.1 413")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"POST /photos HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(11):
            client.sendall(b"100000\r\n" + b"\0" * 0x100000 + b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413")


def test_the_answer_has_words_for_the_seller(service: tuple[int, int]) -> None:
    status, answer = post(service[0], "/photos", UPLOADS["text"][0])
    assert status == 200
    found = json.loads(answer)
    assert found["reason"] == "not_an_image"
    assert "JPEG or PNG" in found["message"]
