"""Cut an object out of its photo, so that it can be put on another background.

Museum and shop photos show the object on paper, cloth or black. Such a border is nearly one
colour, perhaps with a gradient, and what departs from it is the object. Photos whose border is
not even give no mask: nothing is guessed there.
"""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Picture: TypeAlias = NDArray[np.uint8]
"""A picture, (height, width, 3), RGB; or a mask, (height, width), 255 on the object, else 0."""

WORKING_SIDE = 160
"""Masks are found at this long side: a cut-out edge needs no more, and GrabCut slows fast."""

_EDGE = 1.2  # sigma in pixels by which an outline is softened; a sharp edge would be a clue
_RING = 0.04  # width of the border that is looked at, as a share of the short side
_EVEN = 9.0  # a border is even where nine in ten of its pixels stay this close to a plane (Lab)
_LIGHTNESS_WEIGHT = 0.6  # a shadow on paper changes the lightness more than the colour
_SHARE = (0.03, 0.85)  # smallest and largest share of the picture that an object takes
_BORDER_CONTACT = 0.25  # an object over more of the border than this was not photographed whole


@dataclass(frozen=True, slots=True)
class Cutout:
    """An object without its background, no larger than the object."""

    rgb: Picture  # (height, width, 3)
    opacity: Picture  # (height, width): 255 on the object, 0 off it, soft edges


def cut_out(rgb: Picture, mask: Picture) -> Cutout:
    """Cut an object out of its photo, by a mask of any size with the same aspect; not all 0."""
    height, width = rgb.shape[:2]
    resized = cv2.resize(mask, (width, height))
    opacity = np.asarray(cv2.GaussianBlur(resized, (0, 0), _EDGE), np.uint8)
    rows, columns = np.flatnonzero(opacity.max(axis=1)), np.flatnonzero(opacity.max(axis=0))
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Cutout(rgb[window], opacity[window])


def find_object(rgb: Picture) -> Picture | None:
    """Return the mask of the object in front of an even background.

    Its long side is at most :data:`WORKING_SIDE`. None if the border is not even, or if what
    departs from it cannot be an object.
    """
    small = _shrink(rgb)
    distance, threshold = _distance_to_background(small)
    if threshold is None:
        return None
    mask = _clean((distance > threshold).astype(np.uint8))
    if not _plausible(mask):
        return None
    mask = _clean(_refine(small, mask, distance > 2.5 * threshold))
    return mask * np.uint8(255) if _plausible(mask) else None


def _shrink(rgb: Picture) -> Picture:
    height, width = rgb.shape[:2]
    scale = min(1.0, WORKING_SIDE / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _ring(shape: tuple[int, int]) -> NDArray[np.bool_]:
    height, width = shape
    edge = max(2, round(_RING * min(height, width)))
    ring = np.ones(shape, bool)
    ring[edge : height - edge, edge : width - edge] = False
    return ring


def _distance_to_background(rgb: Picture) -> tuple[NDArray[np.float32], float | None]:
    """Fit a plane to the border's colour; return each pixel's distance to it and a threshold."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    height, width = lab.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    plane = np.stack([np.ones_like(x), x / width - 0.5, y / height - 0.5], axis=-1)
    ring = _ring((height, width))
    keep = ring.copy()
    for _ in range(3):  # the object may touch the border: leave out what is far and fit again
        solution = np.linalg.lstsq(plane[keep], lab[keep], rcond=None)[0]
        departure = lab - plane @ solution
        departure[..., 0] *= _LIGHTNESS_WEIGHT
        distance = np.sqrt((departure**2).sum(axis=-1)).astype(np.float32)
        limit = max(4.0, 2.5 * float(np.median(distance[keep])))
        keep = ring & (distance < limit)
        if keep.sum() < 0.5 * ring.sum():
            return distance, None
    if float(np.quantile(distance[ring], 0.75)) > _EVEN:
        return distance, None
    return distance, max(7.0, 3.0 * float(np.quantile(distance[keep], 0.95)))


def _clean(mask: Picture) -> Picture:
    """Drop specks, close gaps and fill holes."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel)  # type: ignore[assignment]
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel, iterations=2)  # type: ignore[assignment]
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    large = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] > 0.01 * mask.size]
    mask = np.isin(parts, large).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return np.asarray(cv2.drawContours(mask, outlines, -1, 1, cv2.FILLED), np.uint8)


def _plausible(mask: Picture) -> bool:
    share = float(mask.mean())
    height, width = mask.shape
    contact = float(mask[_ring((height, width))].mean())
    return _SHARE[0] <= share <= _SHARE[1] and contact <= _BORDER_CONTACT


def _refine(rgb: Picture, mask: Picture, certain: NDArray[np.bool_]) -> Picture:
    """Let GrabCut (Rother et al., 2004) draw the outline between what is certain on both sides."""
    near = cv2.dilate(mask, np.ones((7, 7), np.uint8))
    labels = np.where(mask > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[near == 0] = cv2.GC_BGD
    labels[certain & (mask > 0)] = cv2.GC_FGD
    if not (labels == cv2.GC_FGD).any():
        return mask
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(rgb, labels, None, *models, 2, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
