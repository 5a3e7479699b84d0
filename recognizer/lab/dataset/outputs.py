"""The outputs of a bundle's network for labelled photos, before calibration."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recognizer.engine import Recognizer
from recognizer.errors import DatasetError
from recognizer.lab.dataset.manifest import Photo, first_frame

_CHUNK = 32

Result = TypeVar("Result")


def run_photos(
    recognizer: Recognizer,
    photos: Sequence[Photo],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> NDArray[np.float32]:
    """Return log-odds before calibration, float32, (N, labels), of N photos."""
    if not photos:
        raise DatasetError("no photos")

    def run(part: Sequence[Photo]) -> NDArray[np.float32]:
        frames = [first_frame(p, recognizer.load_image(p.path)) for p in part]
        return recognizer.features(frames)[0]

    return np.concatenate([*in_chunks(run, photos, on_progress)])


def in_chunks(
    work: Callable[[Sequence[Photo]], Result],
    photos: Sequence[Photo],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Iterator[Result]:
    """Yield what ``work`` returns for each chunk of photos, in order."""
    chunks = [photos[i : i + _CHUNK] for i in range(0, len(photos), _CHUNK)]
    done = 0
    with ThreadPoolExecutor(2) as pool:
        for chunk, found in zip(chunks, pool.map(work, chunks), strict=True):
            done += len(chunk)
            on_progress(done, len(photos))
            yield found
