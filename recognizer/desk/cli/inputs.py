"""The inputs of verbs: scans with their outcomes, and the originals of images."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recognizer.desk.outcomes import Outcomes
from recognizer.errors import RecognizerError
from recognizer.imaging.sources import Refused
from recognizer.rows import Row, ScanFile
from recognizer.rows.item_key import MEMBER
from recognizer.scan import Access, ScanOptions, expand
from recognizer.scan.items import table_format
from recognizer.scan.worker import Reader
from recognizer.status import Reason


@contextmanager
def open_reviewed(scan: Path, outcomes: Path | None) -> Iterator[tuple[ScanFile, Outcomes]]:
    """Open a scan, and what was found out about it: in a file of outcomes, or in the scan's."""
    with ScanFile(scan) as file, Outcomes(outcomes or scan) as found_out:
        if outcomes is not None:
            file.use_outcomes_of(outcomes)
        yield file, found_out


def read_original(row: Row, *, allow_http: bool) -> bytes:
    """Return the bytes of a row's image as they are now; raise a Refused if they cannot be read."""
    options = ScanOptions(access=Access(allow_http=allow_http))
    container = row.source.partition(MEMBER)[0]
    # A folder may be called like a table, and "!".
    is_in_table = table_format(container) is not None and not os.path.lexists(row.source)
    source = container if is_in_table else row.source
    try:
        for item in expand([source], options):
            if item.source == row.source:
                return Reader(options.limits, options.access).read(item)
    except RecognizerError as error:
        raise Refused(Reason.SOURCE_REFUSED, str(error)) from error
    raise Refused(Reason.NOT_FOUND, f"{container} has no such image now")
