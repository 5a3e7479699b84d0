"""Known items for tests, one and any; random hashes, and ones near to them."""

from datetime import datetime
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from recognizer.known.bank import KnownItem
from recognizer.policy.values import Finding

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


def random_hashes(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32)).astype(np.uint8)


def with_flips(hash_: NDArray[np.uint8], flips: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return a hash that differs in exactly so many bits."""
    bits = np.unpackbits(hash_)
    bits[np.random.default_rng(seed).choice(256, flips, replace=False)] ^= 1
    return np.packbits(bits)


def brute_force(
    hashes: NDArray[np.uint8], sought: NDArray[np.uint8], distance: int
) -> list[tuple[int, int, int]]:
    apart = np.unpackbits(hashes[None] ^ sought[:, None], axis=2).sum(axis=2)
    return [(int(i), int(j), int(apart[i, j])) for i, j in np.argwhere(apart <= distance)]
