import os
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from examples import fastapi_upload
from tests.conftest import encoded, picture, run_python
from tests.docs.blocks import ROOT
from tests.pictures import png
from tests.serving import serving

RED = encoded(picture("red"))
UPLOADS = {
    "red": (RED, "review|priority"),
    "green": (encoded(picture("green"), "PNG"), "clear"),
    "empty": (b"", "unscored"),
    "text": (b"<html>not a photo</html>", "unscored"),
    "truncated": (RED[:300], "unscored"),
    "garbage": (b"\xff\xd8\xff\xe0" + bytes(range(256)) * 8, "unscored"),
    "bomb": (png(9500, 9500, bytes(64)), "unscored"),
}
"""Name -> bytes, and the decision that they must get."""


@pytest.fixture(scope="module")
def service(tiny_bundle):
    how = {"timeout": 600, "limits": httpx.Limits(max_keepalive_connections=0)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BUNDLE", str(tiny_bundle))
        patch.setattr(fastapi_upload, "PROCESSES", 2)
        patch.setattr(fastapi_upload, "TIMEOUT", 300)  # no photo hangs here
        with (
            serving(fastapi_upload.app, log_level="warning") as url,
            httpx.Client(base_url=url, trust_env=False, **how) as client,
        ):
            yield client


def test_64_clients_get_an_answer_to_each_upload(service):
    def send(name):
        while True:
            answer = service.post("/photos", content=UPLOADS[name][0])
            if answer.status_code != 503:
                assert answer.status_code == 200
                return str(answer.json()["decision"])
            time.sleep(0.05)

    names = [*UPLOADS] * 43
    with ThreadPoolExecutor(64) as threads:
        for name, decision in zip(names, threads.map(send, names), strict=True):
            assert re.fullmatch(UPLOADS[name][1], decision), name


def test_an_upload_that_is_too_large_is_refused_before_it_is_read(service):
    place = (service.base_url.host, service.base_url.port)
    with socket.create_connection(place, timeout=600) as client:
        client.sendall(b"POST /photos HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nx")
        assert client.recv(100).startswith(b"HTTP/1.1 413")
    with socket.create_connection(place, timeout=600) as client:
        client.sendall(b"POST /photos HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(11):
            client.sendall(b"100000\r\n" + b"\0" * 0x100000 + b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413")


FORM = "multipart/form-data; boundary=xyz"


def form(*parts):
    """A form as browsers send it."""
    head = b'--xyz\r\nContent-Disposition: form-data; name="%b"\r\nContent-Type: image/jpeg\r\n\r\n'
    body = b"".join(head % name.encode() + content + b"\r\n" for name, content in parts)
    return body + b"--xyz--\r\n"


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
def test_forms_and_photos(service, kind, body, status, decision):
    answer = service.post("/photos", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json().get("decision")) == (status, decision)


def test_the_answer_has_words_for_the_seller(service):
    answer = service.post("/photos", content=UPLOADS["text"][0])
    assert (answer.status_code, answer.json()["reason"]) == (200, "not_an_image")
    assert "JPEG or PNG" in answer.json()["message"]
    metrics = service.get("/metrics").text.splitlines()
    assert "photos_in_work 0.0" in metrics
    assert any('reason="not_an_image"' in line for line in metrics)


def test_web_workers_share_processes_and_metrics(tiny_bundle, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("web")
    monkeypatch.setenv("WEB_CONCURRENCY", "2")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    program = "from examples.fastapi_upload import PROCESSES; print(PROCESSES)"
    env = {**os.environ, "BUNDLE": str(tiny_bundle), "PROCESSES": "4", "PYTHONPATH": str(ROOT)}
    assert run_python("-c", program, env=env).stdout == "2\n"
    transport = httpx.HTTPTransport(
        uds=f"{folder}/socket", limits=httpx.Limits(max_keepalive_connections=0)
    )
    command = [sys.executable, "-m", "uvicorn", "examples.fastapi_upload:app"]
    with httpx.Client(transport=transport, base_url="http://service", timeout=600) as client:

        def metrics():
            with suppress(httpx.TransportError):
                return client.get("/metrics").text
            return ""

        with subprocess.Popen([*command, "--uds", f"{folder}/socket"], cwd=ROOT, env=env) as web:
            try:
                while not metrics():
                    assert web.poll() is None, "the service has ended"
                    time.sleep(0.1)
                for _ in range(20):
                    assert client.post("/photos", content=UPLOADS["empty"][0]).status_code == 200
                for _ in range(8):  # of either
                    assert 'photos_total{decision="unscored",reason="empty"} 20.0' in metrics()
            finally:
                web.terminate()
