"""Submits the leads of a scan to Coop, the review console of ROOST, as reports.

    recognizer rows scan.sqlite --listings --output listings.jsonl
    COOP_API_KEY=... python examples/coop.py listings.jsonl https://coop.example.com \
        --item-type ITEM_TYPE --reporter-type USER_TYPE --policy POLICY

The IDs are those of Coop's dashboard; that of an item is its listing's, so Coop keeps one job for
it. ``listings.jsonl.accepted`` notes what was accepted, so the same command resumes. Photos that
were scanned as files need ``--photo-url``, such as ``https://photos.example/{sha256}``.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PAUSES, BUSY, REFUSED = (1, 2, 4, 8, 16), {429, 500, 502, 503, 504}, {400, 413, 422}
OURS = ("decision", "product", "score", "reports", "also_in_listings", "scanned")


def report_of(listing: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Return the body of a request to ``/api/v1/report``."""
    why = "Lead, not a verdict: " + ("; ".join(listing["why"]) or listing["decision"])
    urls = (photo_url(photo, options.photo_url) for photo in listing["photos"][:20])
    data = (listing["item"] or {}) | {"title": listing["title"], "url": listing["url"]}
    data |= {f"recognizer_{name}": listing[name] for name in OURS}
    data |= {"images": [*filter(None, urls)], "recognizer_reason": why}
    data = {name: value for name, value in data.items() if value is not None}
    reporter = {"kind": "user", "typeId": options.reporter_type, "id": "recognizer"}
    reason = {"policyId": options.policy, "reason": why[:2000], "csam": False}
    return {
        "reporter": reporter,
        "reportedAt": listing["scanned"],
        "reportedForReason": {key: value for key, value in reason.items() if value is not None},
        "reportedItem": {"id": listing["listing"], "typeId": options.item_type, "data": data},
    }


def photo_url(photo: dict[str, Any], template: str | None) -> str | None:
    """Return the URL of a photo: its source, or one made of its digest."""
    if photo["source"].startswith(("http://", "https://")):
        return str(photo["source"])
    return template.format(sha256=photo["sha256"]) if template and photo["sha256"] else None


def post(url: str, body: bytes) -> str | None:
    """Send a report; return why Coop does not want it, or None. Busy servers are asked again."""
    headers = {"Content-Type": "application/json", "X-API-KEY": os.environ["COOP_API_KEY"]}
    address = urlsplit(url)
    connect = HTTPSConnection if address.scheme == "https" else HTTPConnection
    for pause in PAUSES:
        try:
            with closing(connect(address.netloc, timeout=30)) as coop:  # it follows no redirect
                coop.request("POST", address.path, body, headers)
                answer = coop.getresponse()
                text = f"{answer.status}: {answer.read(1 << 20).decode('utf-8', 'replace')}"
        except OSError as error:
            raise SystemExit(f"{url}: {error}; the same command goes on") from error
        if answer.status not in BUSY:
            break
        time.sleep(pause)
    if answer.status < 300 or answer.status in REFUSED:
        return text if answer.status in REFUSED else None
    raise SystemExit(f"{url}: status {text}; the same command goes on")


def leads(options: argparse.Namespace) -> Iterator[tuple[str, bytes]]:
    """Yield the listing and the request of each lead."""
    with open(options.listings, encoding="utf-8") as lines:
        for listing in map(json.loads, lines):
            if listing["decision"] in {"review", "priority"} and listing["copy_of"] is None:
                yield listing["listing"], json.dumps(report_of(listing, options)).encode()


def main(arguments: list[str] | None = None) -> int:
    """Submit what was not accepted yet; return 3 if Coop refuses some of it."""
    parser = argparse.ArgumentParser(description="Submit leads to Coop, as reports.")
    parser.add_argument("listings")
    parser.add_argument("url")
    for name in ("--item-type", "--reporter-type", "--policy", "--photo-url"):
        parser.add_argument(name, required=name.endswith("-type"))
    options = parser.parse_args(arguments)
    endpoint = f"{options.url.rstrip('/')}/api/v1/report"
    if not endpoint.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        parser.error("give an https URL: the API key must not travel in clear")
    refused, log = 0, Path(f"{options.listings}.accepted")
    accepted = {*log.read_text("ascii").split()} if log.exists() else set()
    with log.open("a", encoding="ascii") as file:
        for listing, body in leads(options):
            if (digest := hashlib.sha256(body).hexdigest()) in accepted:
                continue
            if why := post(endpoint, body):
                refused += 1
                print(f"{listing!r}: refused: {why}", file=sys.stderr)
            else:
                print(digest, file=file, flush=True)
    return 3 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
