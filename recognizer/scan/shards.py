"""Shards: independent parts of a scan, for any job scheduler."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from recognizer.errors import UsageError
from recognizer.scan.items import Item


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a scan.

    Which items belong to it depends only on their keys (their sources and columns), not on their
    order or on the machine. Every item is in exactly one of the ``count`` shards, as long as all
    jobs use the same name for it.

    Attributes:
        number: from 1.
        count: how many shards there are.

    Raises:
        UsageError: there is no such shard.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UsageError(
                f"shard {self.number}/{self.count}: shards are counted from 1/{max(1, self.count)} "
                f"to {max(1, self.count)}/{max(1, self.count)}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a shard from ``i/n``.

        Raises:
            UsageError: the text is not a shard, or there is no such shard.
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if found is None:
            raise UsageError(f"shard {text!r}: i/n, as in 1/8 for the first of eight")
        return cls(int(found[1]), int(found[2]))

    def of(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items of this shard, in their order."""
        return (item for item in items if item.key % self.count == self.number - 1)
