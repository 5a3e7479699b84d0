"""Who may ask the server, and from which page: hosts, origins, sizes, headers.

A page on the web can make a browser send requests to a local server, also by DNS rebinding.
"""

import ipaddress
import unicodedata
from collections.abc import Collection
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 64 << 10
MAX_NAME = 60
MIN_TOKEN = 16  # characters of an access token

_HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self'; style-src 'self';"
    " script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    return host == "localhost" or bool((address := _address(host)) and address.is_loopback)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(host)
    return None


def reviewer_name(text: str) -> str | None:
    """Return the name of a reviewer in one form, or None if it cannot be one."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    return name if 0 < len(name) <= MAX_NAME and name.isprintable() else None


class Guard:
    """Refuses requests for other hosts, from other sites or too large; adds the headers of safety.

    ``hosts`` are names of the server, besides IP addresses; None allows this machine alone.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        app = self._app if refusal is None else PlainTextResponse(refusal[1], refusal[0])
        await app(scope, receive, send_safely)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return 403, "This server does not go by this name (recognizer review --allow-host)."
        if method in {"GET", "HEAD"}:
            return None
        origin = headers.get("origin")
        is_foreign = origin is not None and origin.lower().partition("://")[2] != host.lower()
        if is_foreign or headers.get("sec-fetch-site") not in {None, "same-origin", "none"}:
            return 403, "This request comes from another site."
        length = headers.get("content-length", "")
        if "transfer-encoding" in headers or not (length.isascii() and length.isdecimal()):
            return 400, "This request does not say how long it is."
        if len(length) > 9 or int(length) > MAX_BODY:
            return 413, "This request is too large."
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if self._hosts is None or is_loopback(name):
            return is_loopback(name)
        return name in self._hosts or _address(name) is not None
