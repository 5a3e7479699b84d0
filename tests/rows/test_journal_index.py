from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.errors import ScanFileError
from recognizer.rows.journal import Index, KeySet, Last

# Few different keys, so that they are met again; and the ends of the range.
KEYS = st.integers(0, 20) | st.integers(0, 2**64 - 1) | st.sampled_from([2**63 - 1, 2**63])
LASTS = st.builds(Last, st.binary(min_size=16, max_size=16), st.integers(0, 2**62))


@settings(deadline=None)
@given(st.lists(st.tuples(KEYS, LASTS)), st.lists(KEYS))
def test_the_index_is_a_dictionary(pairs: list[tuple[int, Last]], others: list[int]) -> None:
    expected: dict[int, Last] = {}
    with Index() as index:
        for key, last in pairs:
            assert index.get(key) == expected.get(key)
            index.put(key, last)
            expected[key] = last
        for key in (*expected, *others):
            assert index.get(key) == expected.get(key)


@settings(deadline=None)
@given(st.lists(KEYS))
def test_the_key_set_is_a_set(keys: list[int]) -> None:
    met: set[int] = set()
    with KeySet() as found:
        for key in keys:
            assert found.add(key) == (key not in met)
            met.add(key)


def test_two_tables_have_nothing_in_common() -> None:
    with KeySet() as one, KeySet() as other:
        assert one.add(1)
        assert other.add(1)


def test_a_full_temporary_folder_is_a_clear_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def execute(self, *_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

    index = Index()
    index.close()
    monkeypatch.setattr(index, "_database", Full())
    with pytest.raises(ScanFileError, match="TMPDIR"):
        index.put(1, Last(b"", 0))
