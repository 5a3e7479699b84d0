import io
import os

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
from tests.tiny import write_tiny_bundle


def make_bank(count=5, labels=4):
    rng = np.random.default_rng(0)
    return NegativeBank(
        rng.gamma(1, 1, (count, 3)).astype(np.float32),
        rng.normal(0, 4, (count, labels)).astype(np.float32),
        np.array(["ceramic", "listing_other"])[np.arange(count) % 2],
        np.arange(count, dtype=np.int32),
        np.arange(count) % 2 == 0,
        rng.integers(0, 1 << 63, count, np.uint64),
    )


def with_bank(folder, bank):
    folder.mkdir(exist_ok=True)
    return write_tiny_bundle(folder, negatives=write_negatives(folder, bank))


def test_a_bank_comes_back_nearly_as_it_was(tmp_path):
    bank = make_bank()
    found = read_negatives(load_bundle(with_bank(tmp_path, bank)))
    assert found is not None
    step = bank.embeddings.max(axis=1, keepdims=True) / 127
    assert (np.abs(found.embeddings - bank.embeddings) <= 0.51 * step).all()
    assert np.allclose(found.log_odds, bank.log_odds, rtol=1e-3)
    for name in ("labels", "sources", "held_out", "sha256"):
        assert (getattr(found, name) == getattr(bank, name)).all(), name


def test_another_file_is_refused(tmp_path):
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


@pytest.mark.parametrize("change", [{"sha256": np.zeros(2, np.uint64)}, {"labels": np.array([{}])}])
def test_what_is_not_a_bank_is_a_value_error(change):
    """Columns of other lengths, and a pickle."""
    with np.load(io.BytesIO(make_bank().to_bytes())) as file:
        np.savez(buffer := io.BytesIO(), **{**file, **change})
    for data in (b"", b"PK\x03\x04", buffer.getvalue()):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever the words
            NegativeBank.from_bytes(data)
