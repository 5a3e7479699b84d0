"""Known items and near-copies: images that are found by their hashes among millions of others.

What a match means for an image is for :mod:`recognizer.policy` to say.
"""

from recognizer.known.bank import Bank, KnownItem, is_exchange, read_exchange, write_exchange
from recognizer.known.index import COPY_DISTANCE, TRANSFORMS, HashIndex, near_copies, near_pairs
from recognizer.known.matches import KnownItems, share_bank

__all__ = [
    "COPY_DISTANCE",
    "TRANSFORMS",
    "Bank",
    "HashIndex",
    "KnownItem",
    "KnownItems",
    "is_exchange",
    "near_copies",
    "near_pairs",
    "read_exchange",
    "share_bank",
    "write_exchange",
]
