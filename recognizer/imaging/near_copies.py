"""Perceptual hashes, and groups of near-copies: images whose hashes differ in few bits.

The hash is PDQ (Meta, "TMK+PDQF", 2019), 256 bits. One step differs: areas are averaged where the
published program blurs, so that a photo and its smaller copy get nearly the same hash. Groups are
found among millions by multi-index hashing (Norouzi, Punjani, Fleet 2012): of hashes that differ in
at most 20 bits, some chunk of 16 bits differs in at most one.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.prediction import HASH_BITS

MIN_QUALITY = 50
"""PDQ's own measure of how much there is to see, 0 to 100. Under this, as its authors advise,
an image has no hash: all blank ones would match one another."""

MIN_HASH_SIDE = 128  # pixels to which an image that is decoded only for its hash may be reduced

_DCT_SIDE = 64  # of the averaged image
_FREQUENCIES = 16  # the lowest ones of the transform, without the constant
_LUMINANCE = np.array([[0.299, 0.587, 0.114]], np.float32)
_GRADIENT_UNIT = 90.0  # gradients (in percent of full contrast) for one unit of quality
_MIDDLE = [_FREQUENCIES**2 // 2 - 1, _FREQUENCIES**2 // 2]
_ANGLES = np.outer(np.arange(1, _FREQUENCIES + 1), 2 * np.arange(_DCT_SIDE) + 1)
_DCT = (np.sqrt(2 / _DCT_SIDE) * np.cos(np.pi / 2 / _DCT_SIDE * _ANGLES)).astype(np.float32)

COPY_DISTANCE = 20  # bits; under MAX_DISTANCE, as a decision on a copy has to be right for it

_HASH_BYTES = HASH_BITS // 8
_HASH_SIDE = 16
# Of a hash's 16 x 16 coefficients, the odd frequencies (the first, the third ...) change their
# sign when the image is mirrored. They are written from the last to the first.
_ODD = (np.arange(_HASH_SIDE)[::-1] % 2 == 0).astype(np.uint8)
_FLIPS = ((0, 0), (0, 1), (1, 0), (1, 1))  # from top to bottom, from left to right
_MIRRORS = np.stack([down * _ODD[:, None] ^ right * _ODD for down, right in _FLIPS])

_CHUNKS = 16
_CHUNK_BITS = HASH_BITS // _CHUNKS
_VALUES = 1 << _CHUNK_BITS
_BLOCK = 1 << 16  # candidates that are compared at a time
_SOUGHT = 256  # hashes that are sought at a time

# Bits that are neighbours in a transform are alike in many photos, and a chunk of such bits would
# have a few crowded values. So a chunk takes one bit from each row of the 16 x 16 coefficients,
# each from another column.
_ROW, _COLUMN = np.divmod(np.arange(HASH_BITS), _CHUNK_BITS)
_PERMUTATION = np.argsort((_COLUMN + 5 * _ROW) % _CHUNKS, kind="stable")

# Chunks to look up, and the bit that is flipped. With 16 + a differences, either one of the first
# a + 1 chunks has at most one of them, or one of the others has none.
_REST = COPY_DISTANCE - _CHUNKS
_FLIPPED = [(chunk, 1 << bit) for chunk in range(_REST + 1) for bit in range(_CHUNK_BITS)]
_PROBED, _FLIPPED_BITS = np.array([(chunk, 0) for chunk in range(_CHUNKS)] + _FLIPPED).T


def perceptual_hash(rgb: NDArray[np.uint8]) -> str | None:
    """Return the PDQ hash of an RGB image of any size: 64 hexadecimal digits, as in hash lists.

    Return None if the image has too little structure (see :data:`MIN_QUALITY`).
    """
    # OpenCV halves far faster than it averages by another factor.
    while min(rgb.shape[:2]) >= 4 * _DCT_SIDE and not (rgb.shape[0] % 2 or rgb.shape[1] % 2):
        rgb = np.asarray(cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    # Averaged while it is small in memory, and only then weighed: the order makes no difference.
    small = cv2.resize(rgb, (_DCT_SIDE, _DCT_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    luminance = np.asarray(cv2.transform(small, _LUMINANCE), np.float32)
    steps = sum(  # of gradients, small ones left out
        float(np.abs(np.trunc(np.diff(luminance, axis=axis) * (100 / 255))).sum())
        for axis in (0, 1)
    )
    if steps / _GRADIENT_UNIT < MIN_QUALITY:
        return None
    coefficients = _DCT @ luminance @ _DCT.T
    # np.median would import masked arrays, which takes longer than all else here.
    bits = coefficients > np.partition(coefficients.ravel(), _MIDDLE)[_MIDDLE].mean()
    # The published order begins with the last bit.
    return np.packbits(bits.ravel()[::-1]).tobytes().hex()


def to_bytes(hashes: Sequence[str]) -> NDArray[np.uint8]:
    """Return hexadecimal hashes as uint8, (n, 32)."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, _HASH_BYTES)


