"""Random hashes for tests, and hashes near to them."""

import numpy as np
from numpy.typing import NDArray


def random_hashes(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32)).astype(np.uint8)


def with_flips(hash_: NDArray[np.uint8], flips: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return a hash that differs in exactly so many bits."""
    bits = np.unpackbits(hash_)
    bits[np.random.default_rng(seed).choice(256, flips, replace=False)] ^= 1
    return np.packbits(bits)
