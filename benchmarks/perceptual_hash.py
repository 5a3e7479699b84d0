"""How far the perceptual hash moves when a photo is altered, and what it costs.

    python -m benchmarks.perceptual_hash [FOLDER]

Beside ours stands the published program, where ``pip install pdqhash`` has brought it (it has no
wheel for Linux and needs a compiler there). Distances are bits of 256; 31 is a match.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from recognizer.imaging import load_image, perceptual_hash
from recognizer.prediction import MAX_DISTANCE

SAMPLES = Path(__file__).parents[1] / "datasets" / "samples"
TIMED = 200


def _published() -> Callable[[np.ndarray], str | None] | None:
    try:
        import pdqhash  # noqa: PLC0415
    except ImportError:
        return None
    return lambda rgb: np.packbits(pdqhash.compute(rgb)[0]).tobytes().hex()


def _resized(rgb: np.ndarray, scale: float) -> np.ndarray:
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=method))


def _cropped(rgb: np.ndarray, share: float) -> np.ndarray:
    top, left = (round(side * share / 2) for side in rgb.shape[:2])
    return np.ascontiguousarray(rgb[top : rgb.shape[0] - top, left : rgb.shape[1] - left])


def _compressed(rgb: np.ndarray, quality: int) -> np.ndarray:
    _, jpeg = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))


ALTERATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "half the size": lambda rgb: _resized(rgb, 0.5),
    "0.7 of the size": lambda rgb: _resized(rgb, 0.7),
    "1.6 times the size": lambda rgb: _resized(rgb, 1.6),
    "JPEG quality 40": lambda rgb: _compressed(rgb, 40),
    "2 % cropped away": lambda rgb: _cropped(rgb, 0.02),
    "5 % cropped away": lambda rgb: _cropped(rgb, 0.05),
    "2 % cropped, 0.6, quality 60": lambda rgb: _compressed(_resized(_cropped(rgb, 0.02), 0.6), 60),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=SAMPLES)
    folder = parser.parse_args().folder
    cv2.setNumThreads(1)
    loaded = (load_image(path) for path in sorted(folder.rglob("*.jpg")))
    photos = [np.ascontiguousarray(image.frames[0].rgb) for image in loaded if image.frames]
    methods: dict[str, Callable[[np.ndarray], str | None]] = {"ours": perceptual_hash}
    published = _published()
    if published is not None:
        methods["pdqhash"] = published
    print(f"{len(photos)} photos; distances to the hash of the photo as it is")
    print(f"{'':30} {'':8} {'mean':>5} {'95 %':>5} {'most':>5} {'over ' + str(MAX_DISTANCE):>8}")
    for title, alter in ALTERATIONS.items():
        for name, method in methods.items():
            _print(title, name, [_apart(method(rgb), method(alter(rgb))) for rgb in photos])
    if published is not None:
        _print("", "both", [_apart(perceptual_hash(rgb), published(rgb)) for rgb in photos])
    frame = cv2.resize(photos[0], (400, 300))
    for name, method in methods.items():
        began = time.process_time()
        for _ in range(TIMED):
            method(frame)
        print(f"{name}: {1000 * (time.process_time() - began) / TIMED:.2f} ms at 400x300")


def _apart(one: str | None, other: str | None) -> int:
    if one is None or other is None:
        return 256
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _print(title: str, name: str, distances: list[int]) -> None:
    over = sum(distance > MAX_DISTANCE for distance in distances)
    print(
        f"{title:30} {name:8} {np.mean(distances):5.1f} {np.percentile(distances, 95):5.0f} "
        f"{max(distances):5} {over:8}"
    )


if __name__ == "__main__":
    main()
