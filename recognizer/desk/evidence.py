"""A case: a BagIt bag with the original bytes of leads, their rows and all their outcomes."""

import base64
import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

import cv2

from recognizer._files import new_folder
from recognizer.desk.cards import ENVIRONMENT
from recognizer.desk.outcomes import Outcome
from recognizer.desk.photos import Unavailable, heat_threshold, read_scored
from recognizer.engine import Recognizer
from recognizer.errors import UsageError
from recognizer.imaging.thumbnail import Thumbnail, draw_heatmap, shrink
from recognizer.rows.identity import as_name, real_path
from recognizer.rows.queue import IMAGE_ORDER
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile
from recognizer.status import Status

TAG_MANIFEST = "tagmanifest-sha256.txt"
"""Its sha256 is the *case digest*, and so stands for every byte of the case."""

TAGS = ("bag-info.txt", "bagit.txt", "manifest-sha256.txt", TAG_MANIFEST)  # beside data/

PHOTOS, HEATMAPS = "photos", "heatmaps"
PAGE_FILE, ROWS_FILE, OUTCOMES_FILE = "index.html", "rows.jsonl", "outcomes.jsonl"

_CLOCK = "the clock of the computer that made this case; nobody else attests to it"
_PREVIEW_SIDE = 720  # pixels, of the pictures on the page
_SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "gif": ".gif", "tiff": ".tif"}
DIGITS = re.compile(r"[0-9a-f]{8,64}")


def find_leads(scan: ScanFile, leads: Sequence[str], listings: Sequence[str] = ()) -> list[Row]:
    """Return the rows of the images that are named, in this order; of a listing, leads come first.

    ``leads`` are digests (sha256, or their first 8 digits or more) or sources. A name that fits no
    image, or images with different content, is a :class:`UsageError`.
    """
    if not leads and not listings:
        raise UsageError("name at least one image (--lead) or listing (--listing)")
    found: dict[int, Row] = {}
    for name in leads:
        sources = (as_name(name), as_name(real_path(name)))
        digits = (name, f"{name}g") if DIGITS.fullmatch(name) else ("", "")
        condition = "source IN (?, ?) OR sha256 BETWEEN ? AND ?"
        images = dict(scan.numbered_rows(condition, (*sources, *digits)))
        if not images:
            raise UsageError(f"--lead {name}: no image of the scan has this sha256 or source")
        if len({row.sha256 for row in images.values()}) > 1:
            raise UsageError(
                f"--lead {name}: several images; name one by its sha256, or more digits of it"
            )
        found |= images
    for name in listings:
        of_listing = ("listing = ? AND status != 'failed'", (as_name(name),), IMAGE_ORDER)
        if not (images := dict(scan.numbered_rows(*of_listing))):
            raise UsageError(f"--listing {name}: no scored image of the scan is in this listing")
        found |= images
    return [*{(row.sha256, repr(row.item)): row for row in found.values()}.values()]


