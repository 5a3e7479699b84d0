"""The web: what is public is fetched, within limits, and nothing else can be reached."""

import ipaddress
import socket
from collections.abc import Iterator

import pytest

from recognizer.errors import UsageError
from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused
from recognizer.scan import Access, ScanOptions, expand, web
from recognizer.scan.items import Item
from recognizer.scan.web import fetch
from recognizer.scan.worker import Reader
from recognizer.status import Reason
from tests.scan.locations.web_server import PHOTO, LoopbackToo, Server, serving

LOOPBACK = LoopbackToo(allow_http=True)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    running.requests.clear()
    monkeypatch.setattr(web, "PAUSES", (0.01, 0.01))
    return running


def refused(url: str, limits: Limits | None = None, access: Access = LOOPBACK) -> Refused:
    with pytest.raises(Refused) as caught:
        fetch(url, limits or Limits(), access)
    return caught.value


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "100.100.100.200", "168.63.129.16", "224.0.0.1", "255.255.255.255"),
        *("192.0.0.192", "198.18.0.1", "203.0.113.1", "240.0.0.1"),
        *("::1", "::", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
        *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::", "::7f00:1", "64:ff9b:1::1"),
    ],
)
def test_addresses_that_are_not_for_everybody(address: str) -> None:
    assert Access().refusal(ipaddress.ip_address(address), 443) is not None


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses(address: str) -> None:
    http, https, ssh = (Access().refusal(ipaddress.ip_address(address), p) for p in (80, 443, 22))
    assert http is https is None
    assert "port 22" in str(ssh)


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/"),
        *("http://127.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://localhost/"),
        *("http://169.254.169.254/latest/meta-data/", "http://0/", "https://127.0.0.1/"),
        *("http://user:secret@example.com/", "http://user@example.com/", "http:///x", "http://"),
        *("http://8.8.8.8:22/", "http://8.8.8.8:99999/", "http://8.8.8.8:0/", "http://8.8.8.8:x/"),
        *("http://[::1/", "file:///etc/passwd", "ftp://8.8.8.8/", "http://" + "a" * 70 + ".com/"),
    ],
)
def test_urls_that_lead_where_they_should_not(url: str) -> None:
    assert refused(url, access=Access(allow_http=True)).reason is Reason.SOURCE_REFUSED


def test_a_photo(server: Server) -> None:
    assert fetch(f"{server.url}/photo?size=large&q=a%20b c", Limits(), LOOPBACK) == PHOTO
    host = server.url.removeprefix("http://")
    assert server.requests == [(host, "/photo?size=large&q=a%20b%20c")]
    assert fetch(f"{server.url}/to?/to?{server.url}/photo", Limits(), LOOPBACK) == PHOTO


@pytest.mark.parametrize(
    ("path", "reason", "words"),
    [
        ("status?404", Reason.NOT_FOUND, "HTTP 404"),
        ("status?410", Reason.NOT_FOUND, "HTTP 410"),
        ("status?403", Reason.PERMISSION_DENIED, "HTTP 403"),
        ("status?500", Reason.READ_ERROR, "HTTP 500"),
        ("status?204", Reason.READ_ERROR, "HTTP 204"),
        ("status?206", Reason.READ_ERROR, "HTTP 206"),
        ("status?302", Reason.READ_ERROR, "without a Location header"),
        ("packed", Reason.READ_ERROR, "compressed (gzip)"),
        ("short", Reason.READ_ERROR, "IncompleteRead"),
        ("large", Reason.TOO_MANY_BYTES, "1099511627776 bytes"),
        ("endless", Reason.TOO_MANY_BYTES, "limit 100000"),
        ("to?/to?/to?/to?/to?/to?/to?/x", Reason.READ_ERROR, "more than 5 redirects"),
    ],
)
def test_answers_that_are_no_photo(server: Server, path: str, reason: Reason, words: str) -> None:
    found = refused(f"{server.url}/{path}", Limits(max_bytes=100_000))
    assert found.reason is reason
    assert words in found.detail


@pytest.mark.parametrize(
    "target",
    [
        *("http://127.0.0.2:{port}/photo", "http://169.254.169.254/latest/meta-data/"),
        *("http://[::1]:{port}/photo", "http://user:pass@127.0.0.1:{port}/photo"),
        *("//10.0.0.1/", "file:///etc/passwd"),
    ],
)
def test_each_redirect_passes_the_gate(server: Server, target: str) -> None:
    target = target.format(port=server.server_port)
    assert refused(f"{server.url}/to?{target}").reason is Reason.SOURCE_REFUSED
    assert len(server.requests) == 1


def test_what_may_pass_is_tried_again(server: Server) -> None:
    assert fetch(f"{server.url}/flaky", Limits(), LOOPBACK) == PHOTO
    assert len(server.requests) == 3
    assert refused(f"{server.url}/status?404").reason is Reason.NOT_FOUND
    assert len(server.requests) == 4


@pytest.mark.parametrize("path", ["drip", "slow_header"])
def test_a_server_that_never_ends_is_left(
    server: Server, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """It sends until its client has gone, or for a minute."""
    monkeypatch.setattr(web, "MAX_SECONDS", 0.4)
    assert refused(f"{server.url}/{path}").reason is Reason.READ_ERROR
    assert server.ended == 0


def test_a_name_is_looked_up_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second answer, by which the name would lead elsewhere, is never asked for."""
    answers = ["127.0.0.1", "127.0.0.9"]
    asked: list[str] = []

    def getaddrinfo(host: str, *_: object, **__: object) -> list[object]:
        if not host[0].isdigit():  # an address is asked for by create_connection
            asked.append(host)
            host = answers.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, server.server_port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    url = f"http://photos.example:{server.server_port}/photo"
    assert fetch(url, Limits(), LOOPBACK) == PHOTO
    assert asked == ["photos.example"]
    assert server.requests == [(f"photos.example:{server.server_port}", "/photo")]
    assert refused(url).reason is Reason.SOURCE_REFUSED  # the second answer


def test_one_private_address_among_many_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = ("8.8.8.8", "10.0.0.1")
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert "10.0.0.1" in refused("http://photos.example/").detail


def test_no_connection(server: Server) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert refused(f"http://127.0.0.1:{closed.getsockname()[1]}/").reason is Reason.READ_ERROR
    # And one that speaks no TLS.
    assert refused(server.url.replace("http", "https")).reason is Reason.READ_ERROR


def test_the_web_needs_leave(server: Server) -> None:
    with pytest.raises(UsageError, match="--allow-http"):
        expand([f"{server.url}/photo"])
    (item,) = expand([f"{server.url}/photo"], ScanOptions(access=LOOPBACK))
    assert Reader(Limits(), LOOPBACK).read(item) == PHOTO
    # What a list or table names is refused by the reader.
    with pytest.raises(Refused, match="--allow-http"):
        Reader(Limits(), Access()).read(item)
    with pytest.raises(Refused, match="not a public address"):
        Reader(Limits(), Access(allow_http=True)).read(Item.at("http://127.0.0.1/photo"))


def test_items_are_read_ahead(server: Server) -> None:
    items = [Item.at(f"{server.url}/{name}") for name in ("photo", "status?404", "photo")]
    reader = Reader(Limits(), LOOPBACK)
    for item in items:
        reader.expect(item)
    assert reader.read(items[2]) == PHOTO
    with pytest.raises(Refused, match="404"):
        reader.read(items[1])
    assert reader.read(items[0]) == PHOTO
    assert len(server.requests) == 3
