"""The report: the pages of the desk as one HTML file that needs nothing else, no network either."""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from recognizer._files import replacing
from recognizer.desk.cards import ENVIRONMENT, PHOTOS_ON_A_CARD, CardMaker, named
from recognizer.desk.entries import Entries, Entry, Image
from recognizer.desk.photos import Photos, Unavailable
from recognizer.desk.views import AUDIT, LEADS, OPEN, QUEUE, View
from recognizer.listing import as_text, as_url
from recognizer.model.bundle import Bundle
from recognizer.rows.item_key import MEMBER
from recognizer.rows.scanfile import ScanFile
from recognizer.status import Status

# In one file, and which these are.
MAX_LISTINGS = {QUEUE: (2000, "place < 2"), "unscored": (500, "place = 2"), AUDIT: (200, "1")}

MAX_SEARCHED = 4000  # characters of a listing's columns
MAX_PICTURES = 128 << 20  # bytes in one file; its 2,700 listings usually take a third of it


def write_report(
    scan: Path,
    output: Path,
    bundles: Sequence[Bundle],
    *,
    outcomes: Path | None = None,
    title: str | None = None,
) -> None:
    """Write the review queue of a scan, in one step, as a file to read and to hand on.

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
        context = _Report(entries, photos).page(title or f"Review queue: {scan.name}")
        file.writelines(ENVIRONMENT.get_template("queue.html.j2").generate(context))


class _Report(CardMaker):
    is_report = True

    def __init__(self, entries: Entries, photos: Photos) -> None:
        super().__init__(entries, photos)
        self._size = 0  # of the pictures so far

    def page(self, title: str) -> dict[str, Any]:
        shown, cut = list[Entry](), []
        for name, (most, where) in MAX_LISTINGS.items():
            view = View(section=AUDIT if name == AUDIT else QUEUE, state="all")
            found, total = self._entries.page(view, also=where, size=most)
            shown += found
            if total > most:
                cut.append(f"{named(name)} {most:,} of {total:,}")
        return {
            **self.context("/", None),
            **self.filters(View()),
            "title": title,
            "needs_token": False,
            "style": _resource("app.css"),
            "script": _resource("app.js"),
            "missing": "; ".join(cut),
            "rows": map(self._row, shown),
            # Made one after the other: their pictures may take a hundred megabytes.
            "cards": ((entry, self.card(entry)) for entry in shown),
            **dict.fromkeys(("progress", "may_decide", "draft")),
            "counts": {QUEUE: 0, AUDIT: 0} | Counter(o.section for o in shown if o.state == OPEN),
            "summary": _scan_in_numbers(self._entries.file),
            "bundles": self._photos.bundles,
        }

    def _row(self, entry: Entry) -> dict[str, Any]:
        others = [copy for copy in self._entries.members(entry, None) if copy.unit != entry.unit]
        images = [image.row for image in self._entries.photos(entry, PHOTOS_ON_A_CARD)]
        columns = (images[0].item or {}) if images else {}
        words = [one for value in columns.values() if (one := as_text(value))]
        words += [row.source for row in images]
        words += [f"{copy.name} {copy.title or ''}" for copy in others]
        return {
            "entry": entry,
            "products": sorted({lead.name for row in images for lead in row.leads}),
            "text": " ".join(words).lower()[:MAX_SEARCHED],
            "folded": len(others),
        }

    def picture(self, image: Image) -> dict[str, Any]:
        row = image.row
        values = {"image": image, "src": "", "original": "", "missing": ""}
        if row.status is Status.FAILED:
            return super().picture(image)
        if self._size >= MAX_PICTURES:
            return values | {"missing": "No thumbnail: those of the images above fill the page."}
        original = as_url(row.source) or ""
        if "://" not in row.source and MEMBER not in row.source:
            original = Path(row.source).absolute().as_uri()
        try:
            thumbnail = self._photos.thumbnail(image.number, row)
        except Unavailable as error:
            return values | {"missing": error.words}
        uri = "data:image/jpeg;base64," + base64.b64encode(thumbnail.jpeg).decode("ascii")
        self._size += len(uri)
        return values | {"src": uri, "original": original}


def _resource(name: str) -> tuple[str, str]:
    """Return a file of the pages, and its digest for their security policy."""
    content = (resources.files("recognizer.desk") / "static" / name).read_bytes()
    return content.decode(), base64.b64encode(hashlib.sha256(content).digest()).decode("ascii")


def _scan_in_numbers(file: ScanFile) -> dict[str, Any]:
    """Count what ``summary.html.j2`` shows of a scan: of listings, unless it says images."""
    ((images, listings, degraded, begin, end),) = file.select(
        "SELECT count(*) FILTER (WHERE reason IS NOT 'no_image'),"
        " count(DISTINCT unit),"
        " ifnull(sum(status = 'degraded'), 0), substr(min(time), 1, 16), substr(max(time), 1, 16)"
        " FROM image WHERE gone IS NULL"
    )
    levels = file.select(
        "SELECT decision, (SELECT count(*) FROM entry WHERE section = 'queue'"
        " AND entry.place = level.place) FROM level WHERE place < 3 ORDER BY place"
    )
    return {
        "images": images,
        "listings": listings,
        "levels": [*levels, ("clear", listings - sum(count for _, count in levels))],
        "products": file.select(
            f"SELECT product, count(DISTINCT unit) FROM ({LEADS}) GROUP BY 1 ORDER BY 2 DESC, 1"
        ),
        "degraded": degraded,
        "reasons": file.select(
            "SELECT reason, count(*) FROM image WHERE status = 'failed' AND reason != 'no_image'"
            " GROUP BY 1 ORDER BY 2 DESC, 1"
        ),
        "models": file.select(
            "SELECT name, version, digest, count(*) FROM image JOIN model ON model.id = model"
            " GROUP BY model.id ORDER BY 4 DESC, 3"
        ),
        "policies": file.select(
            "SELECT name, digest, count(*) FROM image JOIN policy ON policy.id = policy"
            " GROUP BY policy.id ORDER BY 3 DESC, 2"
        ),
        "times": [time.replace("T", " ") for time in dict.fromkeys([begin, end]) if time],
    }
