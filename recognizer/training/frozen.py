"""A frozen backbone with a logistic regression: no network is trained, minutes on a CPU.

The features of the photos as they are, mirrored or cropped nowhere, are computed once and kept in
a file: by the digests of a photo and of all that makes features of it. A killed run goes on where
it stopped, and further runs, recipes and folds begin with what is there.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from recognizer._sqlite import Store
from recognizer.dataset.manifest import Photo, fingerprint
from recognizer.errors import RecognizerError, TrainingError
from recognizer.imaging import PREPROCESSING_VERSION
from recognizer.training.config import TrainingConfig
from recognizer.training.devices import choose_device
from recognizer.training.loader import drawing_weights
from recognizer.training.model import ProductNetwork, build_network
from recognizer.training.runs import Progress, figures_of_epoch, run_batches, write_checkpoint

FEATURES_FILE = "features.sqlite"
"""What a run calls the file of its features."""

UNSEEN_LOGIT = -20.0
"""The logit of a label without a training photo, which a fold may have."""

_ITERATIONS = 1000

Features = NDArray[np.float32]


class FeatureStore(Store):
    """Features of photos by the digest of what makes them and that of the photo."""

    APPLICATION_ID: ClassVar[int] = 0x574C4654
    KIND: ClassVar[str] = "store of features"
    TABLES: ClassVar[str] = (
        "CREATE TABLE features (maker TEXT, sha256 TEXT, vector BLOB,"
        " PRIMARY KEY (maker, sha256)) WITHOUT ROWID"
    )
    ADVICE: ClassVar[str] = "delete it (it is made again), or name another file"
    ERROR: ClassVar[type[RecognizerError]] = TrainingError

    def read(self, maker: str) -> dict[str, Features]:
        """Return the features of each photo, float32, (channels,)."""
        query = "SELECT sha256, vector FROM features WHERE maker = ?"
        with self._reported():
            rows = self._database.execute(query, (maker,)).fetchall()
        return {sha256: np.frombuffer(vector, "<f4") for sha256, vector in rows}

    def add(self, maker: str, found: Iterable[tuple[str, Features]]) -> None:
        """Keep the features of photos, in one step."""
        rows = [(maker, sha256, vector.astype("<f4").tobytes()) for sha256, vector in found]
        with self._reported(), self._database:
            self._database.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", rows)


def fit_frozen(
    config: TrainingConfig,
    labels: Sequence[str],
    train: Sequence[Photo],
    validation: Sequence[Photo],
    folder: Path,
    features: Path | None,
    *,
    on_progress: Callable[[Progress], None],
) -> dict[str, float]:
    """Fit the head of a frozen backbone and write the run's checkpoint.

    Patches are left out: they would have to be laid on other photos.

    Returns:
        The row of the log.
    """
    torch.manual_seed(config.seed)
    network = build_network(config, len(labels)).to(choose_device(config.device)).eval()
    whole = [p for p in train if not p.is_patch]
    found, rate = begin_head(
        network, config, labels, train, validation, features or folder / FEATURES_FILE, on_progress
    )
    head = network.head.cpu()
    truth = [p.label for p in whole]
    logits = head(torch.from_numpy(found)[:, :, None, None]).flatten(1).detach()
    targets = torch.tensor([labels.index(name) for name in truth])
    row = {
        "epoch": 1.0,
        "loss": float(functional.cross_entropy(logits[: len(whole)], targets)),
        "photos_per_second": rate,
    }
    if validation:
        row.update(figures_of_epoch(logits[len(whole) :], labels, validation))
    write_checkpoint(
        folder,
        config,
        labels=list(labels),
        data=fingerprint(train),
        averaged=network.cpu().state_dict(),
        epoch=config.epochs,
    )
    return row


def begin_head(
    network: ProductNetwork,
    config: TrainingConfig,
    labels: Sequence[str],
    train: Sequence[Photo],
    others: Sequence[Photo],
    path: Path,
    on_progress: Callable[[Progress], None],
) -> tuple[Features, float]:
    """Set a network's head to a logistic regression on its features of the training photos.

    Args:
        network: in evaluation mode.
        config: its recipe.
        labels: its outputs.
        train: the photos; patches are left out.
        others: photos of which the features are wanted, too.
        path: of the store of features.
        on_progress: called about once a second.

    Returns:
        The features of both, (N, channels), and how many a second were computed.
    """
    whole = [p for p in train if not p.is_patch]
    found, rate = compute_features(network, config, [*whole, *others], path, on_progress)
    weights = drawing_weights(whole, config.label_power, config.source_power, config.label_weights)
    truth = [p.label for p in whole]
    weight, bias = fit_head(found[: len(whole)], truth, labels, weights * len(whole), config)
    with torch.no_grad():
        network.head.weight.copy_(weight[:, :, None, None])
        network.head.bias.copy_(bias)  # type: ignore[union-attr]
    return found, rate


def compute_features(
    network: ProductNetwork,
    config: TrainingConfig,
    photos: Sequence[Photo],
    path: Path,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> tuple[Features, float]:
    """Return the features of photos, float32, (N, channels), and how many a second were computed.

    Raises:
        TrainingError: the file at ``path`` holds something else.
        DatasetError: a photo cannot be decoded, or its bytes are not those of the manifest.
    """
    maker = _digest(network, config)
    started, done = time.monotonic(), 0
    with FeatureStore(path, create=True) as store:
        known = store.read(maker)
        missing = list({p.sha256: p for p in photos if p.sha256 not in known}.values())
        for _, vectors in run_batches(network, missing, config) if missing else ():
            batch = missing[done : done + len(vectors)]
            new = {p.sha256: v for p, v in zip(batch, vectors.numpy(), strict=True)}
            store.add(maker, new.items())
            known.update(new)
            done += len(batch)
            rate = done / (time.monotonic() - started)
            on_progress(
                Progress(
                    epoch=1,
                    epochs=1,
                    photo=done,
                    photos=len(missing),
                    loss=float("nan"),
                    learning_rate=0.0,
                    rate=rate,
                    seconds_left=(len(missing) - done) / rate,
                )
            )
    rate = done / max(time.monotonic() - started, 1e-9)
    return np.stack([known[p.sha256] for p in photos]).astype(np.float32), rate


def _digest(network: ProductNetwork, config: TrainingConfig) -> str:
    """Return a sha256 of all that makes features of a photo's bytes."""
    parts = f"{config.backbone},{config.input_size},{PREPROCESSING_VERSION}"
    if config.pooling != "mean":
        parts += f",{config.pooling}"
    digest = hashlib.sha256(parts.encode())
    for name, value in network.backbone.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def fit_head(
    features: Features,
    truth: Sequence[str],
    labels: Sequence[str],
    weights: NDArray[np.float64],
    config: TrainingConfig,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit the head by logistic regression on standardised features.

    Args:
        features: (N, channels).
        truth: the N labels.
        labels: the outputs, in order.
        weights: (N,), of each photo, with a mean of 1.
        config: its ``loss`` and ``head_c``.

    Returns:
        Weight, (labels, channels), and bias, (labels,), for features that are not standardised.
    """
    mean, std = features.mean(0, np.float64), features.std(0, np.float64) + 1e-6
    x, y = (features - mean) / std, np.array(truth)
    coefficients = np.zeros((len(labels), x.shape[1]))
    intercepts = np.full(len(labels), UNSEEN_LOGIT)

    def regression(targets: NDArray[np.generic]) -> LogisticRegression:
        return LogisticRegression(C=config.head_c, max_iter=_ITERATIONS).fit(x, targets, weights)

    present = [i for i, name in enumerate(labels) if name in set(truth)]
    if config.loss == "sigmoid":
        for i in present:
            one = regression(y == labels[i])
            coefficients[i], intercepts[i] = one.coef_[0], one.intercept_[0]
    else:
        found = regression(y)
        rows = [labels.index(name) for name in found.classes_]
        # Of two labels, scikit-learn gives the difference.
        signs = np.array([[-0.5], [0.5]]) if len(rows) == 2 else np.ones((1, 1))
        coefficients[rows] = signs * found.coef_
        intercepts[rows] = signs[:, 0] * found.intercept_
    coefficients /= std
    intercepts -= coefficients @ mean
    return torch.from_numpy(coefficients).float(), torch.from_numpy(intercepts).float()
