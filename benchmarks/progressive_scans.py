"""What is gained, and lost, where a progressive JPEG is decoded without its last scans.

    python -m benchmarks.progressive_scans

The reduced size that the model needs takes few coefficients of each block, which the first scans
of a progressive JPEG hold, coarsely. Photos are made as for the benchmark of speed; each is decoded
whole and without the scans that a variant leaves out. docs/speed.md says what came of it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simplejpeg

from benchmarks.speed.__main__ import SAMPLES
from benchmarks.speed.photos import make_photos
from recognizer.engine import Recognizer
from recognizer.imaging import model_input

_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


class Scan(NamedTuple):
    """A scan: where it lies, the coefficients that it holds (0 to 63), and its precision."""

    begin: int
    end: int
    is_color: bool
    first: int
    high: int
    low: int

    @property
    def is_fine_brightness(self) -> bool:
        """Whether it holds the last bit of the brightness of all but the mean of a block."""
        return self.first > 0 and not self.is_color and (self.high, self.low) == (1, 0)

    @property
    def is_coarse(self) -> bool:
        """Whether it is a first scan of low frequencies, or refines the mean."""
        return self.first == 0 or (self.first < 6 and self.high == 0)


VARIANTS: dict[str, Callable[[Scan], bool]] = {
    "whole": lambda _: True,
    "without the last bit of brightness": lambda scan: not scan.is_fine_brightness,
    "first scans of low frequencies": lambda scan: scan.is_coarse,
}


def scans_of(data: bytes) -> tuple[int, list[Scan]]:
    """Return where the header of a progressive JPEG ends, and its scans with their tables."""
    found: list[Scan] = []
    begin, head, inside = 2, 0, None
    for position, marker in _markers(data):
        if inside is not None:
            found.append(Scan(begin, position, *inside))
            begin, inside = position, None
        if marker == _START_OF_SCAN:
            count = data[position + 4]
            first, _, precision = data[position + 5 + 2 * count : position + 8 + 2 * count]
            inside = (data[position + 5] > 1, first, precision >> 4, precision & 15)
            head = head or begin
        elif not found:
            begin = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return head, found


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    position = 2
    while (position := data.find(b"\xff", position)) >= 0:
        marker = data[position + 1]
        if marker == 0 or 0xD0 <= marker <= 0xD7:
            position += 2
            continue
        yield position, marker
        if marker == _END_OF_IMAGE:
            return
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")


def without(data: bytes, wanted: Callable[[Scan], bool]) -> bytes:
    """Return a JPEG with the wanted scans alone."""
    head, scans = scans_of(data)
    kept = b"".join(data[scan.begin : scan.end] for scan in scans if wanted(scan))
    return data[:head] + kept + bytes([0xFF, _END_OF_IMAGE])


def main() -> None:
    """Print the time of decoding and the differences of each variant."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=Path, default=SAMPLES, help="a folder of JPEGs")
    parser.add_argument("--photos", type=int, default=48)
    asked = parser.parse_args()
    recognizer = Recognizer.load(threads=1)
    bundle, size = recognizer.bundle, recognizer.bundle.input_size
    with tempfile.TemporaryDirectory() as folder:
        paths = make_photos(
            asked.samples, Path(folder), (1600, 1200), asked.photos, progressive=True
        )
        data = [path.read_bytes() for path in paths]
    limit, whole = bundle.any_product_thresholds[0.01], None
    print("| variant | kB | decode ms | mean pixel | largest, mean score | other decisions |")
    print("|---|---|---|---|---|---|")
    for name, wanted in VARIANTS.items():
        files = [without(one, wanted) for one in data]
        seconds, inputs = [], []
        for file in files:
            began = time.process_time()
            rgb = simplejpeg.decode_jpeg(file, "RGB", min_height=size, min_width=size, strict=True)
            seconds.append(time.process_time() - began)
            inputs.append(model_input(rgb, size))
        stacked = np.stack(inputs)
        scores = bundle.calibrate(recognizer.features(stacked)[0])
        top = bundle.family_scores(scores).max(axis=1)
        whole = whole or (stacked.astype(int), scores, top)
        changed = int(((top > limit) != (whole[2] > limit)).sum())
        print(
            f"| {name} | {np.mean([len(file) for file in files]) / 1000:.0f} "
            f"| {statistics.median(seconds) * 1000:.1f} | {np.abs(stacked - whole[0]).mean():.2f} "
            f"| {np.abs(scores - whole[1]).max():.3f}, {np.abs(top - whole[2]).mean():.4f} "
            f"| {changed} of {len(top)} |"
        )


if __name__ == "__main__":
    main()
