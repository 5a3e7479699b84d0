"""Matching images against a bank, in any number of processes that share one copy of it."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from recognizer.known.bank import Bank
from recognizer.known.index import TRANSFORMS, HashIndex, to_bytes, transformed
from recognizer.policy.values import KnownMatch
from recognizer.prediction import MAX_DISTANCE

MAX_MATCHES = 20  # matches of one image that are reported, the nearest

_BANK = "bank.sqlite"
_SAID = ("id", "finding", "label", "note", "origin")  # of an item, in a match


@dataclass(frozen=True, kw_only=True)
class KnownItems:
    """A bank as it was when a scan began, ready to be searched. Made by :func:`share_bank`.

    It is sent to other processes of the machine as the name of its folder; there, the index is
    mapped and not copied. ``name`` is that of the bank's file; ``digest`` covers what is matched,
    and how.
    """

    folder: Path
    name: str
    digest: str
    match_rotations: bool = False

    @cached_property
    def _index(self) -> HashIndex:
        return HashIndex.open(self.folder)

    @cached_property
    def _bank(self) -> Bank:
        return Bank(self.folder / _BANK)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_")}

    def match(self, phash: str | None, distance: int = MAX_DISTANCE) -> tuple[KnownMatch, ...]:
        """Return the items within ``distance`` bits of a hash, each once, the nearest first."""
        if phash is None:
            return ()
        sought = to_bytes([phash])
        if self.match_rotations:
            sought = transformed(sought[0])
        ways, positions, apart = self._index.search(sought, distance)
        matches: dict[str, KnownMatch] = {}
        nearest = sorted(zip(apart.tolist(), ways.tolist(), positions.tolist(), strict=True))
        for bits, way, position in nearest[: MAX_MATCHES * len(TRANSFORMS)]:
            for item in self._bank.of_hash(self._index.hash_at(position)):
                said = {key: getattr(item, key) for key in _SAID}
                match = KnownMatch(distance=bits, transform=TRANSFORMS[way], **said)
                matches.setdefault(item.id, match)
        ranked = sorted(matches.values(), key=lambda match: (match.distance, match.id))
        return tuple(ranked[:MAX_MATCHES])


@contextmanager
def share_bank(
    path: str | os.PathLike[str], *, match_rotations: bool = False
) -> Iterator[KnownItems]:
    """Make a bank ready to be searched by many processes, until the end of the context.

    ``match_rotations`` also finds mirrored and turned images, by eight searches for each image.
    """
    with tempfile.TemporaryDirectory(prefix="known-items-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with Bank(path) as bank:
            bank.copy_to(folder / _BANK)
        with Bank(folder / _BANK) as bank:
            HashIndex.of(bank.hashes()).save(folder)
            what = f"{bank.digest} {'with rotations' if match_rotations else 'upright'}"
        yield KnownItems(
            folder=folder,
            name=Path(path).name,
            digest=hashlib.sha256(what.encode()).hexdigest(),
            match_rotations=match_rotations,
        )
