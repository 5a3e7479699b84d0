import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from recognizer.errors import BundleDigestError, BundleNotFoundError, BundleSchemaError
from recognizer.lab.enrolment.negatives import (
    NEGATIVES_FILE,
    NegativeBank,
    read_negatives,
    write_negatives,
)
from recognizer.model.bundle import load_bundle
from tests.tiny import LABELS, write_tiny_bundle


def make_bank(count: int = 5, labels: int = len(LABELS)) -> NegativeBank:
    rng = np.random.default_rng(0)
    return NegativeBank(
        rng.gamma(1, 1, (count, 3)).astype(np.float32),
        rng.normal(0, 4, (count, labels)).astype(np.float32),
        np.array(["ceramic", "listing_other"])[np.arange(count) % 2],
        np.arange(count, dtype=np.int32),
        np.arange(count) % 2 == 0,
        rng.integers(0, 1 << 63, count, np.uint64),
        rng.integers(0, 256, (count, 32), np.uint8),
    )


def with_bank(folder: Path, bank: NegativeBank) -> Path:
    folder.mkdir(exist_ok=True)
    return write_tiny_bundle(folder, negatives=write_negatives(folder, bank))


def test_a_bank_comes_back_nearly_as_it_was(tmp_path: Path) -> None:
    bank = make_bank()
    found = read_negatives(load_bundle(with_bank(tmp_path, bank)))
    assert found is not None
    step = bank.embeddings.max(axis=1, keepdims=True) / 127
    assert (np.abs(found.embeddings - bank.embeddings) <= 0.51 * step).all()
    assert np.allclose(found.log_odds, bank.log_odds, rtol=1e-3)
    for name in ("labels", "sources", "held_out", "sha256", "phash"):
        assert (getattr(found, name) == getattr(bank, name)).all(), name


def test_another_file_is_refused(tmp_path: Path) -> None:
    other_model = with_bank(tmp_path / "other-v1", make_bank(labels=9))
    with pytest.raises(BundleSchemaError, match="other labels"):
        read_negatives(load_bundle(other_model))
    folder = with_bank(tmp_path, make_bank())
    (folder / NEGATIVES_FILE).write_bytes(make_bank(6).to_bytes())
    with pytest.raises(BundleDigestError, match=r"negatives\.npz"):
        read_negatives(load_bundle(folder))
    (folder / NEGATIVES_FILE).unlink()
    os.mkfifo(folder / NEGATIVES_FILE)
    with pytest.raises(BundleNotFoundError):
        read_negatives(load_bundle(folder))
    (folder / NEGATIVES_FILE).unlink()
    with pytest.raises(BundleNotFoundError, match=r"negatives\.npz"):
        read_negatives(load_bundle(folder))


def packed(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("embeddings.npy", bytes(20_000_000))
    return buffer.getvalue()


def columns() -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(make_bank().to_bytes())) as file:
        return dict(file)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        bomb(),
        packed(embeddings=np.zeros((2, 3), np.int8)),
        packed(**columns() | {"phash": np.zeros((2, 32), np.uint8)}),
        packed(**columns() | {"scale": np.full(5, np.nan, np.float32)}),
        packed(**columns() | {"labels": np.array([{}], object)}),
        packed(**columns() | {"labels": np.array([b"\xff"] * 5)}),
    ],
    ids=["empty", "torn", "bomb", "columns", "lengths", "nan", "pickle", "ascii"],
)
def test_what_is_not_a_bank_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the words
        NegativeBank.from_bytes(data)
