"""The bank of negatives: what a bundle remembers of the photos that a new product is not."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import BundleSchemaError
from recognizer.model.bundle import Bundle
from recognizer.model.description import NegativesFile
from recognizer.model.folders import read_verified
from recognizer.taxonomy import Taxonomy

NEGATIVES_FILE = "negatives.npz"

_MAX_BYTES = 16_000_000
_LEVELS = 127  # of int8
_AS_THEY_ARE = ("sources", "held_out", "sha256")  # of the columns in the file


@dataclass(frozen=True, slots=True, eq=False)
class NegativeBank:
    """Embedded photos, one row for each in every array, also of products: negatives for others.

    Of the photos that are held out only false positives are counted: heads do not learn from them.
    """

    embeddings: NDArray[np.float32]  # (N, channels)
    log_odds: NDArray[np.float32]  # (N, labels): the ``scores`` output of the bundle's model
    labels: NDArray[np.str_]  # (N,): what the photos show
    sources: NDArray[np.int32]  # (N,): photos with the same number come from one source
    held_out: NDArray[np.bool_]  # (N,)
    sha256: NDArray[np.uint64]  # (N,): see learned.short_digests()

    def __len__(self) -> int:
        return len(self.embeddings)

    def __getitem__(self, rows: NDArray[Any]) -> NegativeBank:
        return NegativeBank(*(getattr(self, name)[rows] for name in self.__slots__))

    def counted(self, taxonomy: Taxonomy) -> NDArray[np.bool_]:
        """Return which photos say how many false positives to expect: held out, of no product."""
        return self.held_out & ~np.isin(self.labels, [one.name for one in taxonomy.products])

    def joined(self, other: NegativeBank) -> NegativeBank:
        """Return this bank and another one as one; their sources are kept apart."""
        other = replace(other, sources=other.sources + self.sources.max(initial=-1) + np.int32(1))
        columns = ((getattr(self, name), getattr(other, name)) for name in self.__slots__)
        return NegativeBank(*map(np.concatenate, columns))

    def to_bytes(self) -> bytes:
        """Return the file: embeddings as int8 with a scale for each, log-odds as float16."""
        scale = np.maximum(np.abs(self.embeddings).max(axis=1), 1e-12) / _LEVELS
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            embeddings=np.rint(self.embeddings / scale[:, None]).astype(np.int8),
            scale=scale.astype(np.float32),
            log_odds=self.log_odds.astype(np.float16),
            labels=np.char.encode(self.labels, "ascii"),
            **{name: getattr(self, name) for name in _AS_THEY_ARE},
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> NegativeBank:
        """Read a file that :meth:`to_bytes` made, or raise a ValueError."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = dict(file)
            bank = cls(
                arrays["embeddings"].astype(np.float32) * arrays["scale"][:, None],
                arrays["log_odds"].astype(np.float32),
                np.char.decode(arrays["labels"], "ascii"),
                *(arrays[name] for name in _AS_THEY_ARE),
            )
        except (EOFError, KeyError, TypeError, IndexError, zipfile.BadZipFile) as error:
            raise ValueError(f"not a bank of negatives: {error!r}") from error
        if len({len(getattr(bank, name)) for name in cls.__slots__}) != 1:
            raise ValueError("its columns are not of one length")
        return bank


def read_negatives(bundle: Bundle) -> NegativeBank | None:
    """Return a bundle's bank, verified, or None; a bank that does not fit is a BundleError."""
    if bundle.negatives is None:
        return None
    path = bundle.path / NEGATIVES_FILE
    data = read_verified(path, bundle.negatives.sha256, _MAX_BYTES + 1)
    try:
        bank = NegativeBank.from_bytes(data)
    except ValueError as error:
        raise BundleSchemaError(f"{path}: {error}") from error
    if bank.log_odds.shape[1:] != (len(bundle.labels),):
        raise BundleSchemaError(f"{path} is of a model with other labels")
    return bank


def write_negatives(folder: Path, bank: NegativeBank) -> NegativesFile:
    """Write a bank into a bundle's folder; return what ``bundle.json`` says of it."""
    data = bank.to_bytes()
    (folder / NEGATIVES_FILE).write_bytes(data)
    return NegativesFile(sha256=hashlib.sha256(data).hexdigest(), photos=len(bank))
