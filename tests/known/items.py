"""Known items for tests: one, and any."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from recognizer.known import KnownItem
from recognizer.policy import Finding

TIME = "2026-03-01T10:00:00+00:00"
HASH = "0123456789abcdef" * 4

_texts = st.none() | st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=30
)
items = st.builds(
    KnownItem,
    pdq=st.binary(min_size=32, max_size=32).map(bytes.hex),
    finding=st.sampled_from(Finding),
    time=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.timezones()).map(
        datetime.isoformat
    ),
    label=st.none() | st.from_regex("[a-z0-9][a-z0-9_]{0,20}", fullmatch=True),
    note=_texts,
    by=_texts,
    origin=_texts.map(lambda text: text or "somebody"),
)


def item(pdq: str = HASH, **changes: Any) -> KnownItem:
    return KnownItem(**{"pdq": pdq, "finding": Finding.PRODUCT, "time": TIME, **changes})