def orientations(hash_: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Estimate the hash, uint8 (32,), of an image rotated and mirrored: uint8 (8, 32).

    The order is upright, mirrored, upside down, both; then transposed and the three that follow
    from it: rotated by 90 and 270 degrees, transverse. Mirrored ones are some 6 bits off: a bit is
    the side of the median on which a coefficient lies, and the median is only near zero.
    """
    bits = np.unpackbits(hash_).reshape(_HASH_SIDE, _HASH_SIDE)
    upright, transposed = bits ^ _MIRRORS, bits.T ^ _MIRRORS
    # Transposed and then mirrored from top to bottom is rotated by 90 degrees, counterclockwise.
    every = np.concatenate([upright, transposed[[0, 2, 1, 3]]])
    return np.packbits(every.reshape(-1, HASH_BITS), axis=1)


class HashIndex:
    """An index over hashes, uint8 (n, 32), of 100 bytes for each hash and 4 MB."""

    def __init__(self, hashes: NDArray[np.uint8]) -> None:
        self._hashes = _permute(hashes)
        # Positions in each chunk by its values, and where the positions of a value begin.
        self._order = np.empty((_CHUNKS, len(hashes)), np.uint32)
        self._starts = np.zeros((_CHUNKS, _VALUES + 1), np.uint32)
        for chunk in range(_CHUNKS):
            values = _chunk_values(self._hashes, chunk)
            self._order[chunk] = np.argsort(values, kind="stable")
            np.cumsum(np.bincount(values, minlength=_VALUES), out=self._starts[chunk, 1:])

    def search(self, sought: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Find all hashes within :data:`COPY_DISTANCE` bits of some others, uint8 (m, 32).

        Return, for each pair, ordered by both, its positions among those sought and in the index.
        """
        permuted, count = _permute(sought), len(self._hashes)
        values = np.stack([_chunk_values(permuted, chunk) for chunk in range(_CHUNKS)], axis=1)
        probed = values[:, _PROBED] ^ _FLIPPED_BITS
        first = self._starts[_PROBED, probed].astype(np.int64)
        counts = self._starts[_PROBED, probed + 1] - first
        first += _PROBED * count
        words, own = permuted.view(np.uint64), self._hashes.view(np.uint64)
        totals = counts.sum(axis=1)
        parts = []
        # Cut where the sum passes _BLOCK, so that memory stays flat.
        ends_of_blocks = np.flatnonzero(np.diff(np.cumsum(totals) // _BLOCK)) + 1
        for part in np.split(np.arange(len(totals)), ends_of_blocks):
            many = counts[part].reshape(-1)
            # Ranges of the order, one for each probe, strung together.
            shifts = np.repeat(first[part].reshape(-1) - np.cumsum(many) + many, many)
            right = self._order.reshape(-1)[np.arange(len(shifts)) + shifts].astype(np.intp)
            left = np.repeat(part, totals[part])
            apart = np.bitwise_count(own[right] ^ words[left]).sum(axis=1, dtype=np.uint16)
            near = apart <= COPY_DISTANCE
            # A hash comes up once for each chunk that agrees.
            parts.append(np.unique(left[near] * count + right[near]))
        left, right = np.divmod(np.concatenate(parts), max(1, count))
        return left, right


def _permute(hashes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.packbits(np.take(np.unpackbits(hashes, axis=1), _PERMUTATION, axis=1), axis=1)


def _chunk_values(permuted: NDArray[np.uint8], chunk: int) -> NDArray[np.uint16]:
    values: NDArray[np.uint16] = np.ascontiguousarray(permuted[:, 2 * chunk : 2 * chunk + 2])
    return values.view(np.uint16)[:, 0]


def near_copies(
    hashes: Sequence[str | None],
    exact: Sequence[Hashable | None],
    *,
    match_orientations: bool = False,
) -> NDArray[np.intp]:
    """Return for each image the position of the first one of its group of near-copies.

    A near-copy of a near-copy is of the same group. ``exact`` holds what only images of one group
    share, such as a digest. With ``match_orientations`` rotated and mirrored copies count, too.
    """
    above = list(range(len(hashes)))  # disjoint sets, each known by its first member

    def root(member: int) -> int:
        while above[member] != member:
            above[member] = above[above[member]]
            member = above[member]
        return member

    def join(one: int, other: int) -> None:
        one, other = root(one), root(other)
        above[max(one, other)] = min(one, other)

    # Equal hashes once: there may be thousands of copies of one banner, and they are many pairs.
    for keys in (exact, hashes):
        firsts: dict[Any, int] = {}
        for position, key in enumerate(keys):
            if key is not None:
                join(firsts.setdefault(key, position), position)
    firsts_of, distinct = [*firsts.values()], to_bytes([*firsts])
    index = HashIndex(distinct)
    for start in range(0, len(distinct), _SOUGHT):
        block = distinct[start : start + _SOUGHT]
        forms = [block]
        if match_orientations:
            forms = [*np.stack([orientations(one) for one in block], axis=1)]
        for sought in forms:
            left, right = index.search(sought)
            later = right > left + start
            pairs = zip((left[later] + start).tolist(), right[later].tolist(), strict=True)
            for one, other in pairs:
                join(firsts_of[one], firsts_of[other])
    return np.array([*map(root, above)], np.intp)
