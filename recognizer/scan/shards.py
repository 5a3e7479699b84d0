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

    Every item is in exactly one of the ``count`` shards. In which one depends only on its source
    and columns, not on the order or the machine, as long as all jobs use the same name for it.
    Shards are numbered from 1; another number is a :class:`UsageError`.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            count = max(1, self.count)
            raise UsageError(
                f"shard {self.number}/{self.count}: shards go from 1/{count} to {count}/{count}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a shard from ``i/n``; any other text is a :class:`UsageError`."""
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if found is None:
            raise UsageError(f"shard {text!r}: write i/n, for example 1/8 for the first of eight")
        return cls(int(found[1]), int(found[2]))

    def of(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items of this shard, in their order."""
        return (item for item in items if item.key % self.count == self.number - 1)
