"""The content of a source: the bytes of each of its images, or the reason for a failure."""

from typing import Any

from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused
from recognizer.scan import ScanOptions, expand
from recognizer.scan.items import Item, Skipped
from recognizer.scan.worker import Reader
from recognizer.status import Reason
from tests.conftest import encoded, picture

RED, GREEN, BLUE = (encoded(picture(color)) for color in ("red", "green", "blue"))
LIMITS = Limits(max_bytes=20_000)


def read(item: Item) -> bytes | Reason:
    try:
        return Reader(LIMITS).read(item)
    except Refused as refused:
        return refused.reason


def contents(
    *sources: object, stdin: Any = None, skipped: Skipped | None = None, **options: Any
) -> dict[str, bytes | Reason]:
    """Source -> bytes or reason, of all items."""
    given = ScanOptions(limits=LIMITS, **options)
    items = list(expand(map(str, sources), given, stdin=stdin, skipped=skipped))
    found = {item.source: read(item) for item in items}
    assert len(found) == len(items)
    return found
