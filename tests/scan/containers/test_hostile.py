"""Hostile containers: each ends in rows, through the process that opens containers."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from recognizer.imaging import Limits
from recognizer.scan import Access, ScanOptions, expand
from recognizer.scan.bounds import Bounds
from recognizer.scan.expansion import Containers
from recognizer.scan.items import Item
from recognizer.status import Reason
from tests.scan.containers.hostile import corpus, nested

BAD, LARGE, REFUSED = Reason.CORRUPT_CONTAINER, Reason.TOO_MANY_BYTES, Reason.SOURCE_REFUSED
MIB = 1 << 20
LIMITS = Limits(max_bytes=1 * MIB)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return corpus()


@pytest.fixture
def opened(containers: Containers, tmp_path: Path, files: dict[str, bytes]) -> Any:
    def opened(name: str, data: bytes | None = None, **options: Any) -> dict[str, Item]:
        path = tmp_path / name
        path.write_bytes(files[name] if data is None else data)
        given = [str(path), str(tmp_path / "none.jpg")]  # not the only source
        *items, _ = expand(given, ScanOptions(limits=LIMITS, **options))
        found = {item.source.removeprefix(f"{tmp_path}/"): item for item in items}
        assert len(found) == len(items)
        return found

    return opened


def reasons(found: dict[str, Item]) -> dict[str, Reason | None]:
    return {name: item.reason for name, item in found.items()}


def test_the_bound_of_nesting(opened: Any) -> None:
    assert reasons(opened("a.jsonl", nested(64)))["b.jpg"] is None
    assert reasons(opened("a.jsonl", nested(65)))["a.jsonl!/2"] is BAD


def test_what_unpacks_without_end(opened: Any, files: dict[str, bytes]) -> None:
    name = "zeros.tar.gz"
    assert reasons(opened(name, files[name]))[f"{name}!/b.jpg"] is LARGE
    found = opened(name, files[name], bounds=Bounds(max_unpacked=4 * MIB))
    assert found[name].reason is LARGE
    assert "(max_unpacked)" in found[name].detail
    csv = opened("zeros.csv.gz", bounds=Bounds(max_unpacked=4 * MIB))
    assert csv["zeros.csv.gz"].reason is LARGE


def test_too_many_members_and_columns(opened: Any) -> None:
    found = opened("same.zip", bounds=Bounds(max_members=100))
    assert Counter(reasons(found).values()) == {None: 100, BAD: 1}
    assert "max_members" in found["same.zip"].detail
    assert len(opened("same.zip")) == 300
    assert "10001 columns, limit 4096" in opened("columns.csv")["columns.csv"].detail
    found = opened("listing.csv", bounds=Bounds(max_members=50))
    assert Counter(reasons(found).values()) == {None: 50, BAD: 1}


def test_cells_are_cut(opened: Any) -> None:
    columns = opened("listing.csv")["7.jpg"].columns
    assert columns["id"] == "1"
    assert columns["text"].startswith("x" * 16000)
    assert "x... [cut: 100000 characters, limit 163" in columns["text"]


def test_a_table_leads_nowhere_else(opened: Any) -> None:
    found = opened("places.csv")
    outside = next(name for name in reasons(found) if name.endswith("/etc/passwd"))
    assert {name: reason for name, reason in reasons(found).items() if reason} == dict.fromkeys(
        ("/etc/shadow", "/proc/self/environ", "s3://bucket/a.jpg", outside), REFUSED
    )
    assert "--image-root" in found["/etc/shadow"].detail
    assert "--image-root" in found["s3://bucket/a.jpg"].detail
    assert found["a.jpg"].reason is None
    found = opened("places.csv", access=Access(root="/etc"))
    assert found["/etc/shadow"].reason is found["/etc/a.jpg"].reason is None
    assert found["s3://bucket/a.jpg"].reason is REFUSED
    found = opened("places.csv", access=Access(root="/etc/none"))
    assert Counter(reasons(found).values()) == {REFUSED: 4, None: 1}
    two = b"image\ns3://bucket/a.jpg\nb.jpg\n"
    found = opened("two.csv", two, access=Access(root="s3://bucket"))
    assert reasons(found) == {"s3://bucket/a.jpg": None, "s3://bucket/b.jpg": None}
    found = opened("places.csv", access=Access(root="s3://buck"))
    assert found["s3://bucket/a.jpg"].reason is REFUSED
