"""The content of a source: the bytes of each of its images, or the reason for a failure."""

from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused
from recognizer.scan import ScanOptions, expand
from recognizer.scan.worker import Reader
from tests.conftest import encoded, picture

RED, GREEN, BLUE = (encoded(picture(color)) for color in ("red", "green", "blue"))
LIMITS = Limits(max_bytes=20_000)


def read(item):
    try:
        return Reader(LIMITS).read(item)
    except Refused as refused:
        return refused.reason


def contents(*sources, stdin=None, skipped=None, **options):
    """Source -> bytes or reason, of all items."""
    given = ScanOptions(limits=LIMITS, **options)
    items = list(expand(map(str, sources), given, stdin=stdin, skipped=skipped))
    found = {item.source: read(item) for item in items}
    assert len(found) == len(items)
    return found
