"""Containers in a process of their own: any accident costs a row, and the scan goes on."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from recognizer.errors import MissingExtraError, RecognizerError
from recognizer.scan.containers.guard import Containers
from recognizer.scan.items import Skipped
from recognizer.status import Reason
from tests.scan.containers.traps import trap

MIB = 1 << 20
BAD = Reason.CORRUPT_CONTAINER


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    with Containers(timeout=60) as containers:
        yield containers


NAMES = [f"{number}.jpg" for number in range(600)]


@pytest.mark.parametrize(
    ("accident", "how"),
    [
        ("exits", "died (exit code 7)"),
        ("crashes", "died (SIGSEGV)"),
        ("hangs", "was killed after 5 s"),
        ("swells", ""),
    ],
)
def test_an_accident_costs_one_row_and_all_before_it_is_found(accident: str, how: str) -> None:
    if accident == "swells" and sys.platform != "linux":
        pytest.skip("the memory limit needs Linux")
    skipped = Skipped()
    with Containers(timeout=5, memory_limit=400 * MIB) as containers:
        for _ in range(2):
            *found, last = containers.items(trap(*NAMES, "waits", accident, "lost"), skipped)
            assert [item.source for item in found] == [*NAMES, "waiting"]
            assert (last.source, last.reason) == ("trap.tar", BAD)
            assert str(last.detail).startswith(f"the process that opened it {how}")
            assert str(last.detail).endswith("; nothing after member 600, '599.jpg', was read")
        assert skipped.other_files == 0
        assert [i.source for i in containers.items(trap("a", "b"), skipped)] == ["a", "b"]
        assert skipped.other_files == 2


def test_errors_of_the_installation_are_raised(containers: Containers) -> None:
    with pytest.raises(MissingExtraError, match=r"pip install .*\[parquet\]"):
        list(containers.items(trap("a", "raises"), Skipped()))
    assert len(list(containers.items(trap("a", "b"), Skipped()))) == 2


def test_a_container_that_is_left_halfway_does_not_disturb_the_next(containers: Containers) -> None:
    items = containers.items(trap(*NAMES * 100), Skipped())
    assert next(items).source == "0.jpg"
    assert len(list(containers.items(trap("a", "b"), Skipped()))) == 2


def test_whoever_waits_for_items_ends_when_it_is_closed() -> None:
    containers = Containers()
    items = containers.items(trap("a", "hangs"), Skipped())
    assert next(items).source == "a"
    containers.close()
    assert list(items) == []


def test_a_process_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recognizer.scan.containers.guard._run", exit)
    with Containers() as containers, pytest.raises(RecognizerError, match="cannot be started"):
        list(containers.items(trap("a"), Skipped()))
