"""Hashes as text and as bytes, and what becomes of one when its image is turned or mirrored."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recognizer.prediction import HASH_BITS

HASH_BYTES = HASH_BITS // 8

TRANSFORMS = (
    *("identity", "flip_left_right", "flip_top_bottom", "rotate_180"),
    *("transpose", "rotate_90", "rotate_270", "transverse"),
)
"""The eight ways to turn and mirror an image, by the names that Pillow has for them."""

_DIGITS = re.compile(r"[0-9a-f]{64}")
_SIDE = 16
# Of a hash's 16 x 16 coefficients, the odd frequencies (the first, the third ...) change their
# sign when the image is mirrored. They are written from the last to the first.
_ODD = np.arange(_SIDE)[::-1] % 2 == 0
_MIRRORS = np.zeros((4, _SIDE, _SIDE), np.uint8)
_MIRRORS[1] = _ODD[None, :]
_MIRRORS[2] = _ODD[:, None]
_MIRRORS[3] = _MIRRORS[1] ^ _MIRRORS[2]


def is_hash(text: object) -> bool:
    """Return whether a value is a PDQ hash: 64 hexadecimal digits in lower case."""
    return isinstance(text, str) and _DIGITS.fullmatch(text) is not None


def to_bytes(hashes: Sequence[str]) -> NDArray[np.uint8]:
    """Return hexadecimal hashes as uint8, (n, 32)."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, HASH_BYTES)


def transformed(hash_: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what a hash, uint8 (32,), would be after each of :data:`TRANSFORMS`: uint8 (8, 32).

    It is an estimate, some 6 bits off for those that mirror: a bit is the side of the median on
    which a coefficient lies, and the median is only near zero.
    """
    bits = np.unpackbits(hash_).reshape(_SIDE, _SIDE)
    upright, transposed = bits ^ _MIRRORS, bits.T ^ _MIRRORS
    # Transposed and then mirrored from top to bottom is turned by 90 degrees, counterclockwise.
    every = np.concatenate([upright, transposed[[0, 2, 1, 3]]])
    return np.packbits(every.reshape(len(TRANSFORMS), HASH_BITS), axis=1)
