"""The pages and requests of the review server; it only reads, calls the queue, and renders."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from recognizer.errors import RecognizerError, UsageError
from recognizer.model.bundle import Bundle
from recognizer.policy import Policy
from recognizer.review.outcomes import Judgement
from recognizer.review.server.cards import MAX_BOXES, CardMaker
from recognizer.review.server.index import QueueIndex
from recognizer.review.server.language import ago, language_of
from recognizer.review.server.photos import SIDES, Photos, Unavailable
from recognizer.review.server.queue import PAGE_SIZE, ConflictError, Entry, Queue
from recognizer.review.server.security import COOKIE, Guard, Sessions, reviewer_name
from recognizer.review.server.tables import AUDIT
from recognizer.review.server.views import STATES, View
from recognizer.review.texts import LANGUAGES, Texts
from recognizer.rows.listings import QUEUE_ORDER
from recognizer.taxonomy import load_taxonomy

JUDGEMENTS: Mapping[str, Judgement] = {
    "confirm": Judgement.CONFIRMED,
    "reject": Judgement.REJECTED,
    "unsure": Judgement.UNSURE,
    "escalate": Judgement.ESCALATED,
}
"""What a page calls a judgement."""

UPDATE_SECONDS = 15.0
"""So often the journals and the outcomes are looked at for something new."""

_STATIC = {"app.css": "text/css", "app.js": "text/javascript", "icon.svg": "image/svg+xml"}
_YEAR = 365 * 86400


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the server is made of; ``bundles`` are the models that may be behind the rows."""

    index: QueueIndex
    queue: Queue
    photos: Photos
    sessions: Sessions
    bundles: Sequence[Bundle] = ()
    policy: Policy | None = None
    hosts: Collection[str] | None = None
    is_encrypted: bool = False


def make_app(parts: Parts) -> Starlette:
    """Return the application; while it runs, the index is kept up to date."""
    pages = _Pages(parts)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(_keep_up(parts.index))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    routes = [
        Route("/", pages.desk),
        Route("/login", pages.login, methods=["GET"]),
        Route("/login", pages.sign_in, methods=["POST"]),
        Route("/logout", pages.sign_out, methods=["POST"]),
        Route("/listing/{number:int}", pages.desk),
        Route("/listings", pages.listings),
        Route("/shift", pages.shift),
        Route("/act", pages.act, methods=["POST"]),
        Route("/keep", pages.keep, methods=["POST"]),
        Route("/photo/{number:int}/{kind}", pages.photo),
        Route("/static/{name}", _static),
    ]
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Guard, hosts=parts.hosts)],
        exception_handlers={HTTPException: pages.failure, ConflictError: pages.failure},
    )


async def _keep_up(index: QueueIndex) -> None:
    while True:
        await asyncio.sleep(UPDATE_SECONDS)
        with suppress(RecognizerError, OSError):  # a journal may be replaced just now; try again
            if await run_in_threadpool(index.has_grown):
                await run_in_threadpool(index.update)


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _STATIC:
        raise HTTPException(404)
    data = (resources.files("recognizer.review.server") / "static" / name).read_bytes()
    return Response(data, media_type=_STATIC[name])


