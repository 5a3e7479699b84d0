"""The pages and requests of the review server; it only reads, calls the queue, and renders."""

import asyncio
import hashlib
import hmac
import secrets
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode

import msgspec
from msgspec import Meta
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from recognizer.desk.cards import ENVIRONMENT, PHOTOS_ON_A_CARD, CardMaker, named
from recognizer.desk.entries import MAX_GROUP, PAGE_SIZE, Entry, from_key
from recognizer.desk.outcomes import MAX_CHARACTERS, Judgement, Outcome, plain_note
from recognizer.desk.photos import SIDES, Photos, Unavailable
from recognizer.desk.queue import SESSION_SECONDS, ConflictError, Queue
from recognizer.desk.security import Guard, reviewer_name
from recognizer.desk.views import AUDIT, OPEN, QUEUE, View
from recognizer.errors import ScanFileChangedError, ScanFileError, UsageError, counted
from recognizer.intervals import share
from recognizer.rows.records import valid

_PHOTOS_AT_ONCE = {"small": 8, "large": 3}  # requests that may hold a thread and a photo's bytes

_MESSAGES = {
    400: "This request makes no sense to the server.",
    401: "Sign in again: nothing is lost.",
    404: "There is no such page.",
    409: "Not stored: somebody else has this listing or has decided it, or its photos or "
    "near-copies have changed.",
}

Key = Annotated[str, Meta(pattern="^[0-9a-f]{16}$", max_length=16)]
Keys = Annotated[tuple[Key, ...], Meta(max_length=MAX_GROUP)]
Shown = Annotated[dict[Key, Key], Meta(max_length=MAX_GROUP)]


