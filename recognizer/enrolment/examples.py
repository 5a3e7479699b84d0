"""From files to what a head is fitted on: photos, embedded; near-copies set aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer.engine import Recognizer
from recognizer.imaging import model_input
from recognizer.known import near_copies
from recognizer.model.negatives import NegativeBank, hash_bytes, short_digests
from recognizer.model.numerics import unit_norm
from recognizer.prediction import HASH_BITS, MAX_DISTANCE

NEAR_COPY_COSINE = 0.95
"""Photos whose perceptual hashes match are near-copies where their embeddings are this similar."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Photos of one kind, embedded. A photo that could not be read is not among them.

    ``phash`` is uint8, (N, 32) (:func:`recognizer.model.negatives.hash_bytes`). ``embeddings``,
    (N, views, channels), and ``log_odds`` before calibration, (N, views, labels), are float32, and
    the first view is the photo itself. ``unreadable`` is path -> why it could not be read.
    """

    paths: tuple[str, ...]
    sha256: tuple[str, ...]
    phash: NDArray[np.uint8]
    embeddings: NDArray[np.float32]
    log_odds: NDArray[np.float32]
    unreadable: dict[str, str]

    def __len__(self) -> int:
        return len(self.paths)

    def chosen(self, rows: Sequence[int]) -> Examples:
        """Return some of the photos."""
        index = np.array(rows, np.int64)
        return Examples(
            tuple(self.paths[i] for i in rows),
            tuple(self.sha256[i] for i in rows),
            self.phash[index],
            self.embeddings[index],
            self.log_odds[index],
            self.unreadable,
        )

    def distinct(self) -> tuple[list[int], dict[str, str]]:
        """Return the rows of the photos that are not near-copies of an earlier one.

        For each of the others also path -> path of the photo that it is a copy of.
        """
        hashes = [phash.tobytes().hex() if phash.any() else None for phash in self.phash]
        firsts = [int(first) for first in near_copies(hashes, self.sha256)]
        kept = [row for row, first in enumerate(firsts) if row == first]
        copies = {
            self.paths[row]: self.paths[first] for row, first in enumerate(firsts) if row != first
        }
        return kept, copies

    def as_negatives(self, label: str, *, held_out: bool, together: bool) -> NegativeBank:
        """Return the photos as rows of a bank, together as one source or each as its own.

        ``label`` is empty where all that is known is what they do not show; those ``held_out``
        may say how many false positives to expect.
        """
        count = len(self)
        return NegativeBank(
            self.embeddings[:, 0],
            self.log_odds[:, 0],
            np.full(count, label, dtype=f"<U{max(1, len(label))}"),
            np.zeros(count, np.int32) if together else np.arange(count, dtype=np.int32),
            np.full(count, held_out),
            short_digests(self.sha256),
            self.phash,
        )


def read_examples(
    recognizer: Recognizer,
    paths: Sequence[str],
    *,
    mirrored: bool,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Examples:
    """Read photos and embed them, perhaps with the mirror image of each as a second view.

    An animation counts with its first frame.
    """
    found: list[tuple[str, str, NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]] = []
    unreadable: dict[str, str] = {}
    size = recognizer.bundle.input_size
    for done, path in enumerate(paths, 1):
        image = recognizer.load_image(Path(path))
        if not image.frames or image.sha256 is None:
            unreadable[path] = ": ".join(filter(None, (image.reason, image.detail)))
        else:
            rgb = image.frames[0].rgb
            whole = model_input(rgb, size)
            views = np.stack([whole, whole[:, ::-1]] if mirrored else [whole])
            log_odds, embedding = recognizer.features(views)
            found.append((path, image.sha256, hash_bytes(rgb), embedding, log_odds))
        on_progress(done, len(paths))
    columns = list(zip(*found, strict=True)) or [()] * 5
    labels = len(recognizer.labels)
    return Examples(
        tuple(columns[0]),
        tuple(columns[1]),
        np.stack(columns[2]) if found else np.zeros((0, HASH_BITS // 8), np.uint8),
        np.stack(columns[3]) if found else np.zeros((0, 1, 1), np.float32),
        np.stack(columns[4]) if found else np.zeros((0, 1, labels), np.float32),
        unreadable,
    )


def without_copies(bank: NegativeBank, photos: Examples) -> tuple[NegativeBank, list[str]]:
    """Take photos out of a bank of negatives; also return the labels that they had in it."""
    same = np.asarray(_copies(bank, photos).any(axis=0), bool)
    return bank[~same], bank.labels[same].tolist()


def known_already(
    bank: NegativeBank | None, photos: Examples, name: str, earlier: Sequence[str]
) -> NDArray[np.bool_]:
    """Return which photos a label was made of, (photos,): its score says nothing of them.

    They are in the bundle's bank as that label, or their sha256 is in ``earlier``.
    """
    known = np.isin(photos.sha256, list(earlier))
    if bank is not None:
        known |= _copies(bank[bank.labels == name], photos).any(axis=1)
    return known


def _copies(bank: NegativeBank, photos: Examples) -> NDArray[np.bool_]:
    # (photos, rows of the bank): the same bytes, or near-copies by hash and by embedding. Without a
    # hash (all zeros) nothing is near.
    directions = unit_norm(bank.embeddings)
    views = zip(
        short_digests(photos.sha256), photos.phash, unit_norm(photos.embeddings[:, 0]), strict=True
    )
    same = []
    for digest, phash, embedding in views:
        bits = np.unpackbits(bank.phash ^ phash, axis=1).sum(axis=1)
        alike = directions @ embedding >= NEAR_COPY_COSINE
        near = (bits <= MAX_DISTANCE) & alike & phash.any()
        same.append((bank.sha256 == digest) | near)
    return np.array(same, bool).reshape(len(photos), len(bank))
