"""Random hashes for tests, and hashes near to them."""

import numpy as np


def random_hashes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32)).astype(np.uint8)


def with_flips(hash_, flips, seed=0):
    """Return a hash that differs in exactly so many bits."""
    bits = np.unpackbits(hash_)
    bits[np.random.default_rng(seed).choice(256, flips, replace=False)] ^= 1
    return np.packbits(bits)
