"""From files to what a head is fitted on: photos, embedded; near-copies set aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer.imaging import model_input
from recognizer.model.negatives import NegativeBank, hash_bytes, short_digests
from recognizer.model.numerics import unit_norm
from recognizer.prediction import HASH_BITS, MAX_DISTANCE
from recognizer.recognizer import Recognizer

NEAR_COPY_COSINE = 0.95
"""Photos whose perceptual hashes match are near-copies where their embeddings are this similar."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Photos of one kind, embedded. A photo that could not be read is not among them.

    Attributes:
        paths: of the photos.
        sha256: of each file, hexadecimal.
        phash: uint8, (N, 32), perceptual hashes, see :func:`recognizer.model.negatives.hash_bytes`.
        embeddings: float32, (N, views, channels); the first view is the photo itself.
        log_odds: float32, (N, views, labels), before calibration.
        unreadable: path -> why it could not be read.
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
        """Return the rows of the photos that are no near-copies of an earlier one.

        Returns:
            The rows; and for each of the others, path -> path of the photo that it is a copy of.
        """
        kept: list[int] = []
        copies: dict[str, str] = {}
        directions = unit_norm(self.embeddings[:, 0])
        for row in range(len(self)):
            same = np.array([self.sha256[k] == self.sha256[row] for k in kept], bool)
            same |= are_near(self.phash[kept], self.phash[row], directions[kept] @ directions[row])
            if same.any():
                copies[self.paths[row]] = self.paths[kept[int(same.argmax())]]
            else:
                kept.append(row)
        return kept, copies

    @property
    def places(self) -> int:
        """How many folders the photos come from: what stands for their sources."""
        return len({Path(path).parent for path in self.paths})

    def as_negatives(self, label: str, *, held_out: bool, together: bool) -> NegativeBank:
        """Return the photos as rows of a bank.

        Args:
            label: what they show; empty where all that is known is what they do not show.
            held_out: whether they may say how many false positives to expect.
            together: whether they count as one source; else each is one of its own.
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
    on_photo: Callable[[], None] = lambda: None,
) -> Examples:
    """Read photos and embed them.

    Args:
        recognizer: the bundle whose embedding it is.
        paths: of the photos; an animation counts with its first frame.
        mirrored: whether the mirror image of each photo is a second view of it.
        on_photo: called after each photo.
    """
    found: list[tuple[str, str, NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]] = []
    unreadable: dict[str, str] = {}
    size = recognizer.bundle.input_size
    for path in paths:
        image = recognizer.load_image(Path(path))
        if not image.frames or image.sha256 is None:
            unreadable[path] = (
                f"{image.reason}: {image.detail}" if image.detail else f"{image.reason}"
            )
        else:
            rgb = image.frames[0].rgb
            whole = model_input(rgb, size)
            views = np.stack([whole, whole[:, ::-1]] if mirrored else [whole])
            log_odds, embedding = recognizer.features(views)
            found.append((path, image.sha256, hash_bytes(rgb), embedding, log_odds))
        on_photo()
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
    """Take the photos that are enrolled out of a bank of negatives.

    Returns:
        The rest of the bank, and the labels that those photos had in it.
    """
    same = np.asarray(_copies(bank, photos).any(axis=0), bool)
    return bank[~same], bank.labels[same].tolist()


def known_already(
    bank: NegativeBank, photos: Examples, name: str, earlier: Sequence[str] = ()
) -> NDArray[np.bool_]:
    """Return which photos a label has been taught already: (photos,).

    Args:
        bank: of the bundle; its rows of the label are photos that the label knows.
        photos: any photos.
        name: the label.
        earlier: sha256 of photos that the label was enrolled from.
    """
    same = _copies(bank[bank.labels == name], photos).any(axis=1)
    return np.asarray(same | np.isin(photos.sha256, list(earlier)), bool)


def _copies(bank: NegativeBank, photos: Examples) -> NDArray[np.bool_]:
    """Return which photos are rows of a bank, or near-copies of them: (photos, rows)."""
    directions = unit_norm(bank.embeddings)
    views = zip(
        short_digests(photos.sha256), photos.phash, unit_norm(photos.embeddings[:, 0]), strict=True
    )
    same = [
        (bank.sha256 == digest) | are_near(bank.phash, phash, directions @ embedding)
        for digest, phash, embedding in views
    ]
    return np.array(same, bool).reshape(len(photos), len(bank))


def are_near(
    phash: NDArray[np.uint8], other: NDArray[np.uint8], cosine: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Return which photos are near-copies of another one, by hash and by embedding.

    Args:
        phash: (N, 32), hashes.
        other: (32,), that of the other photo; without a hash (all zeros) nothing is near it.
        cosine: (N,), similarity of the embeddings.
    """
    bits = np.unpackbits(phash ^ other, axis=1).sum(axis=1)
    near = (bits <= MAX_DISTANCE) & (cosine >= NEAR_COPY_COSINE) & other.any()
    return np.asarray(near, bool)
