import threading
import time
from collections.abc import Iterator

import pytest

from recognizer.errors import UsageError
from recognizer.scan import Item, run
from recognizer.scan.run import Lookahead


def numbered(count: int) -> list[Item]:
    return [Item.at(f"{n}.jpg", {"id": n}) for n in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2000])
def test_all_items_come_in_their_order(count: int) -> None:
    items = Lookahead(numbered(count))
    assert list(items) == numbered(count)
    assert items.total == count


def test_an_item_comes_at_once() -> None:
    more = threading.Event()

    def slowly() -> Iterator[Item]:
        yield Item.at("first.jpg")
        more.wait(600)
        yield Item.at("second.jpg")

    items = Lookahead(slowly())
    left = iter(items)
    assert next(left).source == "first.jpg"
    assert items.total is None
    more.set()
    assert [item.source for item in left] == ["second.jpg"]
    assert items.total == 2


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_MAX_AHEAD", 50)
    taken = 0

    def counted() -> Iterator[Item]:
        nonlocal taken
        for item in numbered(2_000):
            taken += 1
            yield item

    items = Lookahead(counted())
    waiting = -1
    while waiting < taken:  # until the thread waits
        waiting = taken
        time.sleep(0.2)
    assert (taken, items.total) == (51, None)
    assert [*items] == numbered(2_000)


def test_an_error_comes_in_its_place() -> None:
    def broken() -> Iterator[Item]:
        yield Item.at("a.jpg")
        raise UsageError("no such column")

    items = Lookahead(broken())
    left = iter(items)
    assert next(left).source == "a.jpg"
    with pytest.raises(UsageError, match="no such column"):
        next(left)
    assert items.total is None
