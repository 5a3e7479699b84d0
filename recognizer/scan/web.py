"""Images from the web. Strangers write the URLs, which must not reach what only this machine may.

A host name is resolved once, all its addresses must be public, and the connection goes to one of
them, without a second look-up (DNS rebinding). Source: OWASP, SSRF Prevention Cheat Sheet.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from recognizer import __version__
from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused, refusal
from recognizer.scan.items import PORTS, Access, IpAddress
from recognizer.status import Reason

MAX_SECONDS = 20.0  # for an image, with all attempts and redirects: less than a scan's timeout

PAUSES = (0.5, 2.0)  # seconds before the second and the third attempt
MAX_REDIRECTS = 5
_SOCKET_SECONDS = 10.0  # for connecting, and without a byte
_CHUNK = 1 << 16
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_REASONS = {
    **dict.fromkeys((401, 403, 451), Reason.PERMISSION_DENIED),
    **dict.fromkeys((404, 410), Reason.NOT_FOUND),
}
_HEADERS = {
    "User-Agent": f"wildlife-product-recognizer/{__version__}",
    "Accept": "image/*",
    "Accept-Encoding": "identity",  # a compressed answer could grow without bounds
    "Connection": "close",
}
_UNQUOTED = "/%:@!$&'()*+,;=~-._"


def fetch(url: str, limits: Limits, access: Access) -> bytes:
    """Fetch an image; the byte limit applies to what the server announces, and to what it sends."""
    if not access.allow_http:
        raise Refused(Reason.SOURCE_REFUSED, "web URLs need --allow-http")
    deadline = time.monotonic() + MAX_SECONDS
    pauses = iter(PAUSES)
    while True:
        try:
            return _follow(url, limits, access, deadline)
        except ssl.SSLCertVerificationError as error:
            raise Refused(Reason.READ_ERROR, f"certificate: {error.verify_message}") from error
        except ValueError as error:  # what a URL, TLS or HTTP cannot carry
            raise Refused(Reason.SOURCE_REFUSED, f"not a valid URL: {error}") from error
        except (OSError, http.client.HTTPException) as error:  # another attempt may mend it
            pause = next(pauses, MAX_SECONDS)
            if time.monotonic() + pause >= deadline:
                raise Refused(Reason.READ_ERROR, refusal(error).detail) from error
        time.sleep(pause)


def _follow(url: str, limits: Limits, access: Access, deadline: float) -> bytes:
    for _ in range(MAX_REDIRECTS + 1):
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname or parts.port == 0:
            raise Refused(Reason.SOURCE_REFUSED, "not a web URL")
        if parts.username is not None or parts.password is not None:
            raise Refused(Reason.SOURCE_REFUSED, "the URL carries credentials")
        answer = _request(parts, limits, access, deadline)
        if isinstance(answer, bytes):
            return answer
        url = urljoin(url, answer)
    raise Refused(Reason.READ_ERROR, f"more than {MAX_REDIRECTS} redirects")


def _request(url: SplitResult, limits: Limits, access: Access, deadline: float) -> bytes | str:
    host, port = url.hostname or "", url.port or PORTS[url.scheme]
    sock = _connect(_resolve(host, port, access), port, deadline)
    try:
        with _shut_down_at(deadline, sock):
            connection: http.client.HTTPConnection
            if url.scheme == "https":
                sock = _tls().wrap_socket(sock, server_hostname=host)
                connection = http.client.HTTPSConnection(host, port, context=_tls())
            else:
                connection = http.client.HTTPConnection(host, port)
            connection.sock = sock  # connected already, and to no other address
            target = quote(url.path or "/", _UNQUOTED, errors="replace")
            if url.query:
                target += "?" + quote(url.query, _UNQUOTED + "?[]", errors="replace")
            connection.request("GET", target, headers=_HEADERS)
            return _answer(connection.getresponse(), limits, deadline)
    finally:
        sock.close()


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _connect(addresses: Sequence[IpAddress], port: int, deadline: float) -> socket.socket:
    for number, address in enumerate(addresses, 1):
        seconds = min(_SOCKET_SECONDS, deadline - time.monotonic())
        if seconds <= 0:
            break
        try:
            return socket.create_connection((str(address), port), timeout=seconds)
        except OSError:  # an IPv6 address without IPv6 here
            if number == len(addresses):
                raise
    raise TimeoutError("no answer in time")


def _resolve(host: str, port: int, access: Access) -> Sequence[IpAddress]:
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise
        raise Refused(Reason.NOT_FOUND, f"no such host: {host}") from error
    # A link-local address comes with its zone, which does not belong to it.
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries]
    for address in addresses:
        if (why := access.refusal(address, port)) is not None:
            raise Refused(Reason.SOURCE_REFUSED, why)
    return addresses


@contextmanager
def _shut_down_at(deadline: float, sock: socket.socket) -> Iterator[None]:
    # A server that drips bytes never times out.
    twin = sock.dup()  # TLS takes the socket itself over

    def shut_down() -> None:
        with suppress(OSError):  # ended already, by either side
            twin.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        twin.close()


def _answer(response: http.client.HTTPResponse, limits: Limits, deadline: float) -> bytes | str:
    status = response.status
    if status in _REDIRECTS:
        target = response.getheader("Location")
        if not target:
            raise Refused(Reason.READ_ERROR, f"HTTP {status} without a Location header")
        return target
    if status in _TRANSIENT:
        raise OSError(None, f"HTTP {status}")
    if status != http.client.OK:
        raise Refused(_REASONS.get(status, Reason.READ_ERROR), f"HTTP {status}")
    encoding = response.getheader("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise Refused(Reason.READ_ERROR, f"the answer is compressed ({encoding}), unasked")
    announced = response.length
    limits.check_bytes(announced or 0)
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk
        limits.check_bytes(len(body))
    if time.monotonic() >= deadline:  # shut down, which looks like an end
        raise TimeoutError("no answer in time")
    if announced is not None and len(body) < announced:
        raise http.client.IncompleteRead(bytes(body), announced - len(body))
    return bytes(body)
