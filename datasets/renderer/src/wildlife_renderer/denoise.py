"""A small denoiser for few paths: an edge-avoiding wavelet filter that knows what was hit.

After Dammertz and others, "Edge-Avoiding A-Trous Wavelet Transform for fast Global Illumination
Filtering" (2010). The light is divided by the surface's own colour before it is smoothed, so that
grain, cracks and ridges stay sharp.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from wildlife_renderer.geometry import Array

_TAPS = np.array([1, 4, 6, 4, 1]) / 16
_FLOOR = 0.04  # added to the surface's colour, so that black paint divides nothing by nothing


def denoise(light: Array, albedo: Array, normal: Array, depth: Array, passes: int = 3) -> Array:
    """Smooth rendered light within surfaces.

    Args:
        light: Linear light, ``(height, width, 3)``, noisy.
        albedo: The surface's own colour, ``(height, width, 3)``.
        normal: Its direction, ``(height, width, 3)``.
        depth: Its distance, ``(height, width)``.
        passes: Each doubles the reach, from 2 pixels on.
    """
    own = albedo + _FLOOR
    value = _without_outliers(light / own).astype(np.float32)
    far = np.log(np.maximum(depth, 1e-3))
    # What neighbours must share to be mixed, each in units of how much it may differ.
    surface = np.dstack([normal / 0.05**0.5, albedo / 0.02**0.5, far / 0.003**0.5])
    for step in (2**index for index in range(passes)):
        tone = np.log(value.mean(axis=2) + 0.02) / (0.35 / step) ** 0.5
        guide = np.dstack([surface, tone]).astype(np.float32)
        around_guide, around_value = (_padded(array, 2 * step) for array in (guide, value))
        total = np.zeros_like(value)
        weights = np.zeros_like(value[..., :1])
        for row, vertical in enumerate(_TAPS):
            for column, horizontal in enumerate(_TAPS):
                window = np.s_[
                    row * step : row * step + value.shape[0],
                    column * step : column * step + value.shape[1],
                ]
                apart = guide - around_guide[window]
                alike = cv2.exp(-np.einsum("...c,...c", apart, apart))[..., None]
                total += vertical * horizontal * alike * around_value[window]
                weights += vertical * horizontal * alike
        value = total / weights
    return value * own


def _padded(array: Array, width: int) -> Array:
    """Repeat the border pixels outwards."""
    return np.pad(array, ((width, width), (width, width), (0, 0)), mode="edge")


def _without_outliers(value: Array) -> Array:
    """Clip pixels that are far brighter or darker than all but one of their neighbours.

    Single bright paths are noise; single black pixels on outlines come from smoothed normals that
    look away from the camera.
    """
    tone = value.mean(axis=2)
    around = sliding_window_view(np.pad(tone, 1, mode="edge"), (3, 3)).reshape(-1, 9)
    around = np.sort(np.delete(around, 4, axis=1), axis=1).reshape(*tone.shape, 8)
    within = np.clip(tone, 0.8 * around[..., 1], 1.15 * around[..., -2] + 1e-3)
    usual = np.median(value.reshape(-1, 3), axis=0)
    hue = np.where(tone[..., None] > 1e-3, value, usual)
    return hue * (within / np.maximum(hue.mean(axis=2), 1e-6))[..., None]
