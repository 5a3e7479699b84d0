"""What verbs read: scans with their outcomes, the bundles behind rows, the originals of images."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from recognizer.desk.outcomes import Outcomes
from recognizer.errors import BundleNotFoundError, RecognizerError
from recognizer.imaging.sources import Refused
from recognizer.model.bundle import Bundle, load_bundle, load_carried_bundles
from recognizer.model.description import ModelReference
from recognizer.rows import Row, ScanFile
from recognizer.rows.item_key import MEMBER
from recognizer.scan import Access, ScanOptions, expand
from recognizer.scan.items import table_format
from recognizer.scan.worker import Reader
from recognizer.status import Reason


def bundles_behind(given: Sequence[str] | None) -> list[Bundle]:
    """Return the bundles among which rows find theirs: those given, then the package's."""
    return [*map(load_bundle, given or ()), *load_carried_bundles()]


def bundle_behind(model: ModelReference, given: Sequence[str] | None) -> Bundle:
    """Return the bundle that made some rows, or raise a BundleNotFoundError."""
    found = bundles_behind(given)
    for bundle in found:
        if bundle.digest == model.digest:
            return bundle
    offered = ", ".join(f"{bundle.title} ({bundle.digest[:12]})" for bundle in found)
    raise BundleNotFoundError(
        f"the rows were made by {model.title} ({model.digest[:12]}), and not by {offered}: "
        "give its folder with --bundle"
    )


@contextmanager
def open_reviewed(scan: Path, outcomes: Path | None) -> Iterator[tuple[ScanFile, Outcomes]]:
    """Open a scan, and what was found out about it: in a file of outcomes, or in the scan's."""
    with ScanFile(scan) as file, Outcomes(outcomes or scan) as found_out:
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
