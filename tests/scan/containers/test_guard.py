"""Containers in a process of their own: any accident costs a row, and the scan goes on."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recognizer.errors import MissingExtraError
from recognizer.imaging import Limits
from recognizer.scan import ScanOptions
from recognizer.scan.archives import grouped
from recognizer.scan.bounds import Reading
from recognizer.scan.expansion import Containers
from recognizer.scan.items import FileLocation, Item, Part, Skipped
from recognizer.scan.tables import Opening
from recognizer.status import Reason

MIB = 1 << 20
BAD = Reason.CORRUPT_CONTAINER

NAMES = [f"{number}.jpg" for number in range(600)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap(Opening):
    """An archive of images with these names; some of them are accidents."""

    names: tuple[str, ...] = ()

    def items(self, progress: Reading, skipped: Skipped) -> Iterator[Item]:
        held = []
        for name in self.names:
            progress.begin()
            match name:
                case "exits":
                    os._exit(7)
                case "crashes":
                    os.kill(os.getpid(), signal.SIGSEGV)
                case "hangs":
                    time.sleep(3600)
                case "swells":
                    held += [b"x" * (5 * MIB) for _ in range(100)]
                    time.sleep(3600)
                case "raises":
                    raise MissingExtraError("pyarrow", "parquet")
            skipped.other_files += 1
            yield Item(Part(self.container, name))
            progress.passed(f"member {progress.count}", name)


def trap(*names: str) -> Trap:
    return Trap(container=FileLocation("trap.tar"), names=names)


@pytest.mark.parametrize(
    ("accident", "how"),
    [
        ("exits", "died (exit code 7)"),
        ("crashes", "died (SIGSEGV)"),
        ("hangs", "was killed after 10 s"),
        ("swells", ""),
    ],
)
def test_an_accident_costs_one_row_and_all_before_it_is_found(accident: str, how: str) -> None:
    if accident == "swells" and sys.platform != "linux":
        pytest.skip("the memory limit needs Linux")
    skipped = Skipped()
    with Containers(timeout=300, memory_limit=400 * MIB) as containers:
        for _ in range(2):
            containers._timeout = 300
            assert len(list(containers.items(trap("a"), Skipped()))) == 1  # this module is loaded
            containers._timeout = 10 if accident == "hangs" else 300
            # The last of them still waits for metadata.
            items = containers.items(trap(*NAMES, accident, "lost"), skipped)
            *found, last = grouped(items, skipped)
            assert [item.source for item in found] == [f"trap.tar!/{name}" for name in NAMES]
            assert (last.source, last.reason) == ("trap.tar", BAD)
            assert str(last.detail).startswith(f"the process that opened it {how}")
            assert str(last.detail).endswith("; nothing after member 600, '599.jpg', was read")
        containers._timeout = 300
        assert skipped.other_files == 0
        assert len(list(containers.items(trap("a", "b"), skipped))) == 2
        assert skipped.other_files == 2


def varint(number: int, size: int) -> bytes:
    """A number as Thrift has it, in as many bytes as given."""
    number <<= 1
    return bytes(number >> 7 * i & 0x7F | 0x80 * (i < size - 1) for i in range(size))


@pytest.mark.stress
@pytest.mark.skipif(sys.platform != "linux", reason="the memory limit needs Linux")
def test_a_table_that_lies_about_its_sizes(tmp_path: Path) -> None:
    path, size = tmp_path / "a.parquet", 600 * MIB
    image = pa.array([b"first", bytes(size)], pa.large_binary())
    options = {"use_dictionary": False, "write_statistics": False, "compression": "zstd"}
    pq.write_table(pa.table({"image": image}), path, row_group_size=1, **options)
    data = path.read_bytes()
    true = varint(pq.ParquetFile(path).metadata.row_group(1).column(0).total_uncompressed_size, 5)
    assert true in data
    path.write_bytes(data.replace(true, varint(1000, 5)))
    options = ScanOptions(limits=Limits(max_bytes=700 * MIB))
    opening = Opening(container=FileLocation(str(path)), options=options)
    with Containers(memory_limit=400 * MIB) as containers:
        first, last = containers.items(opening, Skipped())
    assert (first.source, first.data) == (f"{path}!/1", b"first")
    assert (last.source, last.reason) == (str(path), BAD)
    assert str(last.detail).endswith("nothing after row 1 was read")


def test_errors_of_the_installation_are_raised(containers: Containers) -> None:
    with pytest.raises(MissingExtraError, match=r"pip install .*\[parquet\]"):
        list(containers.items(trap("a", "raises"), Skipped()))
    assert len(list(containers.items(trap("a", "b"), Skipped()))) == 2


def test_a_container_that_is_left_halfway_does_not_disturb_the_next(containers: Containers) -> None:
    assert next(containers.items(trap(*NAMES * 100), Skipped())).source == "trap.tar!/0.jpg"
    assert len(list(containers.items(trap("a", "b"), Skipped()))) == 2


def test_whoever_waits_for_items_ends_when_it_is_closed() -> None:
    containers = Containers(timeout=300)  # a process first has to load this module
    items = containers.items(trap("a", "hangs"), Skipped())
    assert next(items).source == "trap.tar!/a"
    containers.close()
    assert list(items) == []
