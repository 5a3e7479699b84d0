"""The photos of a folder that are most like one, by the model's features.

    python examples/nearest.py seized.jpg backlog/

A similar photo need not show the same product. For millions, keep the vectors in a vector index.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from recognizer import Recognizer


def nearest(recognizer: Recognizer, photo: Path, folder: Path) -> Iterator[tuple[float, Path]]:
    """Yield the cosine of each photo below a folder with one photo, the most similar first."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    vectors = {path: recognizer.embed(path) for path in (photo, *paths)}
    units = {path: v / (np.linalg.norm(v) or 1) for path, v in vectors.items() if v is not None}
    if photo not in units:
        raise SystemExit(f"{photo} cannot be read: {recognizer.predict(photo).reason}")
    cosines = ((float(units[path] @ units[photo]), path) for path in paths if path in units)
    yield from sorted(cosines, reverse=True)


if __name__ == "__main__":
    for cosine, path in [*nearest(Recognizer.load(), *map(Path, sys.argv[1:]))][:20]:
        print(f"{cosine:.3f}  {path}")
