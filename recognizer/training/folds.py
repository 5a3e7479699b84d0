"""Train a recipe once for each fold of sources, without the fold, and predict what was left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from recognizer.dataset.folds import SourceFolds, counted
from recognizer.dataset.manifest import Photo
from recognizer.dataset.out_of_fold import (
    OutOfFold,
    join_folds,
    read_out_of_fold,
    write_out_of_fold,
)
from recognizer.dataset.splits import prepare
from recognizer.training.config import TrainingConfig
from recognizer.training.devices import choose_device, is_first_process
from recognizer.training.fit import fit
from recognizer.training.frozen import FEATURES_FILE, compute_features
from recognizer.training.model import ProductNetwork
from recognizer.training.onnx_export import ServedNetwork
from recognizer.training.runs import Progress, run_network

OUT_OF_FOLD_FILE = "out-of-fold.parquet"


def train_folds(
    config: TrainingConfig,
    photos: Sequence[Photo],
    folds: SourceFolds,
    folder: Path,
    *,
    embeddings: bool = False,
    features: Path | None = None,
    on_fold: Callable[[int, int, int], None] = lambda fold, train, held: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_epoch: Callable[[dict[str, float]], None] = lambda _: None,
) -> Path:
    """Train a run for each fold; folds that are finished are skipped.

    The recipe holds nothing else out: its ``validation_share`` does not apply.

    Args:
        config: the recipe.
        photos: all photos, as the data folders have them.
        folds: of their sources.
        folder: gets a run for each fold, ``fold-0`` and so on, and the file.
        embeddings: keep the pooled features of each photo in the file, too.
        features: where a frozen backbone's features are kept, a file; by default in the folder.
        on_fold: called before each fold with its number and the photos to train on and held out.
        on_progress: see :func:`recognizer.training.fit.fit`.
        on_epoch: see there.

    Returns:
        The file with the predictions (:mod:`recognizer.dataset.out_of_fold`).
    """
    splits = [prepare(photos, config, folds=(folds, fold)) for fold in range(folds.count)]
    used = (p for split in splits for p in split if p.split in {"train", "validation"})
    labels = sorted({p.label for p in used})
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for fold, split in enumerate(splits):
        held = [p for p in counted(split) if p.split == "validation"]
        on_fold(fold, sum(p.split == "train" for p in split), len(held))
        run = folder / f"fold-{fold}"
        network = fit(
            config,
            split,
            run,
            labels=labels,
            features=features or folder / FEATURES_FILE,
            on_progress=on_progress,
            on_epoch=on_epoch,
        )
        if not is_first_process():
            continue
        file = run / OUT_OF_FOLD_FILE
        part = read_out_of_fold(file) if file.exists() else None
        if part is None or not _is_whole(part, held, embeddings):
            part = _predict(network, config, labels, held, fold, features or folder / FEATURES_FILE)
            part = part if embeddings else replace(part, embedding=None)
            write_out_of_fold(part, file)
        parts.append(part)
    if parts:
        write_out_of_fold(join_folds(parts), folder / OUT_OF_FOLD_FILE)
    return folder / OUT_OF_FOLD_FILE


def _is_whole(part: OutOfFold, held: Sequence[Photo], embeddings: bool) -> bool:
    has, wanted = (
        [(p.sha256, p.source, p.label, p.subtype) for p in photos] for photos in (part.photos, held)
    )
    return has == wanted and (part.embedding is not None or not embeddings)


def _predict(
    network: ProductNetwork,
    config: TrainingConfig,
    labels: Sequence[str],
    held: Sequence[Photo],
    fold: int,
    features: Path,
) -> OutOfFold:
    network = network.to(choose_device(config.device))
    if config.frozen:
        embedding = torch.from_numpy(compute_features(network, config, held, features)[0])
        with torch.no_grad():
            logits = network.cpu().head(embedding[:, :, None, None]).flatten(1)
    else:
        logits, embedding = run_network(network, held, config)
    served = ServedNetwork(network.cpu(), config.loss, len(labels))
    return OutOfFold(
        photos=held,
        folds=np.full(len(held), fold, np.int16),
        labels=labels,
        log_odds=served.log_odds(logits).numpy(),
        embedding=embedding.numpy(),
        activation="softmax" if config.loss == "softmax" else "sigmoid",
        input_size=config.input_size,
        recipe=config.to_dict(),
    )
