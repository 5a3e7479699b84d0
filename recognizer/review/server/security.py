"""Who may use the server, and from which page: hosts, sessions, tokens, headers.

A page on the web can make a reviewer's browser send requests to a local server. So the Host header
must be one of ours (against DNS rebinding), the cookie is sent from our pages only, and whatever
changes something carries a token that only our pages can read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import secrets
import unicodedata
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recognizer.errors import UsageError

COOKIE = "recognizer_review"
TOKEN_HEADER = "x-review-token"  # noqa: S105 - a name
MAX_BODY = 64 << 10
MAX_NAME = 60
MIN_TOKEN = 16
"""Characters of an access token."""

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE_METHODS = frozenset({"GET", "HEAD"})
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
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Sessions:
    """Signs the name of a reviewer into a cookie, and makes the token of their pages.

    Args:
        secret: signs cookies; whoever has it can be anybody.
        token: what one has to know to sign in; None where the machine's users are trusted.
    """

    def __init__(self, secret: str, token: str | None = None) -> None:
        if token is not None and len(token) < MIN_TOKEN:
            raise UsageError(f"--token: at least {MIN_TOKEN} characters")
        self.token = token
        self._key = hashlib.sha256(f"{secret}\n{token or ''}".encode()).digest()

    def cookie(self, reviewer: str) -> str:
        """Return the cookie of a reviewer."""
        name = base64.urlsafe_b64encode(reviewer.encode()).decode()
        return f"{name}.{self._sign('session', name)}"

    def reviewer(self, request: Request) -> str | None:
        """Return the name of the reviewer who sends a request; None where nobody has signed in."""
        name, _, signature = request.cookies.get(COOKIE, "").partition(".")
        if not hmac.compare_digest(self._sign("session", name).encode(), signature.encode()):
            return None
        return base64.urlsafe_b64decode(name).decode()

    def page_token(self, reviewer: str) -> str:
        """Return what requests that change something carry in a header."""
        return self._sign("page", reviewer)

    def may_change(self, request: Request, reviewer: str) -> bool:
        """Whether a request comes from a page of this server."""
        given = request.headers.get(TOKEN_HEADER, "")
        return hmac.compare_digest(self.page_token(reviewer).encode(), given.encode())

    def is_token(self, given: str) -> bool:
        """Whether somebody knows the access token."""
        return self.token is None or hmac.compare_digest(self.token.encode(), given.encode())

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}\n{text}".encode(), hashlib.sha256).hexdigest()


def new_secret() -> str:
    """Return a secret that cannot be guessed."""
    return secrets.token_urlsafe(24)


def reviewer_name(text: str) -> str | None:
    """Return the name of a reviewer in one form; None where it is none."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    return name if 0 < len(name) <= MAX_NAME and name.isprintable() else None


class Guard:
    """Refuses requests for other hosts, from other sites or too large; adds the headers of safety.

    Args:
        app: what it guards.
        hosts: names by which the server may be called, besides IP addresses: an attacker's name
            that resolves to this machine is none of them. None allows this machine alone.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        why = self._refusal(scope["method"], Headers(scope=scope))
        app = self._app if why is None else PlainTextResponse(why, 403)
        await app(scope, receive, send_safely)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return "This server does not go by this name (recognizer review --allow-host)."
        if method in _SAFE_METHODS:
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "This request comes from another site."
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return "This request comes from another site."
        length = headers.get("content-length", "")
        if not (length.isdecimal() and int(length) <= MAX_BODY):
            return "This request is too large, or of unknown length."
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        if name is None:
            return False
        if name in _LOCAL_NAMES:
            return True
        if self._hosts is None:
            return is_loopback(name)
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts
        return True
