import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.load import UPLOADS, free_port, is_listening, post, running, uploads_of


@pytest.fixture(scope="module")
def service(tiny_bundle: Path) -> Iterator[int]:
    port = free_port()
    command = ["-m", "uvicorn", "examples.fastapi_upload:app", "--port", str(port)]
    command += ["--log-level", "warning"]
    with running(command, tiny_bundle, is_listening(port)):
        yield port


def test_64_clients_get_an_answer_to_each_upload(service: int) -> None:
    port = service

    def send(body: bytes) -> str:
        while True:
            status, answer = post(port, "/photos", body)
            if status != 503:
                assert status == 200
                return str(json.loads(answer)["decision"])
            time.sleep(0.05)

    answers = uploads_of(send)
    for name, decision in answers:
        assert re.fullmatch(UPLOADS[name][1], decision), name


def test_an_upload_that_is_too_large_is_refused_before_it_is_read(service: int) -> None:
    port = service
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"POST /photos HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nx")
        assert client.recv(100).startswith(b"HTTP/1.1 413")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"POST /photos HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(11):
            client.sendall(b"100000\r\n" + b"\0" * 0x100000 + b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413")


FORM = "multipart/form-data; boundary=xyz"


def form(*parts: tuple[str, bytes]) -> bytes:
    """A form as browsers send it."""
    return (
        b"".join(
            b'--xyz\r\nContent-Disposition: form-data; name="%b"\r\n'
            b"Content-Type: image/jpeg\r\n\r\n%b\r\n" % (name.encode(), content)
            for name, content in parts
        )
        + b"--xyz--\r\n"
    )


RED = UPLOADS["red"][0]


@pytest.mark.parametrize(
    ("kind", "body", "status", "decision"),
    [
        (FORM, form(("title", b"vase"), ('photo"; filename="a.jpg', RED)), 200, "priority"),
        (FORM, form(('photo"; filename="a.jpg', b"")), 200, "unscored"),
        (FORM, form(('photo"; filename="', b"")), 422, None),  # no file was chosen
        (FORM, form(("title", b"vase")), 422, None),
        (FORM, form(*[('photo"; filename="a.jpg', RED)] * 2), 400, None),
        (FORM, b"--xyz\r\nnonsense", 422, None),
        ("multipart/form-data", b"", 400, None),
        (FORM, form(('photo"; filename="a.jpg', bytes(11 << 20))), 413, None),
        ("image/jpeg", RED, 200, "priority"),
        ("application/octet-stream", RED, 200, "priority"),
        ("application/x-www-form-urlencoded", b"photo=a.jpg", 415, None),
        ("application/json", b"{}", 415, None),
    ],
)
def test_forms_and_photos(
    service: int, kind: str, body: bytes, status: int, decision: str | None
) -> None:
    found, answer = post(service, "/photos", body, {"Content-Type": kind})
    assert (found, json.loads(answer).get("decision")) == (status, decision)


def test_the_answer_has_words_for_the_seller(service: int) -> None:
    status, answer = post(service, "/photos", UPLOADS["text"][0])
    assert status == 200
    found = json.loads(answer)
    assert found["reason"] == "not_an_image"
    assert "JPEG or PNG" in found["message"]
    _, answer = post(service, "/health", b"", method="GET")
    assert json.loads(answer)["waiting"] == json.loads(answer)["replaced"] == 0
    assert json.loads(answer)["not_an_image"] >= 1
