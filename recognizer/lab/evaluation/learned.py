"""The photos that a bundle has learned from: their short digests, in a file beside it.

A measurement on some of them says so.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import BundleSchemaError
from recognizer.lab.dataset.manifest import Photo
from recognizer.model.bundle import Bundle

DIGESTS_FILE = "training-photos.npy"  # uint64, eight bytes for each photo


def short_digests(sha256: Iterable[str]) -> NDArray[np.uint64]:
    """Return the first eight bytes of hexadecimal digests."""
    return np.array([int(digest[:16], 16) for digest in sha256], np.uint64)


def write_digests(digests: NDArray[np.uint64], folder: Path) -> None:
    """Write the digests of all training photos into a bundle's folder."""
    np.save(folder / DIGESTS_FILE, np.unique(digests))


def read_digests(bundle: Bundle) -> NDArray[np.uint64]:
    """Return the digests of all photos that a bundle says it has learned from."""
    path, digests = bundle.path / DIGESTS_FILE, short_digests(bundle.enrolled_photos())
    if not path.is_file():
        return digests
    try:
        return np.concatenate([np.load(path, allow_pickle=False).astype(np.uint64), digests])
    except (OSError, ValueError) as error:
        raise BundleSchemaError(f"{path}: {error}") from error


def count_learned(bundle: Bundle, photos: Sequence[Photo]) -> int | None:
    """Return how many photos a bundle has learned from; None if it does not say from which."""
    known = np.isin(short_digests(p.sha256 for p in photos), read_digests(bundle))
    return int(known.sum()) or (0 if (bundle.path / DIGESTS_FILE).is_file() else None)
