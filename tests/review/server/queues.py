"""Queues for tests: journals of listings, a server over them, and browsers that sign in."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from recognizer.imaging import Limits
from recognizer.imaging.sources import read_path
from recognizer.model.bundle import Bundle
from recognizer.review.outcomes import OutcomeStore
from recognizer.review.server.app import Parts, make_app
from recognizer.review.server.index import QueueIndex
from recognizer.review.server.photos import Photos
from recognizer.review.server.queue import Queue
from recognizer.review.server.security import Sessions
from recognizer.rows.row import Row
from tests.rows.rows import NOW, bare_row, digest


def listing(name: str, score: float = 0.6, level: str = "review", **columns: Any) -> Row:
    """The row of a listing with one image."""
    item = {"listing_id": name, "title": f"Title of {name}", **columns}
    return bare_row(f"{name}.jpg", score, level, item=item, time=NOW)


def many(count: int, *, seller_of: int = 5) -> list[Row]:
    return [
        listing(f"L{i:05}", round(0.5 + 0.4 * i / count, 6), seller=f"S{i // seller_of}")
        for i in range(count)
    ]


def copy_of(row: Row, **changes: Any) -> Row:
    """The same bytes in another listing."""
    return replace(row, sha256=digest("the same photo"), **changes)


@contextmanager
def opened(
    journals: Path | list[Path], bundles: Iterable[Bundle] = (), **options: Any
) -> Iterator[Queue]:
    """A queue over journals, with what it needs beside the first one."""
    paths = journals if isinstance(journals, list) else [journals]
    with ExitStack() as stack:
        store = stack.enter_context(OutcomeStore(f"{paths[0]}.outcomes", create=True))
        index = stack.enter_context(QueueIndex(f"{paths[0]}.queue", paths, store, bundles))
        index.update()
        yield Queue(index, **options)


@contextmanager
def served(
    journal: Path, bundles: Iterable[Bundle] = (), token: str | None = None, **parts: Any
) -> Iterator[str]:
    """A server over a journal, in a thread; its address."""

    def read(row: Row) -> bytes:
        return read_path(row.source, Limits())

    with opened(journal, bundles) as queue:
        photos = Photos(read, [journal], [*bundles])
        app = make_app(
            Parts(
                index=queue.index,
                queue=queue,
                photos=photos,
                sessions=Sessions("secret of a test", token),
                bundles=[*bundles],
                **parts,
            )
        )
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()
            photos.close()


class Client:
    """A reviewer without a browser."""

    def __init__(self, base: str, name: str, token: str = "") -> None:
        self.http = httpx.Client(base_url=base, timeout=60)
        answer = self.http.post("/login", data={"name": name, "token": token})
        assert answer.status_code == 303, answer.text
        self.page_token = ""
        self.listing: int | None = None

    def open(self, path: str = "/") -> str:
        page = self.http.get(path).raise_for_status().text
        self.page_token = re.findall(r'name="review-token" content="(\w+)"', page)[0]
        self._look(page)
        return page

    def act(self, do: str, query: str = "", **data: Any) -> httpx.Response:
        answer = self.http.post(
            f"/act{query}",
            json={"do": do, "listing": self.listing, **data},
            headers={"x-review-token": self.page_token},
        )
        if answer.status_code == 200:
            self._look(answer.json()["html"])
        return answer

    def _look(self, html: str) -> None:
        found = re.findall(r'data-listing="(\d+)" data-may-decide="yes"', html)
        self.listing = int(found[0]) if found else None
