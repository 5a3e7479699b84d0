"""Where in an image a label was seen: activation maps read as probabilities, and boxes drawn."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.model.bundle import Bundle
from recognizer.model.numerics import sigmoid
from recognizer.prediction import Region

_HEATMAP_SIDE = 56  # maps are interpolated to this before boxes are drawn around them
_REGION_LEVEL = 0.5  # a region is where the heat is at least this share of its peak


def local_probability(maps: NDArray[np.float32], bundle: Bundle) -> NDArray[np.float32]:
    """Read activation maps, logits (labels, h, w), as each label's probability at each place."""
    if bundle.activation == "sigmoid":
        return sigmoid(maps.astype(np.float64)).astype(np.float32)
    powers = np.exp(maps - maps.max(axis=0, keepdims=True))
    return np.asarray(powers / powers.sum(axis=0, keepdims=True), np.float32)


def find_regions(
    heatmap: NDArray[np.float32], label: str, size: tuple[int, int], frame: int
) -> tuple[Region, ...]:
    """Draw boxes, in an image of ``size``, where the heat (h, w) is at least half of its peak."""
    fine = cv2.resize(heatmap, (_HEATMAP_SIDE, _HEATMAP_SIDE), interpolation=cv2.INTER_LINEAR)
    peak = float(fine.max())
    if peak <= 0:
        return ()
    mask = (fine >= _REGION_LEVEL * peak).astype(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    regions = []
    for part in range(1, count):
        left, top, width, height = (int(v) for v in stats[part, :4])
        box = (
            left * size[0] // _HEATMAP_SIDE,
            top * size[1] // _HEATMAP_SIDE,
            -(-(left + width) * size[0] // _HEATMAP_SIDE),
            -(-(top + height) * size[1] // _HEATMAP_SIDE),
        )
        regions.append(
            Region(label=label, score=float(fine[parts == part].max()), box=box, frame=frame)
        )
    return tuple(sorted(regions, key=lambda region: -region.score))
