"""The report: the pages of the desk as one HTML file that needs nothing else, no network either."""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from recognizer._files import replacing
from recognizer.desk.cards import ENVIRONMENT, MAX_SEARCHED, PHOTOS_ON_A_CARD, CardMaker, named
from recognizer.desk.entries import Entries, Entry, Image
from recognizer.desk.photos import Photos, Unavailable
from recognizer.desk.views import AUDIT, OPEN, QUEUE, View
from recognizer.listing import as_text, as_url
from recognizer.model.bundle import Bundle
from recognizer.rows.identity import MEMBER
from recognizer.rows.queue import IS_LEAD, IS_UNSCORED
from recognizer.rows.scanfile import ScanFile
from recognizer.status import Status

SECTIONS = {QUEUE: IS_LEAD, "unscored": IS_UNSCORED, AUDIT: "1"}
MAX_OTHERS = 200  # unscored listings, and those of the audit sample

BYTES_OF_A_LISTING = 12 << 10  # of its pictures, in the mean: 500 leads are at most 10 MB,
_MIN_LISTINGS = 500  # and fewer may have as much
_MAX_JPEG = 9 << 10  # bytes of a thumbnail; with its Base64 a third more


def write_report(
    scan: Path,
    output: Path,
    bundles: Sequence[Bundle],
    *,
    outcomes: Path | None = None,
    title: str | None = None,
    limit: int = 1000,
) -> None:
    """Write the first leads of a scan, in one step, as a file to read and to hand on.

    The pictures are the thumbnails that the scan has kept, or are made of the images if these have
    not changed. ``outcomes`` is None for those in the scan's file.
    """
    # A name that is not valid text comes with lone surrogates, which UTF-8 cannot hold.
    with (
        Entries(scan, outcomes) as entries,
        Photos(entries.file, bundles) as photos,
        replacing(output) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        context = _Report(entries, photos).page(title or scan.name, limit)
        file.writelines(ENVIRONMENT.get_template("queue.html.j2").generate(context))


class _Report(CardMaker):
    is_report = True

    def __init__(self, entries: Entries, photos: Photos) -> None:
        super().__init__(entries, photos)
        self._left = 0  # bytes for pictures

    def page(self, title: str, limit: int) -> dict[str, Any]:
        shown, cut = list[Entry](), []
        for name, where in SECTIONS.items():
            most = limit if name == QUEUE else min(limit, MAX_OTHERS)
            view = View(section=AUDIT if name == AUDIT else QUEUE, state="all")
            found, total = self._entries.page(view, also=where, size=most)
            shown += found
            if total > most:
                cut.append(f"{'Leads' if name == QUEUE else named(name)} {most:,} of {total:,}")
        self._left = BYTES_OF_A_LISTING * max(0, _MIN_LISTINGS - len(shown))
        return {
            **self.context("/", None),
            **self.filters(View()),
            "title": title,
            "needs_token": False,
            "style": _resource("app.css"),
            "script": _resource("app.js"),
            "missing": "; ".join(cut),
            "rows": map(self._row, shown),
            # Made one after the other: their pictures may take many megabytes.
            "cards": map(self._card, shown),
            **dict.fromkeys(("progress", "may_decide", "draft")),
            "counts": {QUEUE: 0, AUDIT: 0} | Counter(o.section for o in shown if o.state == OPEN),
            "summary": _scan_in_numbers(self._entries.file),
            "bundles": self._photos.bundles,
        }

    def _card(self, entry: Entry) -> tuple[Entry, dict[str, Any]]:
        self._left += BYTES_OF_A_LISTING
        return entry, self.card(entry)

    def _row(self, entry: Entry) -> dict[str, Any]:
        members = self._entries.members(entry, None) if entry.state == OPEN else [entry]
        return {"entry": entry, "copies": [*map(self._filtered, members)]}

    def _filtered(self, entry: Entry) -> dict[str, Any]:
        """Return what a listing is filtered by, as at the desk."""
        images = [image.row for image in self._entries.photos(entry, PHOTOS_ON_A_CARD)]
        columns = (images[0].item or {}) if images else {}
        words = [*filter(None, map(as_text, columns.values())), *(row.source for row in images)]
        return {
            **{
                name: getattr(entry, name)
                for name in ("level", "seller", "location", "reports", "scan")
            },
            "score": entry.score if entry.product else None,
            "products": sorted({lead.name for row in images for lead in row.leads}),
            "text": " ".join([entry.name, *words]).lower()[:MAX_SEARCHED],
        }

    def picture(self, image: Image) -> dict[str, Any]:
        row = image.row
        values = {"image": image, "src": "", "original": "", "missing": ""}
        if row.status is Status.FAILED:
            return super().picture(image)
        if self._left <= 0:
            return values | {"missing": "No thumbnail here; see recognizer review."}
        original = as_url(row.source) or ""
        if "://" not in row.source and MEMBER not in row.source:
            original = Path(row.source).absolute().as_uri()
        try:
            thumbnail = self._photos.thumbnail(image.number, row)
        except Unavailable as error:
            return values | {"missing": error.words}
        jpeg = _fitted(thumbnail.jpeg)
        uri = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
        self._left -= len(uri)
        return values | {"src": uri, "original": original}


def _fitted(jpeg: bytes) -> bytes:
    """Return a thumbnail within its limit, by lower quality and size if it must."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    for quality, scale in ((70, 1.0), (45, 1.0), (70, 0.5)):
        if len(jpeg) <= _MAX_JPEG or image is None:
            break
        smaller = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        jpeg = cv2.imencode(".jpg", smaller, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    return jpeg


def _resource(name: str) -> tuple[str, str]:
    """Return a file of the pages, and its digest for their security policy."""
    content = (resources.files("recognizer.desk") / "static" / name).read_bytes()
    return content.decode(), base64.b64encode(hashlib.sha256(content).digest()).decode("ascii")


def _scan_in_numbers(file: ScanFile) -> dict[str, Any]:
    """Count what the first screen and ``summary.html.j2`` show of a scan: images."""
    ((*counts, begin, end),) = file.select(
        f"SELECT count(*), ifnull(sum(product IS NOT NULL AND {IS_LEAD}), 0),"
        f" ifnull(sum(product IS NULL AND {IS_LEAD}), 0), ifnull(sum({IS_UNSCORED}), 0),"
        " ifnull(sum(decision = 'clear'), 0), count(DISTINCT unit), substr(min(time), 1, 16),"
        " substr(max(time), 1, 16) FROM image WHERE reason IS NOT 'no_image'"
    )
    names = ("images", "leads", "others", "unscored", "cleared", "listings")
    return {
        **dict(zip(names, counts, strict=True)),
        "products": file.select(
            f"SELECT product, count(*) FROM image WHERE {IS_LEAD} AND product IS NOT NULL"
            " GROUP BY 1 ORDER BY 2 DESC, 1"
        ),
        "reasons": file.select(
            "SELECT reason, count(*) FROM image WHERE reason IS NOT NULL AND reason != 'no_image'"
            " GROUP BY 1 ORDER BY 2 DESC, 1"
        ),
        "models": [(m.name, m.version, m.digest) for _, m in file.models()],
        "policies": file.select(
            "SELECT DISTINCT name, digest FROM image JOIN policy ON policy.id = policy"
        ),
        "times": [time.replace("T", " ") for time in dict.fromkeys([begin, end]) if time],
    }
