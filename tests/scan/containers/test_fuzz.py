"""Any bytes as an archive or a table end in rows, and do not end the process that opens them.

The cases of ``hostile.py`` are what is altered. In the suite there are some hundred alterations,
and fifty thousand with ``pytest -m stress tests/scan/containers/test_fuzz.py``.
"""

import bz2
import contextlib
import functools
import lzma
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused
from recognizer.rows.records import to_json
from recognizer.scan import Access, ScanOptions, expand
from recognizer.scan.worker import Reader
from tests.scan.containers.hostile import END, PHOTO, corpus, tar

LIMITS = Limits(max_bytes=1 << 20)
SUFFIXES = (
    *(".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip"),
    *(".csv", ".csv.gz", ".tsv", ".jsonl", ".parquet"),
)
CASES, STRESS_CASES = 50, 5_000  # of each

GOOD_TAR = tar(("a.json", b'{"id": 1}'), ("a.jpg", PHOTO), ("b", PHOTO)) + END


@functools.cache
def seeds() -> dict[str, list[bytes]]:
    """Suffix -> the cases that are altered."""
    found = {
        ".tar": [GOOD_TAR],
        ".tar.bz2": [bz2.compress(GOOD_TAR)],
        ".tar.xz": [lzma.compress(GOOD_TAR)],
        ".tsv": [b"image\tid\na.jpg\t1\n"],
    }
    for name, data in corpus(size=2 << 20).items():
        found.setdefault(name[name.index(".") :], []).append(data)
    return found


pytestmark = pytest.mark.usefixtures("containers")


def altered(bases: list[bytes]) -> st.SearchStrategy[bytes]:
    """Any bytes, and those of a case with some parts overwritten, repeated or left out."""
    change = st.tuples(st.integers(0), st.binary(max_size=8), st.integers(0, 600), st.booleans())

    def apply(base: bytes, changes: list[tuple[int, bytes, int, bool]], kept: int | None) -> bytes:
        for place, new, size, again in changes:
            at = place % (len(base) + 1)
            if again:  # a part comes twice
                base = base[: at + size] + base[at:]
            else:
                base = base[:at] + new + base[at + (len(new) if new else size) :]
        return base if kept is None else base[: kept % (len(base) + 1)]

    changed = st.builds(
        apply, st.sampled_from(bases), st.lists(change, max_size=5), st.none() | st.integers(0)
    )
    return st.binary(max_size=2000) | changed


def check(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    given = [str(path), str(path.parent / "none.jpg")]
    reader = Reader(LIMITS, Access())
    *items, last = expand(given, ScanOptions(limits=LIMITS))
    assert last.source.endswith("none.jpg")
    for item in items:
        to_json({"source": item.source, "item": item.columns, "detail": item.detail})
        assert "the process that opened it" not in (item.detail or "")
        with contextlib.suppress(Refused):
            assert len(reader.read(item)) <= LIMITS.max_bytes


@pytest.mark.parametrize("cases", [CASES, pytest.param(STRESS_CASES, marks=pytest.mark.stress)])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_bytes_end_in_rows(suffix: str, cases: int, tmp_path: Path) -> None:
    bases = seeds()[suffix]
    for base in bases:
        check(tmp_path / f"a{suffix}", base)

    @settings(
        max_examples=cases,
        phases=[Phase.generate],  # what fails is a seed of its own
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(altered(bases))
    def ends_in_rows(data: bytes) -> None:
        check(tmp_path / f"a{suffix}", data)

    ends_in_rows()
