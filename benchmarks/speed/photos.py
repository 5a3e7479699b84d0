"""JPEGs to measure with: sample images, enlarged, with the noise of a camera.

The cost of decoding a JPEG depends on its bytes as much as on its pixels. An enlarged rendering has
far fewer bytes than a photo, so noise is added until it has as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from recognizer.errors import UsageError

BYTES_PER_PIXEL = 0.2  # of a photo as platforms keep it: 384 kB at 1600x1200

_QUALITY = 85
_NOISE_STEPS = (2.0, 3.0, 4.5, 6.5, 9.0, 12.0, 16.0)  # standard deviations, of 255


def make_photos(
    samples: Path, folder: Path, size: tuple[int, int], count: int, *, progressive: bool
) -> list[Path]:
    """Write photos, the same ones on every machine.

    Args:
        samples: a folder of JPEGs to start from.
        folder: where the photos go.
        size: width and height in pixels.
        count: how many.
        progressive: write progressive JPEGs, not baseline ones.

    Raises:
        UsageError: there are no JPEGs in ``samples``.
    """
    images = sorted(samples.glob("*.jpg"))
    if not images:
        raise UsageError(
            f"{samples} has no *.jpg: give a folder of images with --samples (a checkout of the "
            "repository has datasets/samples)"
        )
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        image = simplejpeg.decode_jpeg(images[number % len(images)].read_bytes(), "RGB")
        large = cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_CUBIC)
        path = folder / f"{number:04}.jpg"
        _save_as_photo(np.asarray(large, np.uint8), path, number, progressive=progressive)
        paths.append(path)
    return paths


def _save_as_photo(rgb: NDArray[np.uint8], path: Path, seed: int, *, progressive: bool) -> None:
    """Write an image with the least noise that makes the file as large as a photo's."""
    grain = np.random.default_rng(seed).standard_normal(rgb.shape, np.float32)
    # A camera's noise is smoothed by its own processing, and mostly of brightness.
    grain = np.asarray(cv2.GaussianBlur(grain, (3, 3), 0.6), np.float32)
    grain = 0.7 * grain.mean(axis=2, keepdims=True) * np.sqrt(3) + 0.3 * grain
    wanted = BYTES_PER_PIXEL * rgb.shape[0] * rgb.shape[1]
    for deviation in _NOISE_STEPS:
        noisy = np.clip(rgb + deviation * grain, 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(
            path, "JPEG", quality=_QUALITY, progressive=progressive, optimize=progressive
        )
        if path.stat().st_size >= wanted:
            return


def mean_bytes(photos: Sequence[Path]) -> int:
    """Return the mean size of files, in bytes."""
    return round(sum(path.stat().st_size for path in photos) / len(photos))
