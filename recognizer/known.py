"""Known items: confirmed images, whose near-copies are leads.

They are outcomes of reviews with the perceptual hashes of their images. They lie in memory, once in
each process of a scan.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np

from recognizer.errors import UsageError
from recognizer.imaging.near_copies import to_bytes
from recognizer.policy.values import KnownMatch
from recognizer.prediction import MAX_DISTANCE, Digest

MAX_SECONDS_AHEAD = 86_400  # of an outcome: a time that is further ahead is of a wrong clock
_MAX_MATCHES = 20  # of one image that are reported, the nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownItem:
    """A confirmed outcome (the id) on an image (the perceptual hash)."""

    phash: str
    outcome: str
    sha256: str | None = None
    label: str | None = None
    note: str | None = None


class KnownItems:
    """Items that images are compared with; `recognizer.rows.load_known` reads them from a file."""

    def __init__(self, items: Iterable[KnownItem]) -> None:
        self._items = [*items]
        self._hashes = to_bytes([item.phash for item in self._items]).view(np.uint64)

    def __len__(self) -> int:
        return len(self._items)

    def apart_from(self, decided: Collection[str]) -> KnownItems:
        """Return the items, of which images with these digests are not known to themselves."""
        kept = (one if one.sha256 in decided else replace(one, sha256=None) for one in self._items)
        return KnownItems(kept)

    def match(self, phash: str | None, sha256: str | None = None) -> tuple[KnownMatch, ...]:
        """Return the other items within 31 bits of an image's hash, the nearest first, up to 20."""
        if phash is None:
            return ()
        bits = np.bitwise_count(self._hashes ^ to_bytes([phash]).view(np.uint64))
        distances = bits.sum(axis=1, dtype=np.uint16)
        near = np.flatnonzero(distances <= MAX_DISTANCE)
        near = near[[sha256 is None or self._items[at].sha256 != sha256 for at in near.tolist()]]
        nearest = near[np.argsort(distances[near], kind="stable")][:_MAX_MATCHES].tolist()
        matches = ((int(distances[position]), self._items[position]) for position in nearest)
        return tuple(
            KnownMatch(distance=bits, outcome=item.outcome, label=item.label, note=item.note)
            for bits, item in matches
        )


class _Line(msgspec.Struct):
    """An outcome as `recognizer outcomes export` writes it, without what is not needed here."""

    id: str
    time: datetime
    judgement: str
    sha256: str | None = None
    label: str | None = None
    note: str | None = None
    withdraws: str | None = None
    phash: Digest | None = None


def read_outcomes(path: Path) -> Iterator[KnownItem]:
    """Yield the images whose latest outcome in a file (JSON Lines) is a confirmation.

    Images without a perceptual hash are left out: unreadable and blank images would match others.
    """
    soon = time.time() + MAX_SECONDS_AHEAD
    lines = sorted(_lines(path), key=lambda o: 0.0 if (at := o.time.timestamp()) > soon else at)
    withdrawn = {line.withdraws for line in lines}
    latest = {
        line.sha256: line
        for line in lines
        if line.sha256 and line.withdraws is None and line.id not in withdrawn
    }
    for line in latest.values():
        if line.judgement == "confirmed" and line.phash is not None:
            of = {name: getattr(line, name) for name in ("phash", "sha256", "label", "note")}
            yield KnownItem(outcome=line.id, **of)


def _lines(path: Path) -> Iterator[_Line]:
    number = 0
    try:
        if not path.is_file():
            raise UsageError(f"{path}: no such file, or not a regular file")
        decode = msgspec.json.Decoder(_Line).decode
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):  # noqa: B007 - an error names the line
                if text.strip():
                    yield decode(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        advice = "known items are a scan's file, or a .jsonl file of `recognizer outcomes export`"
        raise UsageError(f"{path}: line {number}: {error}: {advice}") from error
