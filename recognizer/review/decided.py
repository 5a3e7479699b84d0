"""What is made of decided images: a dataset for training, and known items for the bank."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from recognizer._columns import listing_of
from recognizer.dataset.manifest import MANIFEST
from recognizer.errors import UsageError
from recognizer.imaging.sources import Refused
from recognizer.known import KnownItem
from recognizer.policy import Finding
from recognizer.review.outcomes import Judgement, Outcome, OutcomeStore
from recognizer.rows.journal import last_rows
from recognizer.rows.row import Row

REJECTED_LABEL = "listing_other"
"""The label of a rejected image for which the reviewer named none."""

_SELLERS = ("seller", "seller_id", "seller_name", "shop", "user", "user_id")
_COLUMNS = ("sha256", "file", "label", "source", "split", "subtype")


@dataclass(slots=True)
class DatasetReport:
    """What became of the decided images: photos by label, and those that are missing."""

    labels: Counter[str] = field(default_factory=Counter)
    missing: dict[str, str] = field(default_factory=dict)


def decided_rows(journal: Path, store: OutcomeStore) -> Iterator[tuple[Row, Outcome]]:
    """Yield the images that were confirmed or rejected, once each, with what stands.

    Raises:
        JournalError: a file cannot be read.
    """
    standing = {
        outcome.sha256: outcome
        for outcome in store.standing()
        if outcome.sha256 and outcome.judgement in {Judgement.CONFIRMED, Judgement.REJECTED}
    }
    for row in last_rows(journal):
        outcome = standing.pop(row.sha256 or "", None)
        if outcome is not None:
            yield row, outcome


def label_of(row: Row, outcome: Outcome) -> str | None:
    """Return the label of a decided image; None where nobody said and the model did not either."""
    if outcome.label is not None:
        return outcome.label
    if outcome.judgement is Judgement.REJECTED:
        return REJECTED_LABEL
    return next(iter(row.lead_labels), None)


def write_dataset(
    journal: Path, store: OutcomeStore, folder: Path, read: Callable[[Row], bytes]
) -> DatasetReport:
    """Write the decided images into a new data folder with a manifest, all for training.

    The source of a photo is its seller, else its listing, else its place: photos of one seller are
    not independent. Confirmed images without any label are reported as missing.

    Args:
        journal: the rows.
        store: what people found out.
        folder: the new folder.
        read: return the original bytes of a row's image, or raise ``Refused``.

    Raises:
        UsageError: the folder exists or cannot be written.
        JournalError: a file cannot be read.
    """
    report = DatasetReport()
    try:
        folder.mkdir()
        with (folder / MANIFEST).open("w", encoding="utf-8", newline="") as file:
            manifest = csv.DictWriter(file, _COLUMNS)
            manifest.writeheader()
            for row, outcome in decided_rows(journal, store):
                values = _write_photo(row, outcome, folder, read, report)
                if values is not None:
                    manifest.writerow(values)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}") from error
    return report


def _write_photo(
    row: Row,
    outcome: Outcome,
    folder: Path,
    read: Callable[[Row], bytes],
    report: DatasetReport,
) -> dict[str, str] | None:
    sha256, label = row.sha256 or "", label_of(row, outcome)
    if label is None:
        report.missing[row.source] = "it was confirmed without a label"
        return None
    try:
        data = read(row)
    except Refused as refused:
        report.missing[row.source] = f"{refused.reason}: {refused.detail}"
        return None
    if hashlib.sha256(data).hexdigest() != sha256:
        report.missing[row.source] = "the file has changed since the scan"
        return None
    file = Path(label) / f"{sha256}.{row.format or 'image'}"
    (folder / label).mkdir(exist_ok=True)
    (folder / file).write_bytes(data)
    report.labels[label] += 1
    return {
        "sha256": sha256,
        "file": file.as_posix(),
        "label": label,
        "source": _source_of(row),
        "split": "train",
        "subtype": outcome.judgement.value,
    }


def _source_of(row: Row) -> str:
    columns = {name.strip().lower(): value for name, value in (row.item or {}).items()}
    seller = next((columns[name] for name in _SELLERS if columns.get(name)), None)
    if seller is not None:
        return f"seller {seller}"
    listing = listing_of(row.item)
    return f"listing {listing}" if listing is not None else str(Path(row.source).parent)


def known_items(
    journal: Path, store: OutcomeStore, origin: str | None = None
) -> Iterator[KnownItem]:
    """Yield the decided images that have a perceptual hash as items for a bank.

    Args:
        journal: the rows.
        store: what people found out.
        origin: the organisation that they come from.

    Raises:
        JournalError: a file cannot be read.
    """
    for row, outcome in decided_rows(journal, store):
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
