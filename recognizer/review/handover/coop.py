"""Submitting leads to Coop, so that a failure anywhere costs nothing but time.

What Coop has accepted is remembered at once. The ID of an item is that of its listing, so that a
submission whose answer was lost, and which is repeated, is one job in Coop and not two.
"""

from __future__ import annotations

import itertools
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException
from typing import Any

from recognizer import __version__
from recognizer.errors import UsageError
from recognizer.review.handover.accepted import Accepted, AcceptedStore
from recognizer.review.handover.coop_requests import CoopTarget, Submission, submission_of
from recognizer.rows.listings import Listing

BATCH = 50
TRIES = 6
_MAX_PAUSE = 60.0  # seconds, whatever the server asks for
_MAX_ANSWER = 1 << 20
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED = frozenset({400, 413, 422})


@dataclass(slots=True)
class HandoverReport:
    """What became of the leads; ``refused`` says of an item why it was not accepted."""

    accepted: int = 0
    earlier: int = 0
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoopClient:
    """Sends requests to Coop, and repeats those that failed for a while.

    Attributes:
        api_key: of the organisation.
        timeout: seconds for one request.
        sleep: waits between two tries.
    """

    api_key: str = field(repr=False)
    timeout: float = 30.0
    sleep: Callable[[float], None] = time.sleep

    def post(self, url: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Return the status and the JSON of an answer that is not a passing failure.

        Raises:
            UsageError: there was none, however often it was tried; or the key is
                wrong.
        """
        problem = ""
        for number in range(TRIES):
            status, answer, pause = self._try(url, body)
            if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                raise UsageError(f"{url}: {status}: the API key is not accepted")
            if 300 <= status < 400:
                raise UsageError(f"{url}: {status}: it redirects; give the new URL")
            if status and status not in _TRANSIENT:
                return status, answer
            problem = f"status {status}" if status else str(answer)
            if number < TRIES - 1:
                backoff = 2.0**number * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
                self.sleep(min(_MAX_PAUSE, max(pause, backoff)))
        raise UsageError(
            f"{url}: {problem}, {TRIES} times; what was accepted is remembered: give the same "
            "command again later"
        )

    def _try(self, url: str, body: Mapping[str, Any]) -> tuple[int, Any, float]:
        """Return status, answer and the pause that is asked for; status 0 where none came."""
        request = urllib.request.Request(  # noqa: S310 - CoopTarget checks the scheme
            url, json.dumps(body).encode(), _headers(self.api_key), method="POST"
        )
        try:
            with _OPENER.open(request, timeout=self.timeout) as response:
                return response.status, _json(response.read(_MAX_ANSWER)), 0.0
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _json(error.read(_MAX_ANSWER)), _pause(error.headers)
        except (OSError, HTTPException) as error:
            return 0, error, 0.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the API key is for one host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Return None, which ends in an HTTPError."""


_OPENER = urllib.request.build_opener(_NoRedirect)


def _headers(api_key: str) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-API-KEY": api_key,
        "User-Agent": f"wildlife-product-recognizer/{__version__}",
    }


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def _pause(headers: Message) -> float:
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() and len(text) < 6 else 0.0


def planned(
    listings: Iterable[Listing], target: CoopTarget, store: AcceptedStore | None
) -> Iterator[tuple[Submission, bool]]:
    """Yield what is to be submitted of listings, each with whether it was accepted earlier."""
    for listing in listings:
        submission = submission_of(listing, target)
        one = submission.accepted
        is_known = store is not None and store.has(target.console, one.item, one.content)
        yield submission, is_known


def hand_over(
    listings: Iterable[Listing], target: CoopTarget, client: CoopClient, store: AcceptedStore
) -> HandoverReport:
    """Submit listings to Coop; those that it has accepted as they are now are left out.

    Raises:
        UsageError: Coop does not answer, or refuses the key.
        ScanFileError: it cannot be remembered what was accepted.
    """
    report = HandoverReport()

    def new() -> Iterator[Submission]:
        for submission, is_known in planned(listings, target, store):
            report.earlier += is_known
            if not is_known:
                yield submission

    left = new()
    size = 1 if target.makes_reports else BATCH
    while batch := [*itertools.islice(left, size)]:
        for accepted in _submit(batch, target, client, report):
            store.add(target.console, accepted)
            report.accepted += len(accepted)
    return report


def _submit(
    batch: Sequence[Submission], target: CoopTarget, client: CoopClient, report: HandoverReport
) -> Iterator[list[Accepted]]:
    """Submit a batch. Coop takes all of it or nothing: one that it refuses is halved."""
    body = batch[0].body if len(batch) == 1 else {"items": [one.item for one in batch]}
    status, answer = client.post(target.endpoint, body)
    if 200 <= status < 300:
        given = answer.get("reportId") if isinstance(answer, dict) else None
        name = given if isinstance(given, str) else None
        yield [replace(one.accepted, answer=name) for one in batch]
    elif status not in _REFUSED:
        raise UsageError(f"{target.endpoint}: status {status}: is this a Coop?")
    elif len(batch) > 1:
        middle = len(batch) // 2
        yield from _submit(batch[:middle], target, client, report)
        yield from _submit(batch[middle:], target, client, report)
    else:
        report.refused[batch[0].accepted.item] = _errors(status, answer)


def _errors(status: int, answer: Any) -> str:
    """Put an error answer of Coop into words (``docs/api/errors.md``)."""
    errors = answer.get("errors") if isinstance(answer, dict) else None
    said = [
        ": ".join(str(error[key]) for key in ("title", "detail", "pointer") if error.get(key))
        for error in (errors if isinstance(errors, list) else [])
        if isinstance(error, dict)
    ]
    return f"{status}: {'; '.join(filter(None, said)) or 'no reason given'}"
