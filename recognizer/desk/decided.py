"""The images of outcomes on listings, and a dataset of decided images for training."""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from recognizer._files import new_folder
from recognizer.desk.outcomes import DESK, HAS_LEAD, Outcome, Outcomes
from recognizer.desk.photos import Unavailable, read_scored
from recognizer.errors import UsageError
from recognizer.listing import Role, as_text, listing_of, value_of
from recognizer.rows.listings import decided_images
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile
from recognizer.taxonomy import NAME

_COLUMNS = ("sha256", "file", "label", "source", "split", "license")  # see datasets/README.md
_MAX_SHOWN = 3  # images in an error


def about_images(
    scan: ScanFile, stored: Outcomes, outcomes: Iterable[Outcome]
) -> Iterator[Outcome]:
    """Yield outcomes on listings as outcomes on their images, as the desk stores them.

    An outcome on a listing and no image becomes outcomes on the scored images of the listing with a
    lead of a product, or on the occasion of an audit on those of the audit sample, if they were
    scanned before it; if nothing of the listing was, and it is not stored, on all. Its label goes
    to the images with a lead of that label, else to the first. Without any image, or from a desk,
    it stays as it is. A withdrawal of it is of all that are stored, or will be.
    """
    for outcome in outcomes:
        parts, listing = [outcome], outcome.listing or ""
        before = [] if outcome.sha256 else stored.parts_of(outcome.withdraws or outcome.id, listing)
        if outcome.withdraws is not None:
            parts += [replace(outcome, sha256=said.sha256, withdraws=said.id) for said in before]
        elif outcome.sha256 is None and outcome.origin != DESK:
            images = scan.select(
                "SELECT sha256, min(first) <= :time, max(iif(:occasion = 'audit', audit NOT NULL,"
                f" product IS NOT NULL)), max({HAS_LEAD}) FROM image WHERE (listing = :name"
                " OR (listing IS NULL AND source = :name)) AND status != 'failed'"
                " GROUP BY sha256 ORDER BY min(place), max(score) DESC",
                {"name": listing, **outcome.to_json()},
            )
            is_known = bool(before) or any(was_there for _, was_there, *_ in images)
            about = {key: has for key, was, is_lead, has in images if is_lead and was >= is_known}
            labelled = {key for key, has_lead in about.items() if has_lead} or {*[*about][:1]}
            unnamed = replace(outcome, label=None)
            parts = [
                replace(outcome if key in labelled else unnamed, sha256=key) for key in about
            ] or parts[: not before]
        yield from parts
        if outcome.sha256 is None:  # withdrawals that came before it
            yield from about_images(scan, stored, stored.withdrawals_of(outcome.id))


def count_unknown(scan: ScanFile, last: int) -> int:
    """Return how many of so many last outcomes are about no image or listing of a scan."""
    found = scan.select(
        "SELECT count(*) FROM (SELECT * FROM outcome ORDER BY number DESC LIMIT ?) AS said"
        " WHERE NOT EXISTS (SELECT 1 FROM image WHERE image.sha256 = said.sha256)"
        " AND (sha256 IS NOT NULL OR"
        " NOT EXISTS (SELECT 1 FROM image WHERE image.listing = said.listing"
        " UNION ALL SELECT 1 FROM image WHERE image.listing IS NULL AND source = said.listing))",
        (last,),
    )
    return int(found[0][0])


class WrittenDataset(NamedTuple):
    """Photos by label; how many rejected ones without; the sources of ``missing`` ones, and why."""

    labels: Counter[str]
    without_label: int
    missing: dict[str, str]


def write_dataset(
    scan: ScanFile, folder: Path, read: Callable[[Row], bytes], rejected_as: str | None = None
) -> WrittenDataset:
    """Write the decided images into a new data folder with a manifest, all for training.

    The source of a photo is its seller, else its listing, else its location. ``rejected_as`` is
    the label of rejected images for which the reviewer named none; without it they are left out.
    """
    labels, missing, without_label = Counter[str](), dict[str, str](), 0
    if folder.exists():
        raise UsageError(f"{folder} exists: name a new folder")
    with (
        new_folder(folder) as draft,  # JSON can hold half a character, as in a seller's name
        (draft / "manifest.csv").open("w", -1, "utf-8", "backslashreplace", "") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for image in decided_images(scan):
            row = image.row
            label = image.likely_label or ("" if image.is_confirmed else rejected_as)
            if label is None:
                without_label += 1
                continue
            name = f"{label}/{row.sha256}.{row.format or 'image'}"
            try:
                if not NAME.fullmatch(label):  # nor a part of a path
                    why = f"{label!r} is not a label" if label else "confirmed without a label"
                    raise Unavailable("", why)
                data = read_scored(row, read)
            except Unavailable as error:
                missing[row.source] = str(error)
                continue
            (draft / label).mkdir(exist_ok=True)
            (draft / name).write_bytes(data)
            labels[label] += 1
            source = _source_of(row, scan.listing_column)
            writer.writerow([row.sha256, name, label, source, "train", ""])
        if not labels:
            some = [f"{source}: {why}" for source, why in missing.items()][:_MAX_SHOWN]
            words = "; ".join(some) or "no image was confirmed, or rejected with a label"
            raise UsageError(f"{folder} was not made: {words}")
    return WrittenDataset(labels, without_label, missing)


def _source_of(row: Row, listing_column: str | None) -> str:
    seller = as_text(value_of(row.item or {}, Role.SELLER))
    listing = listing_of(row.item, listing_column)
    if seller is not None:
        return f"seller {seller}"
    return f"listing {listing}" if listing is not None else str(Path(row.source).parent)