class Act(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A request of a page: a verdict on a listing, its near-copies or several; to skip or to undo.

    ``keep`` extends a claim; with ``is_list`` the answer is the list, not a card. ``shown`` is of
    the images that the page has shown; ``listings`` have it by their keys, and ``also`` the first
    digits of the sha256 of images by theirs; ``pages`` of photos were opened.
    """

    do: Literal["confirmed", "rejected", "unsure", "escalated", "skip", "undo", "keep"]
    listing: Key | None = None
    shown: Key | None = None
    listings: Shown = {}
    is_list: bool = msgspec.field(default=False, name="list")
    note: Annotated[str, Meta(max_length=2 * MAX_CHARACTERS["note"])] | None = None
    label: Annotated[str, Meta(max_length=MAX_CHARACTERS["label"])] | None = None
    also: Shown = {}
    without: Keys = ()
    pages: Annotated[int, Meta(ge=1, le=999_999)] = 1
    expected: Annotated[int, Meta(ge=1, le=MAX_GROUP)] = 1


def make_app(
    queue: Queue,
    photos: Photos,
    *,
    secret: str,
    port: int,
    token: str | None = None,
    hosts: Collection[str] | None = None,
    stop: Callable[[], None] = lambda: None,
) -> Starlette:
    """Return the application.

    ``secret`` signs cookies. ``token`` is what one has to know to sign in, or None if the machine's
    users are trusted. ``stop`` is called when the server has lost a file.
    """
    pages = _Pages(queue, photos, token, stop)
    return Starlette(
        routes=[
            Route("/", pages.desk),
            Route("/login", pages.login, methods=["GET"]),
            Route("/login", pages.sign_in, methods=["POST"]),
            Route("/logout", pages.sign_out, methods=["POST"]),
            Route("/listing/{key}", pages.desk),
            Route("/listing/{key}/photos", pages.strip),
            Route("/listings", pages.listings),
            Route("/listings.csv", pages.table),
            Route("/seller", pages.seller),
            Route("/shift", pages.shift),
            Route("/act", pages.act, methods=["POST"]),
            Route("/photo/{key}/{kind}", pages.photo),
            Mount("/static", StaticFiles(packages=[("recognizer.desk", "static")])),
        ],
        middleware=[
            Middleware(Guard, hosts=hosts),
            Middleware(
                SessionMiddleware,
                secret_key=hashlib.sha256(f"{secret}\n{token or ''}".encode()).hexdigest(),
                session_cookie=f"recognizer_review_{port}",  # ports share their cookies
                max_age=SESSION_SECONDS,
                same_site="strict",
            ),
        ],
        exception_handlers={
            HTTPException: pages.failure,
            ConflictError: pages.failure,
            ScanFileError: pages.broken,
        },
    )


class _Pages:
    def __init__(
        self, queue: Queue, photos: Photos, token: str | None, stop: Callable[[], None]
    ) -> None:
        self._queue = queue
        self._photos = photos
        self._token = token
        self._stop = stop
        self._cards = CardMaker(queue, photos)
        self._slots = {kind: asyncio.Semaphore(count) for kind, count in _PHOTOS_AT_ONCE.items()}

    def login(self, request: Request) -> Response:
        return self._render(request, "login.html.j2", error=None)

    async def sign_in(self, request: Request) -> Response:
        try:
            form = dict(parse_qsl((await request.body()).decode("utf-8"), max_num_fields=8))
        except ValueError as error:
            raise HTTPException(400) from error
        token, name = self._token or "", reviewer_name(form.get("name", ""))
        is_known = hmac.compare_digest(token.encode(), form.get("token", "").encode())
        if name is None or (token and not is_known):
            wrong = "Give a name of 1 to 60 characters."
            wrong = "This is not the token of this server." if token and not is_known else wrong
            return self._render(request, "login.html.j2", 403, error=wrong)
        request.session.update(name=name, id=secrets.token_hex(8))
        return RedirectResponse("/", 303)

    async def sign_out(self, request: Request) -> Response:
        await run_in_threadpool(self._queue.release, self._who_acts(request))
        await run_in_threadpool(self._queue.end_session, request.session.pop("id"))
        del request.session["name"]
        return JSONResponse({"url": "/login"})

    def desk(self, request: Request) -> Response:
        reviewer = self._signed_in(request)
        view = View.from_query(request.query_params)
        unit = _number(request) if "key" in request.path_params else None
        entry = self._queue.claim(reviewer, view, unit)
        if entry is None and unit is not None:
            raise HTTPException(404)
        card = self._card(reviewer, view, entry)
        return self._render(request, "desk.html.j2", **card, **self._cards.filters(view))

    def strip(self, request: Request) -> Response:
        self._signed_in(request, 403)
        if (entry := self._queue.entry(_number(request))) is None:
            raise HTTPException(404)
        strip = self._cards.strip(entry, _page_number(request))
        return self._render(request, "stage.html.j2", strip=strip, blind=entry.is_blind)

    def listings(self, request: Request) -> Response:
        listed = self._list(request, self._signed_in(request))
        filters = self._cards.filters(listed["view"])
        return self._render(request, "listings.html.j2", **listed, **filters)

    def table(self, request: Request) -> Response:
        self._signed_in(request)
        content = self._cards.table(View.from_query(request.query_params))
        headers = {"content-disposition": 'attachment; filename="listings.csv"'}
        return Response(content, media_type="text/csv", headers=headers)

    def seller(self, request: Request) -> Response:
        self._signed_in(request)
        name = request.query_params.get("name", "")
        if not (entries := self._queue.of_seller(name)):
            raise HTTPException(404)
        others = self._queue.copies_of_others(name)
        return self._render(request, "seller.html.j2", seller=name, entries=entries, others=others)

    def shift(self, request: Request) -> Response:
        self._signed_in(request)
        pairs = self._queue.agreement()
        same = sum(count for (one, other), count in pairs.items() if one == other)
        return self._render(
            request,
            "shift.html.j2",
            shift=self._queue.shift(),
            pace=self._queue.pace(),
            pairs=pairs,
            agreement=share(same, pairs.total()) if pairs else None,
        )

    async def photo(self, request: Request) -> Response:
        self._signed_in(request, 403)
        kind = request.path_params["kind"]
        if kind not in {*SIDES, "original"}:
            raise HTTPException(404)
        key, label = _number(request), request.query_params.get("label", "")
        try:
            data, media_type = await self._picture(key, kind, label)
        except Unavailable as error:
            return Response(error.words, 404, media_type="text/plain")
        headers = {"content-security-policy": "default-src 'none'; sandbox"}
        return Response(data, media_type=media_type, headers=headers)

    async def _picture(self, key: int, kind: str, label: str) -> tuple[bytes, str]:
        def make() -> tuple[bytes, str]:
            if (image := self._queue.image(key)) is None:
                raise HTTPException(404)
            return self._photos.picture(image.number, image.row, kind, label)

        async with self._slots["small" if kind == "small" else "large"]:
            return await run_in_threadpool(make)

    def failure(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 409
        if status == 303:
            return RedirectResponse("/login", 303)
        return self._say(request, status, _MESSAGES.get(status, "This request was refused."))

    def broken(self, request: Request, error: Exception) -> Response:
        if isinstance(error, ScanFileChangedError):  # nothing may be stored in another file
            self._stop()
            lost = "the server has lost its file and stops. Tell whoever runs it"
            return self._say(request, 503, f"Not stored: {lost}: {error}")
        if getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            full = "the disk of the server is full. Tell whoever runs it, and try again."
            return self._say(request, 507, f"Not stored: {full}")
        return self._say(request, 503, f"Not stored: {error}")

    def _say(self, request: Request, status: int, message: str) -> Response:
        if request.method == "POST":
            return JSONResponse({"notice": message}, status)
        return HTMLResponse(self._html(request, None, "failure.html.j2", message=message), status)

    async def act(self, request: Request) -> Response:
        reviewer = self._who_acts(request)
        try:
            data = msgspec.json.decode(await request.body(), type=Act)
        except (ValueError, RecursionError) as error:
            raise HTTPException(400) from error
        return await run_in_threadpool(self._act, request, reviewer, data)

    def _act(self, request: Request, reviewer: str, data: Act) -> Response:
        view = View.from_query(request.query_params)
        entry, draft, status = None, None, 200
        if data.do == "keep":
            self._queue.keep(reviewer, None if data.listing is None else from_key(data.listing))
            return JSONResponse({})
        try:
            if data.do == "undo":
                entry, draft = self._queue.undo(reviewer)
                notice = (
                    "Taken back. Here it is again." if draft else "Nothing to undo in this shift."
                )
            elif data.listings:
                notice = self._decide_many(reviewer, data)
            else:
                notice = self._decide(reviewer, data)
        except UsageError as error:
            return JSONResponse({"notice": f"Not stored: {error}"}, 400)
        except ConflictError:
            notice, status = _MESSAGES[409], 409
        answer = {"notice": notice, "open": self._open_counts()}
        if data.is_list:
            rows = self._html(request, reviewer, "list.html.j2", **self._list(request, reviewer))
            return JSONResponse({"html": rows, **answer}, status)
        shown = entry or self._queue.claim(reviewer, view)
        values = self._card(reviewer, view, shown, entry and draft)
        card = self._html(request, reviewer, "card.html.j2", **values)
        url = f"/?{urlencode(view.to_query())}".rstrip("?")
        return JSONResponse({"html": card, "url": url, **answer}, status)

    def _decide(self, reviewer: str, data: Act) -> str:
        is_known = not data.label or data.label in self._cards.labels
        if data.listing is None or not is_known or (data.shown is None and data.do != "skip"):
            raise HTTPException(400)
        unit = from_key(data.listing)
        if (entry := self._queue.entry(unit)) is None:
            raise ConflictError
        title = (entry.title or entry.name)[:80]
        if data.do == "skip":
            self._queue.skip(reviewer, unit)
            return f"Skipped: {title}"
        left = self._queue.decide(
            reviewer,
            unit,
            Judgement(data.do),
            note=plain_note(data.note or "").strip() or None,
            label=data.label or None,
            shown=data.shown,
            also={from_key(key): digits for key, digits in data.also.items()},
            without={*map(from_key, data.without)},
            first=data.pages * PHOTOS_ON_A_CARD,
            expected=data.expected,
        )
        notice = f"{named(data.do)}: {title}"
        if data.expected > 1:
            notice = f"{counted(data.expected - left, 'listing')}: {named(data.do)}"
        open_ = f"near-cop{'y stays' if left == 1 else 'ies stay'} open and last in the queue"
        return f"{notice}. {left:,} {open_}." if left else notice

    def _decide_many(self, reviewer: str, data: Act) -> str:
        if data.do == "skip":
            raise HTTPException(400)
        units = {from_key(key): shown for key, shown in data.listings.items()}
        count = self._queue.decide_many(reviewer, units, Judgement(data.do))
        notice, left = f"{counted(count, 'listing')}: {named(data.do)}", len(units) - count
        why = "others have them, they are decided or have changed, or have leads that the list "
        return f"{notice}. {left:,} not stored: {why}does not show." if left else notice

    def _reviewer(self, request: Request) -> str | None:
        name, session = request.session.get("name"), request.session.get("id")
        if isinstance(name, str) and isinstance(session, str) and not self._queue.is_over(session):
            return name
        return None

    def _signed_in(self, request: Request, otherwise: int = 303) -> str:
        if (name := self._reviewer(request)) is None:
            raise HTTPException(otherwise)
        return name

    def _who_acts(self, request: Request) -> str:
        """Return who sends a request that changes something, of a type that no form can send."""
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise HTTPException(400)
        return self._signed_in(request, 401)

    def _card(
        self, reviewer: str, view: View, entry: Entry | None, draft: Outcome | None = None
    ) -> dict[str, Any]:
        queue = self._queue
        own = queue.shift().get(reviewer, Counter[str]())
        progress = {"mine": own.total(), "open": queue.open_counts(view)}
        values = {"view": view, "entry": entry, "progress": progress}
        if entry is None:
            return values
        return values | {
            "card": self._cards.card(entry, reviewer),
            "may_decide": entry.held_by == reviewer,
            "draft": draft,  # a verdict that was taken back, to be changed
        }

    def _list(self, request: Request, reviewer: str) -> dict[str, Any]:
        view, number = View.from_query(request.query_params), _page_number(request)
        listings, total = self._queue.page(view, number)
        pages = max(1, -(-total // PAGE_SIZE))  # there may be fewer than when a link was made
        counts = {"total": total, "number": min(number, pages), "pages": pages}
        rows = [self._row(reviewer, view, entry) for entry in listings]
        return {"view": view, "rows": rows, **counts}

    def _row(self, reviewer: str, view: View, entry: Entry) -> dict[str, Any]:
        is_folded = entry.state == OPEN and view.is_folded
        about = self._queue.about(entry)
        return {
            "entry": entry,
            "shown": self._queue.shown(entry, about),
            "leads": len(about),
            "folded": len(self._queue.members(entry, reviewer)) - 1 if is_folded else 0,
            "obstacle": self._queue.obstacle(reviewer, entry),
        }

    def _open_counts(self) -> dict[str, int]:
        """Return how many listings are open in the queue and in the audit sample."""
        counts = self._queue.open_counts()
        return {**counts, QUEUE: sum(counts.values()) - counts[AUDIT], AUDIT: counts[AUDIT]}

    def _html(self, request: Request, reviewer: str | None, name: str, /, **context: Any) -> str:
        values = {
            **self._cards.context(request.url.path, reviewer),
            "needs_token": self._token is not None,
            "counts": self._open_counts() if reviewer else {},
        }
        return valid(ENVIRONMENT.get_template(name).render(values | context)) or ""

    def _render(self, request: Request, name: str, status: int = 200, **context: Any) -> Response:
        return HTMLResponse(self._html(request, self._reviewer(request), name, **context), status)


def _number(request: Request) -> int:
    """Return the number behind the key in an address."""
    try:
        return from_key(msgspec.convert(request.path_params["key"], Key))
    except msgspec.ValidationError as error:
        raise HTTPException(404) from error


def _page_number(request: Request) -> int:
    given = request.query_params.get("page", "")
    return max(1, int(given)) if given.isascii() and given.isdecimal() and len(given) < 7 else 1
