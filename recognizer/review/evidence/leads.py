"""Finding the rows of a case in a journal, by what a reviewer has in hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from recognizer.errors import UsageError
from recognizer.listing_columns import listing_of
from recognizer.rows.journal import last_rows
from recognizer.rows.row import Row
from recognizer.status import Status

_DIGITS = re.compile(r"[0-9a-f]{8,64}")


def find_leads(journal: Path, leads: Sequence[str], listings: Sequence[str] = ()) -> list[Row]:
    """Return the rows of the images that are named, in the order of the journal.

    Args:
        journal: the rows of a scan.
        leads: digests (sha256, or their first 8 digits or more), or sources.
        listings: identities of listings; all their images that were scored.

    Raises:
        ScanFileError: the journal cannot be read.
        UsageError: nothing is named, a name fits no image, or fits images with different content.
    """
    if not leads and not listings:
        raise UsageError("name at least one image (--lead) or listing (--listing)")
    prefixes = [lead for lead in leads if _DIGITS.fullmatch(lead)]
    found: dict[str, list[Row]] = {name: [] for name in (*leads, *listings)}
    rows: list[Row] = []
    for row in last_rows(journal):
        names = {row.source} & {*leads}
        names |= {prefix for prefix in prefixes if (row.sha256 or "").startswith(prefix)}
        listing = listing_of(row.item)
        if listing is not None and row.status is not Status.FAILED:
            names |= {str(listing)} & {*listings}
        for name in names:
            found[name].append(row)
        if names and all(row.sha256 != other.sha256 or row.item != other.item for other in rows):
            rows.append(row)
    for name in leads:
        if not found[name]:
            raise UsageError(f"--lead {name}: no image of {journal} has this sha256 or source")
        if len({row.sha256 for row in found[name]}) > 1:
            raise UsageError(f"--lead {name}: several images begin so; give more digits")
    for name in listings:
        if not found[name]:
            raise UsageError(f"--listing {name}: no scored image of {journal} is in this listing")
    return rows