class _Pages:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._queue = parts.queue
        self._cards = CardMaker(parts.queue, parts.photos, parts.policy)
        self._taxonomy = parts.bundles[0].taxonomy if parts.bundles else load_taxonomy()
        self._environment = Environment(
            loader=PackageLoader("recognizer.review.server"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    # --- pages ------------------------------------------------------------------------------------

    def login(self, request: Request) -> Response:
        return self._render(request, "login.html.j2", error=None)

    async def sign_in(self, request: Request) -> Response:
        form = {key: values[0] for key, values in parse_qs((await request.body()).decode()).items()}
        sessions = self._parts.sessions
        name = reviewer_name(form.get("name", ""))
        error = None
        if not sessions.is_token(form.get("token", "")):
            error = "wrong_token"
        elif name is None:
            error = "wrong_name"
        if error is not None or name is None:
            return self._render(request, "login.html.j2", 403, error=error)
        response = RedirectResponse("/", 303)
        self._set_cookie(response, COOKIE, sessions.cookie(name))
        return response

    async def sign_out(self, request: Request) -> Response:
        reviewer, _ = await self._changing(request)
        await run_in_threadpool(self._queue.release, reviewer)
        response = JSONResponse({"url": "/login"})
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    def desk(self, request: Request) -> Response:
        if (reviewer := self._parts.sessions.reviewer(request)) is None:
            return RedirectResponse("/login", 303)
        view = View.from_query(request.query_params)
        number = request.path_params.get("number")
        entry = self._queue.take(reviewer, view, number)
        if number is not None and entry is None:
            raise HTTPException(404)
        context = self._desk(request, reviewer, view, entry)
        self._warm(reviewer, view)
        return self._render(request, "desk.html.j2", **context)

    def listings(self, request: Request) -> Response:
        if (reviewer := self._parts.sessions.reviewer(request)) is None:
            return RedirectResponse("/login", 303)
        view = View.from_query(request.query_params)
        given = request.query_params.get("page", "")
        number = (
            max(1, int(given)) if given.isascii() and given.isdecimal() and len(given) < 7 else 1
        )
        entries, total = self._queue.page(view, number)
        pages = max(1, math.ceil(total / PAGE_SIZE))
        if number > pages:  # fewer are left than when somebody saw the link
            number = pages
            entries, total = self._queue.page(view, number)
        groups = {
            entry.number: self._queue.group(entry, "copies", reviewer).listings
            for entry in entries
            if entry.copies is not None and not view.seller and not view.q
        }
        return self._render(
            request,
            "listings.html.j2",
            reviewer=reviewer,
            view=view,
            entries=entries,
            groups=groups,
            total=total,
            number=number,
            pages=pages,
            **self._filters(request),
        )

    def shift(self, request: Request) -> Response:
        if (reviewer := self._parts.sessions.reviewer(request)) is None:
            return RedirectResponse("/login", 303)
        done = self._queue.records.shift()
        return self._render(request, "shift.html.j2", reviewer=reviewer, done=done, view=View())

    def photo(self, request: Request) -> Response:
        if self._parts.sessions.reviewer(request) is None:
            raise HTTPException(403)
        kind = request.path_params["kind"]
        row = self._parts.index.row_of(request.path_params["number"])
        if row is None or kind not in {*SIDES, "original"}:
            raise HTTPException(404)
        try:
            label = request.query_params.get("label", "")
            picture = self._parts.photos.picture(row, kind, label)
        except Unavailable as error:
            return Response(self._texts(request)(error.key), 404, media_type="text/plain")
        headers = {
            "content-security-policy": "default-src 'none'; sandbox",
            "content-disposition": "inline",
            "x-photo-kept": "1" if picture.kept else "0",
        }
        return Response(picture.data, media_type=picture.media_type, headers=headers)

    def failure(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 409
        texts = self._texts(request)
        if request.method == "POST":
            key = "conflict" if status == 409 else "refused"
            return JSONResponse({"notice": texts(key)}, status)
        key = "not_found" if status == 404 else "refused"
        return self._render(request, "failure.html.j2", status, message=texts(key))

    # --- what changes something -------------------------------------------------------------------

    async def act(self, request: Request) -> Response:
        reviewer, data = await self._changing(request)
        return await run_in_threadpool(self._act, request, reviewer, data)

    async def keep(self, request: Request) -> Response:
        reviewer, _ = await self._changing(request)
        await run_in_threadpool(self._queue.keep, reviewer)
        return JSONResponse({})

    async def _changing(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Return who sends a request that changes something, and its content."""
        reviewer = self._parts.sessions.reviewer(request)
        if reviewer is None or not self._parts.sessions.may_change(request, reviewer):
            raise HTTPException(403)
        try:
            data = json.loads(await request.body() or b"{}")
        except ValueError as error:
            raise HTTPException(400) from error
        if not isinstance(data, dict):
            raise HTTPException(400)
        return reviewer, data

    def _act(self, request: Request, reviewer: str, data: dict[str, Any]) -> Response:
        texts = self._texts(request)
        view = View.from_query(request.query_params)
        what, number = data.get("do"), data.get("listing")
        if what == "undo":
            entry = self._queue.undo(reviewer)
            notice = texts("undone" if entry else "nothing_to_undo")
            entry = entry or self._queue.take(reviewer, view)
            return self._next(request, reviewer, view, entry, notice)
        entry = self._queue.entry(number) if isinstance(number, int) else None
        if entry is None or not (what in JUDGEMENTS or what == "skip"):
            raise HTTPException(400)
        notice = texts(f"said_{what}", title=(entry.title or entry.name)[:80])
        if what == "skip":
            self._queue.skip(reviewer, entry.number)
        else:
            try:
                count = self._decide(reviewer, entry, data)
            except UsageError as error:
                return JSONResponse({"notice": texts("bad_input", why=error)}, 400)
            if count > 1:
                notice = texts("said_bulk", n=count, state=texts(JUDGEMENTS[str(what)]))
        return self._next(request, reviewer, view, self._queue.take(reviewer, view), notice)

    def _decide(self, reviewer: str, entry: Entry, data: dict[str, Any]) -> int:
        by, expected, images = data.get("by"), data.get("expected", 1), data.get("photos") or []
        texts = [data.get(key) or "" for key in ("note", "label")]
        if (
            by not in {None, "copies", "seller"}
            or not isinstance(expected, int)
            or not isinstance(images, list)
            or not all(isinstance(text, str) for text in texts)
        ):
            raise HTTPException(400)
        note, label = (text.strip().replace("\r\n", "\n") or None for text in texts)
        return self._queue.decide(
            reviewer,
            entry.number,
            JUDGEMENTS[data["do"]],
            note=note,
            label=label,
            images=[number for number in images if isinstance(number, int)],
            by=by,
            expected=expected,
        )

    def _next(
        self, request: Request, reviewer: str, view: View, entry: Entry | None, notice: str
    ) -> Response:
        """Return the next listing, ready to be put into the page."""
        context = self._context(request) | self._desk(request, reviewer, view, entry)
        html = self._environment.get_template("card.html.j2").render(context)
        self._warm(reviewer, view)
        url = f"/?{urlencode(view.to_query())}".rstrip("?")
        return JSONResponse({"html": html, "notice": notice, "url": url})

    # --- what pages are made of -------------------------------------------------------------------

    def _desk(
        self, request: Request, reviewer: str, view: View, entry: Entry | None
    ) -> dict[str, Any]:
        texts = self._texts(request)
        card = None if entry is None else self._cards.card(entry, reviewer, texts)
        mine = self._queue.records.shift(reviewer)
        return {
            "reviewer": reviewer,
            "view": view,
            "card": card,
            "done": mine[0].total if mine else 0,
            **self._filters(request),
        }

    def _warm(self, reviewer: str, view: View) -> None:
        """Have the photo made that is likely to be wanted next."""
        entry = self._queue.peek(reviewer, view)
        row = None if entry is None else self._parts.index.row_of(entry.best)
        if row is not None:
            self._parts.photos.make_later(row)

    def _filters(self, request: Request) -> dict[str, Any]:
        texts = self._texts(request)
        return {
            "products": [
                (name, self._product(texts, name), n)
                for name, n in self._queue.records.choices("product")
            ],
            "locations": self._queue.records.choices("location"),
            "levels": [str(level) for level in QUEUE_ORDER[:3]],
            "states": [*STATES, "all"],
        }

    def _product(self, texts: Texts, name: str) -> str:
        is_family = name not in self._taxonomy.labels
        return texts.label(name, self._taxonomy, family=is_family)

    def _texts(self, request: Request) -> Texts:
        given = (request.query_params.get("lang"), request.cookies.get("lang"))
        chosen = next((code for code in given if code in LANGUAGES), None)
        wanted = language_of(request.headers.get("accept-language", ""))
        return Texts(chosen or wanted, "server")

    def _context(self, request: Request) -> dict[str, Any]:
        reviewer = self._parts.sessions.reviewer(request)
        texts = self._texts(request)
        query = {k: v for k, v in request.query_params.items() if k != "lang"}
        now = datetime.now(UTC)
        is_page = request.method == "GET"
        return {
            "t": texts,
            "languages": {
                code: f"?{urlencode({**query, 'lang': code})}" for code in LANGUAGES if is_page
            },
            "language_names": LANGUAGES,
            "page_token": self._parts.sessions.page_token(reviewer) if reviewer else "",
            "needs_token": self._parts.sessions.token is not None,
            "counts": self._queue.records.open_counts() if reviewer else {},
            "product_name": partial(self._product, texts),
            "ago": lambda time: ago(time, now, texts),
            "query": lambda view, **changes: urlencode(view.to_query(**changes)),
            "path": request.url.path,
            "AUDIT": AUDIT,
            "MAX_BOXES": MAX_BOXES,
        }

    def _render(self, request: Request, name: str, status: int = 200, **context: Any) -> Response:
        values = {"reviewer": None, **self._context(request), **context}
        response = HTMLResponse(self._environment.get_template(name).render(values), status)
        if (language := request.query_params.get("lang")) in LANGUAGES:
            self._set_cookie(response, "lang", str(language))
        return response

    def _set_cookie(self, response: Response, name: str, value: str) -> None:
        response.set_cookie(
            name,
            value,
            max_age=_YEAR if name == "lang" else 7 * 86400,
            httponly=True,
            samesite="strict",
            secure=self._parts.is_encrypted,
        )
