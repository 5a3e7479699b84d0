"""Activation maps as probabilities at each place, and boxes around what stands out."""

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.model.bundle import Bundle
from recognizer.model.numerics import sigmoid
from recognizer.prediction import Box, Region

_HEATMAP_SIDE = 56  # maps are interpolated to this before boxes are drawn around them
_REGION_LEVEL = 0.5  # a region is where the heat is at least this share of its peak


def local_probability(maps: NDArray[np.float32], bundle: Bundle) -> NDArray[np.float32]:
    """Read activation maps, logits (labels, h, w), as each label's probability at each place."""
    if bundle.activation == "sigmoid":
        return sigmoid(maps.astype(np.float64)).astype(np.float32)
    powers = np.exp(maps - maps.max(axis=0, keepdims=True))
    return np.asarray(powers / powers.sum(axis=0, keepdims=True), np.float32)


def find_regions(
    heatmap: NDArray[np.float32], label: str, size: tuple[int, int], part: Box | None = None
) -> tuple[Region, ...]:
    """Draw boxes, in an image of ``size``, where the heat (h, w) is at least half of its peak.

    The heat is over the ``part`` of the image with this box, if there is one.
    """
    fine = cv2.resize(heatmap, (_HEATMAP_SIDE, _HEATMAP_SIDE), interpolation=cv2.INTER_LINEAR)
    peak = float(fine.max())
    if peak <= 0:
        return ()
    x, y, right, bottom = part or (0, 0, *size)
    mask = (fine >= _REGION_LEVEL * peak).astype(np.uint8)
    count, areas, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    regions = []
    for area in range(1, count):
        left, top, width, height = (int(v) for v in stats[area, :4])
        box = (
            x + left * (right - x) // _HEATMAP_SIDE,
            y + top * (bottom - y) // _HEATMAP_SIDE,
            x - (-(left + width) * (right - x) // _HEATMAP_SIDE),
            y - (-(top + height) * (bottom - y) // _HEATMAP_SIDE),
        )
        score = float(fine[areas == area].max())
        regions.append(Region(label=label, score=score, box=box, part=part))
    return tuple(sorted(regions, key=lambda region: -region.score))


def spread(heatmap: NDArray[np.float32], part: Box, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the heat over a part as that over the whole image of ``size``, 0 around the part."""
    heat = np.zeros((_HEATMAP_SIDE, _HEATMAP_SIDE), np.float32)
    left, top, right, bottom = (
        round(at * _HEATMAP_SIDE / of) for at, of in zip(part, size * 2, strict=True)
    )
    inside = heat[top : max(bottom, top + 1), left : max(right, left + 1)]
    inside[:] = cv2.resize(heatmap, inside.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return heat
