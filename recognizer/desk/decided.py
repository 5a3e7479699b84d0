"""What is made of decided images: a dataset for training, and known items for the bank."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from recognizer.desk.outcomes import Judgement, Occasion, Outcome, Outcomes
from recognizer.desk.photos import Unavailable, read_scored
from recognizer.errors import UsageError
from recognizer.known.bank import KnownItem
from recognizer.lab.dataset.manifest import Photo, write_manifest
from recognizer.policy.listing_columns import Role, as_text, listing_of, value_of
from recognizer.policy.values import Finding
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile

REJECTED_LABEL = "listing_other"  # the label of a rejected image for which the reviewer named none


def decided_rows(scan: ScanFile, outcomes: Outcomes) -> Iterator[tuple[Row, Outcome]]:
    """Yield the images that were confirmed or rejected, once each, with what stands."""
    decided = outcomes.decided()
    digests = json.dumps([*decided])
    for row in scan.rows("sha256 IN (SELECT value FROM json_each(?))", (digests,)):
        if (outcome := decided.pop(row.sha256 or "", None)) is not None:
            yield row, outcome


def about_images(scan: ScanFile, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """Yield outcomes on listings as outcomes on their images, as the desk stores them.

    An outcome that names a listing and no image is about those images of the listing that are leads
    by themselves, or on the occasion of an audit about those of the audit sample. One on a listing
    without such an image, or of another scan, stays as it is.
    """
    for outcome in outcomes:
        digests: list[tuple[str]] = []
        if outcome.sha256 is None and outcome.occasion is not Occasion.WITHDRAWAL:
            digests = scan.select(
                "SELECT DISTINCT sha256 FROM image WHERE (listing = :name OR (listing IS NULL"
                " AND source = :name)) AND sha256 IS NOT NULL AND iif(:occasion = 'audit',"
                " audit IS NOT NULL, image_decision IN ('priority', 'review'))",
                {"name": outcome.listing, "occasion": outcome.occasion},
            )
        yield from (replace(outcome, sha256=sha256) for (sha256,) in digests)
        if not digests:
            yield outcome


def count_unknown(scan: ScanFile, last: int) -> int:
    """Return how many of so many last outcomes are about no image or listing of a scan."""
    ((count,),) = scan.select(
        "SELECT count(*) FROM (SELECT * FROM outcome ORDER BY number DESC LIMIT ?)"
        " WHERE iif(sha256 IS NULL, listing NOT IN (SELECT ifnull(listing, source) FROM image),"
        " sha256 NOT IN (SELECT sha256 FROM image WHERE sha256 IS NOT NULL))",
        (last,),
    )
    return int(count)


def label_of(row: Row, outcome: Outcome) -> str | None:
    """Return the label of a decided image, or None if neither reviewer nor model named one."""
    if outcome.label is not None:
        return outcome.label
    if outcome.judgement is Judgement.REJECTED:
        return REJECTED_LABEL
    return next(iter(row.lead_labels), None)


def write_dataset(
    scan: ScanFile, outcomes: Outcomes, folder: Path, read: Callable[[Row], bytes]
) -> tuple[Counter[str], dict[str, str]]:
    """Write the decided images into a new data folder with a manifest, all for training.

    The source of a photo is its seller, else its listing, else its place: photos of one seller are
    not independent. Returns the number of photos by label, and the sources of the others, confirmed
    without any label or refused by ``read``, each with the reason.
    """
    labels, missing = Counter[str](), dict[str, str]()

    def photos() -> Iterator[Photo]:
        for row, outcome in decided_rows(scan, outcomes):
            if (label := label_of(row, outcome)) is None:
                missing[row.source] = "it was confirmed without a label"
                continue
            path = folder / label / f"{row.sha256}.{row.format or 'image'}"
            try:
                data = read_scored(row, read)
            except Unavailable as error:
                missing[row.source] = str(error)
                continue
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            labels[label] += 1
            yield Photo(path, row.sha256 or "", label, _source_of(row), "train")

    try:
        folder.mkdir()
        write_manifest(photos(), folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}") from error
    return labels, missing


def _source_of(row: Row) -> str:
    if (seller := as_text(value_of(row.item or {}, Role.SELLER))) is not None:
        return f"seller {seller}"
    listing = listing_of(row.item)
    return f"listing {listing}" if listing is not None else str(Path(row.source).parent)


def known_items(
    scan: ScanFile, outcomes: Outcomes, origin: str | None = None
) -> Iterator[KnownItem]:
    """Yield the decided images that have a perceptual hash as items for a bank."""
    for row, outcome in decided_rows(scan, outcomes):
        if row.phash is None:
            continue
        is_product = outcome.judgement is Judgement.CONFIRMED
        note = " ".join((outcome.note or "").split())[:2000]
        yield KnownItem(
            pdq=row.phash,
            finding=Finding.PRODUCT if is_product else Finding.CLEARED,
            time=outcome.time.isoformat(),
            label=label_of(row, outcome) if is_product else outcome.label,
            note=note or None,
            by=" ".join(outcome.reviewer.split()),
            origin=origin,
        )
