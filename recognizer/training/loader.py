"""Photos as batches of model input.

Which photos an epoch draws, and how each is changed, depends only on the seed, the epoch and the
place in the epoch, so a resumed run sees what an unbroken one would have seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from recognizer.dataset.compose import several
from recognizer.dataset.cutout import Cutout, cut_out, find_object, outline_mask
from recognizer.dataset.manifest import BACKDROP_LABELS, first_frame, read_photo
from recognizer.errors import DatasetError
from recognizer.imaging import load_image, model_input
from recognizer.training.augment import Augmentation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from recognizer.dataset.manifest import Photo
    from recognizer.training.config import TrainingConfig

MATERIALS = frozenset({"scaly_skin", "scale_heap"})
"""Parts of the table of patches that are cut into pieces instead of laid out whole."""

Masks: TypeAlias = "list[tuple[tuple[int, int], NDArray[np.uint8]] | None]"
"""For each photo the shape and the packed bits of its object's mask; None without one."""


def find_masks(photos: Sequence[Photo], min_side: int, threads: int = 2) -> Masks:
    """Find the objects that can be cut out: by outlines, or on even backgrounds.

    Raises:
        DatasetError: a photo cannot be decoded.
    """
    with ThreadPoolExecutor(threads) as pool:  # OpenCV works outside the interpreter's lock
        return list(pool.map(partial(_find_mask, min_side=min_side), photos))


def _find_mask(photo: Photo, min_side: int) -> tuple[tuple[int, int], NDArray[np.uint8]] | None:
    rgb = read_photo(photo, min_side)
    mask = outline_mask(photo.outline, *rgb.shape[:2]) if photo.is_patch else find_object(rgb)
    if mask is None or not mask.any():
        return None
    height, width = mask.shape
    return (height, width), np.packbits(mask > 127)


class TrainingPhotos(Dataset[tuple[torch.Tensor, int, int]]):
    """The photos of one epoch, from 0, drawn and changed.

    ``photos`` are those of the training split, and ``masks`` come from :func:`find_masks`. Each
    item is the image, the number of its label and, if it was hardly changed, its place among the
    photos, otherwise -1.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        labels: Sequence[str],
        config: TrainingConfig,
        epoch: int,
        masks: Masks,
    ) -> None:
        self._photos = photos
        self._targets = [labels.index(p.label) for p in photos]
        self._config = config
        self._epoch = epoch
        self._masks = masks
        backdrops = [p for p in photos if p.label in BACKDROP_LABELS] or list(photos)
        self._augment = Augmentation(
            config.augment,
            config.input_size,
            lambda rng: read_photo(backdrops[int(rng.integers(len(backdrops)))], config.input_size),
        )
        cut = [i for i, mask in enumerate(masks) if mask is not None]
        self._alike: defaultdict[str, list[int]] = defaultdict(list)
        for i in cut:
            self._alike[photos[i].label].append(i)
        self._ordinary = [i for i in cut if not photos[i].is_product]
        weights = drawing_weights(
            photos, config.label_power, config.source_power, config.label_weights
        )
        rng = np.random.default_rng([config.seed, epoch])
        self._order = draw(weights, config.photos_per_epoch, rng)

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int, int]:
        index = int(self._order[place])
        photo = self._photos[index]
        rng = np.random.default_rng([self._config.seed, self._epoch, place])
        plain = self._config.augment.plain
        if plain and not photo.is_patch and rng.random() < plain:
            rgb = self._augment.gently(read_photo(photo, self._config.input_size), rng)
            return torch.from_numpy(rgb), self._targets[index], index
        is_composed = photo.is_patch or rng.random() < self._config.augment.background
        rgb = read_photo(photo, self._config.input_size)
        objects = self._objects(index, rng) if is_composed else []
        others = self._others(photo, rng) if objects else []
        image = self._augment(rgb, rng, objects, others)
        return torch.from_numpy(image), self._targets[index], -1

    def _objects(self, index: int, rng: np.random.Generator) -> list[Cutout]:
        """Return the objects of a composed image: the photo's, and perhaps more of its kind."""
        first = self._cutout(index)
        if first is None:
            return []
        settings = self._config.augment
        photo = self._photos[index]
        is_material = photo.subtype in MATERIALS
        if not is_material and rng.random() >= settings.several:
            return [first]
        alike = self._alike[photo.label]
        if is_material:
            alike = [i for i in alike if self._photos[i].subtype == photo.subtype]
        return several(
            first,
            lambda: self._cutout(alike[int(rng.integers(len(alike)))]),
            settings.most,
            rng,
            is_material=is_material,
        )

    def _others(self, photo: Photo, rng: np.random.Generator) -> list[Cutout]:
        """Return cutouts of ordinary things to lie beside a product."""
        if not photo.is_product or not self._ordinary:
            return []
        if rng.random() >= self._config.augment.others:
            return []
        chosen = rng.integers(len(self._ordinary), size=int(rng.integers(1, 4)))
        found = [self._cutout(self._ordinary[i]) for i in chosen]
        return [one for one in found if one is not None]

    def _cutout(self, index: int) -> Cutout | None:
        packed = self._masks[index]
        if packed is None:
            return None
        (height, width), bits = packed
        mask = np.unpackbits(bits, count=height * width).reshape(height, width) * np.uint8(255)
        return cut_out(read_photo(self._photos[index], self._config.input_size), mask)


def drawing_weights(
    photos: Sequence[Photo],
    label_power: float,
    source_power: float,
    label_weights: Mapping[str, float] | None = None,
) -> NDArray[np.float64]:
    """Return the probability with which each photo is drawn, balanced by label and by source.

    A label's share is its photo count to ``label_power`` (times its weight); within the label a
    source's share is its count to ``source_power``; within the source all photos are alike.

    Returns:
        float64, (len(photos),), summing to 1.
    """
    label_weights = label_weights or {}
    labels = Counter(p.label for p in photos)
    pairs = Counter((p.label, p.source) for p in photos)
    source_total: defaultdict[str, float] = defaultdict(float)
    for (label, _), count in pairs.items():
        source_total[label] += count**source_power
    weights: NDArray[np.float64] = np.array(
        [
            labels[p.label] ** label_power
            * label_weights.get(p.label, 1.0)
            * pairs[p.label, p.source] ** source_power
            / source_total[p.label]
            / pairs[p.label, p.source]
            for p in photos
        ]
    )
    return np.asarray(weights / weights.sum())


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
        photo = self._photos[place]
        image = load_image(photo.path, min_side=self._size)
        rgb = first_frame(photo, image)
        if image.sha256 != photo.sha256:
            raise DatasetError(f"{photo.path}: its sha256 is not that of the manifest")
        return torch.from_numpy(model_input(rgb, self._size))


def batches(dataset: Dataset[Any], places: int | list[list[int]], workers: int) -> DataLoader[Any]:
    """Return the batches of a dataset: its places in each, or their number in its own order.

    OpenCV computes with one thread from then on where there are workers.
    """
    if isinstance(places, int):
        whole = range(len(dataset))  # type: ignore[arg-type]
        places = [list(whole[i : i + places]) for i in range(0, len(whole), places)]
    if workers:
        # A forked worker would wait forever for threads that OpenCV started before the fork.
        cv2.setNumThreads(1)
    return DataLoader(
        dataset,
        batch_sampler=places,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_start_worker,
    )


def _start_worker(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
