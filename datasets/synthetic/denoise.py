"""A small denoiser for few paths: an edge-avoiding wavelet filter that knows what was hit.

After Dammertz and others, "Edge-Avoiding A-Trous Wavelet Transform for fast Global Illumination
Filtering" (2010). The light is divided by the surface's own colour before it is smoothed, so that
grain, cracks and ridges stay sharp.
"""

from __future__ import annotations

import numpy as np

from datasets.synthetic.geometry import Array

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
    value = _without_outliers(light / own)
    far = np.log(np.maximum(depth, 1e-3))
    for step in (2**index for index in range(passes)):
        total = np.zeros_like(value)
        weights = np.zeros(value.shape[:2])
        tone = np.log(value.mean(axis=2) + 0.02)
        for dy, vertical in zip(range(-2, 3), _TAPS, strict=True):
            for dx, horizontal in zip(range(-2, 3), _TAPS, strict=True):
                shift = (dy * step, dx * step)
                there = _shifted(value, shift)
                weight = (
                    vertical
                    * horizontal
                    * np.exp(
                        -((_shifted(normal, shift) - normal) ** 2).sum(axis=2) / 0.05
                        - ((_shifted(albedo, shift) - albedo) ** 2).sum(axis=2) / 0.02
                        - (_shifted(far, shift) - far) ** 2 / 0.003
                        - (_shifted(tone, shift) - tone) ** 2 / (0.35 / step)
                    )
                )
                total += weight[..., None] * there
                weights += weight
        value = total / weights[..., None]
    return value * own


def _shifted(values: Array, shift: tuple[int, int]) -> Array:
    """The array moved by whole pixels; its border pixels are repeated."""
    rows = np.clip(np.arange(values.shape[0]) + shift[0], 0, values.shape[0] - 1)
    columns = np.clip(np.arange(values.shape[1]) + shift[1], 0, values.shape[1] - 1)
    return values[rows][:, columns]


def _without_outliers(value: Array) -> Array:
    """No pixel far brighter or darker than all but one of its neighbours.

    Single bright paths are noise; single black pixels on outlines come from smoothed normals that
    look away from the camera.
    """
    tone = value.mean(axis=2)
    around = np.stack(
        [_shifted(tone, (dy, dx)) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
    )
    around.sort(axis=0)
    within = np.clip(tone, 0.8 * around[1], 1.15 * around[-2] + 1e-3)
    usual = np.median(value.reshape(-1, 3), axis=0)
    hue = np.where(tone[..., None] > 1e-3, value, usual)
    return hue * (within / np.maximum(hue.mean(axis=2), 1e-6))[..., None]
