"""Decided images of a scan: those that people confirmed or rejected, with the outcome that holds.

Outcomes are in the scan's file, or in another that :meth:`ScanFile.use_outcomes_of` names.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile

_LAST = """
SELECT sha256, judgement = 'confirmed', label, note, reviewer, time FROM standing
WHERE number IN (SELECT max(number) FROM standing WHERE sha256 IS NOT NULL GROUP BY sha256)
  AND judgement IN ('confirmed', 'rejected')
"""


class DecidedImage(NamedTuple):
    """An image and the last outcome about it that was not withdrawn.

    ``label`` is the one that the reviewer named, or None.
    """

    row: Row
    is_confirmed: bool
    label: str | None
    note: str | None
    reviewer: str
    time: str

    @property
    def likely_label(self) -> str | None:
        """The reviewer's label; of a confirmed image without one, the label of its first lead."""
        labels = self.row.lead_labels if self.is_confirmed else ()
        return self.label or next(iter(labels), None)


def decided_images(scan: ScanFile) -> Iterator[DecidedImage]:
    """Yield the images that were decided, in the order of the scan, each content once."""
    decided = {sha256: values for sha256, *values in scan.select(_LAST)}
    for row in scan.rows("sha256 IN (SELECT value FROM json_each(?))", (json.dumps([*decided]),)):
        if (values := decided.pop(row.sha256, None)) is not None:
            is_confirmed, *others = values
            yield DecidedImage(row, bool(is_confirmed), *others)
