import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from recognizer.errors import UsageError
from recognizer.scan import Item, Lookahead, run


def numbered(count: int | None = None, data: bytes | None = None) -> Iterator[Item]:
    numbers = itertools.count() if count is None else range(count)
    return (Item.at(f"{n}.jpg", {"id": n}, data=data) for n in numbers)


@pytest.mark.parametrize("count", [0, 1, 2000])
def test_all_items_come_in_their_order(count: int) -> None:
    with Lookahead(numbered(count)) as items:
        assert list(items) == list(numbered(count))
        assert items.total == count


def test_what_is_found_comes_at_once() -> None:
    more = threading.Event()

    def slowly() -> Iterator[Item]:
        yield Item.at("first.jpg")
        more.wait(600)
        yield Item.at("second.jpg")

    with Lookahead(slowly()) as items:
        found = iter(items)
        assert next(found).source == "first.jpg"
        assert items.total is None
        more.set()
        assert next(found).source == "second.jpg"
        assert list(found) == []
        assert items.total == 2


@pytest.mark.parametrize("data", [None, bytes(10_000)])
def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, data: bytes | None) -> None:
    monkeypatch.setattr(run, "_MAX_BYTES", 20_000)
    taken = 0

    def counted() -> Iterator[Item]:
        nonlocal taken
        for item in numbered(data=data):
            taken += 1
            yield item

    with Lookahead(counted()) as items:
        waiting = -1
        while waiting < taken < 20_000:  # until the walk waits
            waiting = taken
            time.sleep(0.2)
        assert taken < 20_000
        assert [item.columns for item in itertools.islice(items, 5_000)][-1] == {"id": 4_999}
        assert items.total is None


def test_an_error_comes_in_its_place() -> None:
    def broken() -> Iterator[Item]:
        yield Item.at("a.jpg")
        raise UsageError("no such column")

    with Lookahead(broken()) as items:
        found = iter(items)
        assert next(found).source == "a.jpg"
        with pytest.raises(UsageError, match="no such column"):
            next(found)
        assert items.total is None
