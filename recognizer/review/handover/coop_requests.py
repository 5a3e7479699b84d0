"""What Coop is asked to review: its requests, made from listings.

The contract is that of Coop 1.0.2 (``docs/api/report.md`` and ``docs/api/items.md``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recognizer.errors import UsageError
from recognizer.listing_columns import Role, as_text, find_columns
from recognizer.policy import Decision
from recognizer.review.handover.accepted import Accepted
from recognizer.review.handover.photo_urls import PhotoUrls
from recognizer.review.outcomes import listing_identity
from recognizer.rows.listings import Listing

REPORTS_PATH = "/api/v1/report"
ITEMS_PATH = "/api/v1/items/async/"
PREFIX = "recognizer_"
"""Of the item fields that are ours; the others are the listing's own columns."""

_LEADS = (Decision.REVIEW, Decision.PRIORITY)
MAX_IMAGES = 20
MAX_REASON = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class CoopTarget:
    """How listings are called in a Coop, which its dashboard says.

    Attributes:
        url: of the Coop.
        item_type: the ID of the item type of listings.
        reporter_type: the ID of the user type under which we report; None submits items instead
            of reports.
        reporter: the ID of the user as which we report.
        policy: the ID of the policy in Coop that leads may violate; None for none.
        photo_urls: give the URLs of photos.
    """

    url: str
    item_type: str
    photo_urls: PhotoUrls
    reporter_type: str | None = None
    reporter: str = "wildlife-product-recognizer"
    policy: str | None = None

    def __post_init__(self) -> None:
        scheme, _, host = self.url.partition("://")
        is_local = host.partition("/")[0].partition(":")[0] in {"localhost", "127.0.0.1"}
        if scheme != "https" and not (scheme == "http" and is_local):
            raise UsageError(f"{self.url}: give an https URL; the API key must not travel in clear")

    @property
    def makes_reports(self) -> bool:
        """Whether listings are submitted as reports, one by one, and not as items."""
        return self.reporter_type is not None

    @property
    def endpoint(self) -> str:
        """The URL that requests go to."""
        return self.url.rstrip("/") + (REPORTS_PATH if self.makes_reports else ITEMS_PATH)

    @property
    def console(self) -> str:
        """What tells this use of a Coop from others, where it is remembered what was accepted."""
        return f"{self.endpoint} {self.item_type}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One listing as Coop gets it: an item, and the report about it."""

    item: Mapping[str, Any]
    report: Mapping[str, Any] | None
    accepted: Accepted

    @property
    def body(self) -> Mapping[str, Any]:
        """What a request holds that submits it alone."""
        return {"items": [self.item]} if self.report is None else self.report


def submission_of(listing: Listing, target: CoopTarget) -> Submission:
    """Make what is submitted of a listing; the same listing gives the same, with the same ID."""
    data = _data(listing, target)
    item = {"id": listing.listing, "typeId": target.item_type, "data": data}
    report = None
    if target.makes_reports:
        reason = {"policyId": target.policy, "reason": _reason(listing)[:MAX_REASON], "csam": False}
        report = {
            "reporter": {"kind": "user", "typeId": target.reporter_type, "id": target.reporter},
            "reportedAt": listing.scanned.isoformat(),
            "reportedForReason": {k: v for k, v in reason.items() if v is not None},
            "reportedItem": item,
        }
    said = json.dumps(data | {"policy": target.policy}, sort_keys=True)
    leads = [p.sha256 for p in listing.photos if p.sha256 and p.decision in _LEADS]
    return Submission(
        item=item,
        report=report,
        accepted=Accepted(
            item=listing.listing,
            content=hashlib.sha256(said.encode()).hexdigest(),
            listing=None if listing.listing == listing.best else listing_identity(listing.listing),
            images=leads,
        ),
    )


def _data(listing: Listing, target: CoopTarget) -> dict[str, Any]:
    """Return the fields of an item: the listing's columns, ``images``, and what we say."""
    columns = {name: _plain(value) for name, value in (listing.item or {}).items()}
    urls = [target.photo_urls.of(photo.source, photo.sha256) for photo in listing.photos]
    ours = {
        "decision": listing.decision.value,
        "product": listing.product,
        "score": listing.score,
        "reason": _reason(listing),
        "products": [lead.name for lead in listing.leads],
        "keywords": [*dict.fromkeys(hit.keyword for hit in listing.keywords)],
        "reports": listing.reports,
        "also_in_listings": listing.also_in_listings,
        "policy": f"{listing.policy.name} {listing.policy.digest}",
        "model": f"{listing.model.title} {listing.model.digest}",
        "scanned": listing.scanned.isoformat(),
        "sha256": [photo.sha256 for photo in listing.photos if photo.sha256][:MAX_IMAGES],
    }
    data = columns | {"images": [url for url in urls if url is not None][:MAX_IMAGES]}
    data |= {PREFIX + name: value for name, value in ours.items()}
    for role, value in ((Role.TITLE, listing.title), (Role.URL, listing.url)):
        if role not in find_columns(tuple(columns)):
            data[role.value] = value
    return {name: value for name, value in data.items() if value is not None}


def _plain(value: Any) -> Any:
    is_plain = value is None or isinstance(value, bool | int | float | str)
    text = value if is_plain else as_text(value)
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


def _reason(listing: Listing) -> str:
    why = "; ".join(listing.why) or listing.decision.value
    return f"Lead, not a verdict: {why}"