def write_case(
    rows: Sequence[Row],
    output: Path,
    *,
    recognizer: Recognizer,
    read: Callable[[Row], bytes],
    outcomes_of: Callable[[Row], Iterable[Outcome]] = lambda _: (),
    thumbnail_of: Callable[[Row], Thumbnail | None] = lambda _: None,
    listing_of: Callable[[Row], str] = lambda row: row.source,
    scan: str = "",
    title: str | None = None,
    number: str | None = None,
    officer: str | None = None,
    made_with: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, dict[str, str]]:
    """Write a case into a new folder, which appears whole or not at all.

    All rows must be of the ``recognizer``'s model and of one policy. Bytes that are not those of
    the row are left out, and the case shows the thumbnail that the scan kept. ``number`` and
    ``officer`` are those of the case, ``made_with`` the versions of software. Returns the case
    digest, and the sources of missing images with reasons.
    """
    import bagit  # noqa: PLC0415 - an extra

    logging.getLogger("bagit").addHandler(logging.NullHandler())  # errors are raised, too
    bundle = recognizer.bundle
    made_by = {(row.model.digest, row.preprocessing) for row in rows}
    if made_by != {(bundle.digest, rows[0].preprocessing)}:
        raise UsageError(
            f"the rows were made by {rows[0].model.title} ({rows[0].model.digest[:12]}), or by "
            f"several models, and not by {bundle.title}: name leads of one model, and its bundle"
        )
    if len(policies := {row.policy: row.policy.name for row in rows}) > 1:
        raise UsageError(
            f"the rows were decided by several policies ({', '.join(policies.values())}): apply "
            "one to the whole scan (recognizer decide), or make a case for each, of other images "
            "(--lead) or listings (--listing)"
        )
    if any(row.sha256 is None or row.status is Status.FAILED for row in rows):
        raise UsageError("an image that failed is not evidence of anything: name others")
    if output.exists() or not output.absolute().parent.is_dir():
        raise UsageError(f"{output}: name a new folder, inside one that exists")
    title = (title or output.name).encode("utf-8", "backslashreplace").decode()
    try:
        with new_folder(output) as partial:
            photos = [*_write_photos(rows, partial, recognizer, read, outcomes_of, thumbnail_of)]
            (partial / ROWS_FILE).write_bytes(b"".join(row.to_json_line() for row in rows))
            if outcomes := dict.fromkeys(outcome for one in photos for outcome in one["outcomes"]):
                (partial / OUTCOMES_FILE).write_bytes(b"".join(o.to_json_line() for o in outcomes))
            page = ENVIRONMENT.get_template("case.html.j2").render(
                title=title,
                number=as_name(number or ""),
                officer=as_name(officer or ""),
                made=datetime.now(UTC).replace(microsecond=0),
                clock=_CLOCK,
                scan=scan,
                versions=made_with,
                photos=photos,
                listings=_listings(rows, listing_of),
                bundle=bundle,
                name=lambda source: PurePath(source).name or source,
            )
            (partial / PAGE_FILE).write_text(page, "utf-8", "xmlcharrefreplace")
            model = rows[0].model
            about = {
                "External-Description": title,
                **({"External-Identifier": as_name(number)} if number else {}),
                **({"Contact-Name": as_name(officer)} if officer else {}),
                "Bagging-Clock": _CLOCK,
                "Model": f"{model.title} {model.digest}",
                "Policy": f"{rows[0].policy.name} {rows[0].policy.digest}",
                "Made-With": [f"{name} {version}" for name, version in made_with.items()],
            }
            bagit.make_bag(str(partial), about, checksums=["sha256"])
            digest = hashlib.sha256((partial / TAG_MANIFEST).read_bytes()).hexdigest()
    except bagit.BagError as error:
        raise UsageError(f"{output} cannot be written: {error}") from error
    return digest, {one["row"].source: one["missing"] for one in photos if one["missing"]}


def _listings(rows: Sequence[Row], listing_of: Callable[[Row], str]) -> list[dict[str, str]]:
    """Return the columns of each listing, with all values that its rows have."""
    listings: dict[str, dict[str, dict[str, None]]] = {}
    for row in rows:
        for name, value in (row.item or {}).items():
            if value not in (None, ""):
                values = listings.setdefault(listing_of(row), {}).setdefault(name, {})
                values[str(value)] = None
    return [{name: "; ".join(of[name]) for name in of} for of in listings.values()]


def _write_photos(
    rows: Sequence[Row],
    folder: Path,
    recognizer: Recognizer,
    read: Callable[[Row], bytes],
    outcomes_of: Callable[[Row], Iterable[Outcome]],
    thumbnail_of: Callable[[Row], Thumbnail | None],
) -> Iterator[dict[str, Any]]:
    for row in rows:
        file = f"{PHOTOS}/{row.sha256}{_SUFFIXES.get(row.format or '', '')}"
        missing = preview = drawn = None
        label = next(iter(row.lead_labels), None)
        try:
            data = read_scored(row, read)
        except Unavailable as error:
            missing, stored = str(error), thumbnail_of(row)
            preview = stored and _address_of(stored)
        else:
            (folder / PHOTOS).mkdir(exist_ok=True)  # never empty: BagIt lists no folders
            (folder / file).write_bytes(data)
            explanation = recognizer.explain(folder / file, label)
            preview = _address_of(shrink(explanation.rgb, _PREVIEW_SIDE, 0))
            if label is not None:
                heatmap = folder / HEATMAPS / f"{row.sha256}.png"
                heatmap.parent.mkdir(exist_ok=True)
                threshold = heat_threshold(row, label)
                overlay = draw_heatmap(explanation.rgb, explanation.heatmap, threshold)
                drawn = _address_of(shrink(overlay, _PREVIEW_SIDE, 0))
                _, png = cv2.imencode(".png", cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR))
                heatmap.write_bytes(png.tobytes())
        yield {  # for case.html.j2
            "row": row,
            "file": file,
            "missing": missing,
            "preview": preview,
            "heatmap": drawn,
            "explained": label,
            "outcomes": [*outcomes_of(row)],
        }


def _address_of(thumbnail: Thumbnail) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(thumbnail.jpeg).decode("ascii")
