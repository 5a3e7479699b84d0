"""The original of a row: the scan knows how to read it, the review needs it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recognizer.rows.row import Row


def read_original(row: Row, *, allow_http: bool) -> bytes:
    """Return the bytes of a row's image as they are now; raise a Refused if they cannot be read."""
    from recognizer.errors import RecognizerError
    from recognizer.imaging.sources import Refused
    from recognizer.rows.item_key import MEMBER
    from recognizer.scan.expand import expand
    from recognizer.scan.items import table_format
    from recognizer.scan.options import ScanOptions
    from recognizer.scan.web import Access
    from recognizer.scan.worker import Reader
    from recognizer.status import Reason

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
