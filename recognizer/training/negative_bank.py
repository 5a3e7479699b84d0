"""Choose the photos of a bundle's bank of negatives, which later enrolments need.

They are the photos of one group of sources in ten (or those of the split ``validation``), on which
an enrolment counts false positives, and does not learn from them; some photos of each product; and
of those without a product the ones that the model takes for products most, and the ones that differ
most from each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognizer.dataset.manifest import Photo
from recognizer.dataset.outputs import in_chunks, read_frames, run_frames
from recognizer.engine import Recognizer
from recognizer.errors import DatasetError
from recognizer.model.bundle import write_bundle
from recognizer.model.negatives import NegativeBank, hash_bytes, short_digests, write_negatives
from recognizer.model.numerics import unit_norm
from recognizer.taxonomy import Kind

BANK_PHOTOS = 3000
"""Photos in a bank: with 1280 channels about 2.4 MB."""

PRODUCT_PHOTOS = 30
"""Training photos of each product: enough to tell a product from the others."""

_ONE_IN = 10  # sources without a product are held out
_HARDEST = 0.5  # share of the training photos without a product that are the hardest


def attach_bank(
    folder: Path,
    photos: Sequence[Photo],
    *,
    read: Callable[[Photo], NDArray[np.uint8]] | None = None,
    size: int = BANK_PHOTOS,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> NegativeBank:
    """Give a bundle its bank of negatives; an older one is replaced.

    Args:
        folder: of the bundle.
        photos: those it was trained with; the test split is left alone.
        read: returns a photo that was decoded already; by default its file is decoded.
        size: photos in the bank, at most.
        on_progress: called with the photos done and their number.

    Raises:
        DatasetError: a photo cannot be read, or there are too few.
    """
    recognizer = Recognizer.load(folder)
    bank = build_bank(recognizer, photos, read=read, size=size, on_progress=on_progress)
    write_bundle(replace(recognizer.bundle, negatives=write_negatives(folder, bank)))
    return bank


def build_bank(
    recognizer: Recognizer,
    photos: Sequence[Photo],
    *,
    read: Callable[[Photo], NDArray[np.uint8]] | None = None,
    size: int = BANK_PHOTOS,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> NegativeBank:
    """Embed photos and choose among them. See :func:`attach_bank`."""
    used = _held_out([p for p in photos if p.split in {"train", "validation"}])
    whole = _embed(recognizer, used, read, on_progress)
    product = np.array([p.is_product for p in used])
    columns = [i for i, label in enumerate(recognizer.bundle.labels) if label.kind is Kind.PRODUCT]
    suspicion = recognizer.bundle.calibrate(whole.log_odds)[:, columns].max(axis=1, initial=0)
    chosen = np.flatnonzero(whole.held_out).tolist()
    by_label: defaultdict[str, list[int]] = defaultdict(list)
    for row in np.flatnonzero(product & ~whole.held_out):
        by_label[used[row].label].append(int(row))
    for rows in by_label.values():
        chosen += _diverse(whole.embeddings, rows, PRODUCT_PHOTOS)
    left = np.flatnonzero(~product & ~whole.held_out)
    room = max(0, size - len(chosen))
    hardest = left[np.argsort(-suspicion[left], kind="stable")][: round(_HARDEST * room)]
    rest = np.setdiff1d(left, hardest).tolist()
    chosen += hardest.tolist() + _diverse(whole.embeddings, rest, room - len(hardest))
    return whole[np.array(sorted(chosen))]


def _diverse(embeddings: NDArray[np.float32], rows: list[int], count: int) -> list[int]:
    """Return rows that differ: each next one is farthest from those chosen so far."""
    if len(rows) <= count:
        return rows
    members = unit_norm(embeddings[rows])
    distance = np.full(len(rows), np.inf)
    chosen: list[int] = []
    place = 0
    for _ in range(count):
        chosen.append(rows[place])
        distance = np.minimum(distance, 1 - members @ members[place])
        distance[place] = -np.inf
        place = int(distance.argmax())
    return chosen


def _held_out(photos: Sequence[Photo]) -> list[Photo]:
    """Return the photos with some in the split ``validation``.

    These are the manifest's or, of those without a product, one source in ten, or one photo in ten
    where there are few sources.
    """
    if any(p.split == "validation" for p in photos):
        return list(photos)
    negatives = [p for p in photos if not p.is_product]
    several = len({p.source for p in negatives}) >= _ONE_IN
    keys = {p.sha256: p.source if several else p.sha256 for p in negatives}
    order = sorted(set(keys.values()), key=lambda key: sha256(key.encode()).digest())
    chosen = set(order[::_ONE_IN])
    if not chosen:
        raise DatasetError("no photos without a product: false positives could not be counted")
    return [replace(p, split="validation") if keys.get(p.sha256) in chosen else p for p in photos]


def _embed(
    recognizer: Recognizer,
    photos: Sequence[Photo],
    read: Callable[[Photo], NDArray[np.uint8]] | None,
    on_progress: Callable[[int, int], None],
) -> NegativeBank:
    def run(chunk: Sequence[Photo]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        frames = [read(p) for p in chunk] if read else read_frames(recognizer, chunk)
        log_odds, embeddings = run_frames(recognizer, frames)
        return log_odds, embeddings, np.stack([hash_bytes(rgb) for rgb in frames])

    chunks = in_chunks(run, photos, on_progress, threads=1)
    log_odds, embeddings, hashes = map(np.concatenate, zip(*chunks, strict=True))
    sources = {name: i for i, name in enumerate(sorted({p.source for p in photos}))}
    return NegativeBank(
        embeddings,
        log_odds,
        np.array([p.label for p in photos]),
        np.array([sources[p.source] for p in photos], np.int32),
        np.array([p.split == "validation" for p in photos]),
        short_digests([p.sha256 for p in photos]),
        hashes,
    )
