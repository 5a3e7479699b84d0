"""Containers with any damage: what comes out of them is items, never an exception."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recognizer.errors import UsageError
from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused
from recognizer.rows.row import JSON
from recognizer.scan.locations import Access, Reader, expand
from tests.conftest import encoded, picture
from tests.scan.locations.test_archives import MAKERS
from tests.scan.locations.test_tables import write

PHOTO = encoded(picture("red", (16, 16)))
MEMBERS = [("a.json", b'{"id": 1}'), ("a.jpg", PHOTO), ("b", PHOTO), ("n" * 120 + ".jpg", PHOTO)]
ROWS = [{"id": i, "title": 'x,\n"y"', "image": f"{i}.jpg", "bytes": "AAAA"} for i in range(20)]
LIMITS = Limits(max_bytes=1 << 20)


MAKE: dict[str, Callable[[Path], Path]] = {
    **{suffix: partial(make, members=MEMBERS) for suffix, make in MAKERS.items()},
    **{suffix: partial(write, rows=ROWS) for suffix in (".csv", ".jsonl", ".csv.gz", ".parquet")},
}


@pytest.mark.parametrize("suffix", MAKE)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=6),
    cut=st.none() | st.integers(0),
    inserted=st.binary(max_size=8),
)
def test_any_damage(
    tmp_path: Path, suffix: str, changes: list[tuple[int, int]], cut: int | None, inserted: bytes
) -> None:
    path = MAKE[suffix](tmp_path / f"a{suffix}")
    data = bytearray(path.read_bytes())
    for place, value in changes:
        data[place % len(data)] = value
    if cut is not None:
        place = cut % len(data)
        data[place : place + len(inserted)] = inserted
        data = data if inserted else data[:place]
    path.write_bytes(data)
    reader = Reader(LIMITS, Access())
    with contextlib.suppress(UsageError):  # the column's name was hit
        for item in expand([path], image_column="image", limits=LIMITS):
            JSON.encode({"source": item.source, "item": item.columns, "detail": item.detail})
            with contextlib.suppress(Refused):
                assert len(reader.read(item)) <= LIMITS.max_bytes
