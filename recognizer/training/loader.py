"""Photos as batches of model input, the same batches for the same seed whatever the machine does.

Which photos an epoch draws, and how each is changed, depends on the seed, the epoch and the place
in the epoch alone; so a resumed run sees what an unbroken one would have seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from recognizer.errors import DatasetError
from recognizer.imaging import load_image, model_input
from recognizer.training.augment import Augmentation
from recognizer.training.cutout import find_object
from recognizer.training.data import drawing_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from recognizer.training.config import TrainingConfig
    from recognizer.training.data import Photo

BACKDROP_LABELS = frozenset({"listing_other", "scene_other", "texture"})
"""Photos of these labels serve as backdrops: what listings look like without any product."""


def read_photo(photo: Photo, min_side: int) -> NDArray[np.uint8]:
    """Return the first frame of a photo, by the same road as in serving.

    Raises:
        DatasetError: the photo cannot be decoded.
    """
    image = load_image(photo.path, min_side=min_side)
    if not image.frames:
        raise DatasetError(f"{photo.path}: {image.reason}: {image.detail}")
    return image.frames[0].rgb


class TrainingPhotos(Dataset[tuple[torch.Tensor, int]]):
    """The photos of one epoch, drawn and changed.

    Args:
        photos: those of the training split.
        labels: the model's labels in order.
        config: the run's configuration.
        epoch: number of the epoch, from 0.
    """

    def __init__(
        self, photos: Sequence[Photo], labels: Sequence[str], config: TrainingConfig, epoch: int
    ) -> None:
        self._photos = photos
        self._targets = [labels.index(p.label) for p in photos]
        self._config = config
        self._epoch = epoch
        backdrops = [p for p in photos if p.label in BACKDROP_LABELS] or list(photos)
        self._augment = Augmentation(
            config.augment,
            config.input_size,
            lambda rng: read_photo(backdrops[int(rng.integers(len(backdrops)))], config.input_size),
        )
        weights = drawing_weights(
            photos, config.label_power, config.source_power, config.label_weights
        )
        rng = np.random.default_rng([config.seed, epoch])
        self._order = draw(weights, config.photos_per_epoch, rng)

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        index = int(self._order[place])
        rng = np.random.default_rng([self._config.seed, self._epoch, place])
        rgb = read_photo(self._photos[index], self._config.input_size)
        mask = find_object(rgb) if rng.random() < self._config.augment.background else None
        return torch.from_numpy(self._augment(rgb, mask, rng)), self._targets[index]


def draw(weights: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw ``count`` indices, each about ``count * weight`` times.

    Systematic sampling: a photo whose weight asks for 2.3 draws is drawn two or three times, never
    none or seven as with independent draws.

    Returns:
        int64, (count,), in random order.
    """
    shuffled = rng.permutation(len(weights))
    edges = np.cumsum(weights[shuffled])
    points = (rng.random() + np.arange(count)) / count * edges[-1]
    places = np.minimum(np.searchsorted(edges, points, side="right"), len(weights) - 1)
    return rng.permutation(shuffled[places])


class PlainPhotos(Dataset[torch.Tensor]):
    """Photos as the served model sees them, for validation."""

    def __init__(self, photos: Sequence[Photo], size: int) -> None:
        self._photos = photos
        self._size = size

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, place: int) -> torch.Tensor:
        rgb = read_photo(self._photos[place], self._size)
        return torch.from_numpy(model_input(rgb, self._size))


def batches(dataset: Dataset[object], batch_size: int, workers: int) -> DataLoader[object]:
    """Return the batches of a dataset in its own order."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_one_thread,
    )


def _one_thread(_: int) -> None:
    import cv2  # noqa: PLC0415 - only in the worker process

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
