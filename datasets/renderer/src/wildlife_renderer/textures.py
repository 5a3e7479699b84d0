"""Calculated textures: the surfaces that objects are photographed on.

Each kind of ground returns linear RGB and a relief for a square of ``extent`` centimetres, so that
planks, threads and tiles keep their true size beside the object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PIXELS = 1024


@dataclass(frozen=True)
class Ground:
    """A surface to photograph on.

    Attributes:
        colour: Linear RGB, ``(PIXELS, PIXELS, 3)``.
        relief: Height in centimetres, ``(PIXELS, PIXELS)``.
        roughness: Of the whole surface, 0 to 1.
    """

    colour: Array
    relief: Array
    roughness: float


def linear(rgb: tuple[float, float, float] | Array) -> Array:
    """Convert display values (sRGB, 0 to 1) to linear light."""
    value = np.asarray(rgb, dtype=np.float64)
    return np.where(
        value <= 0.04045, value / 12.92, ((np.maximum(value, 0) + 0.055) / 1.055) ** 2.4
    )


def fractal(
    rng: np.random.Generator, across: float, down: float | None = None, octaves: int = 4
) -> Array:
    """Return smooth noise, about -1 to 1, with ``across`` by ``down`` cells at its coarsest."""
    down = across if down is None else down
    total = np.zeros((PIXELS, PIXELS))
    strength = 1.0
    for octave in range(octaves):
        cells = [int(np.clip(round(count * 2**octave), 1, PIXELS)) + 3 for count in (across, down)]
        grid = rng.uniform(-1, 1, (cells[1], cells[0])).astype(np.float32)
        large = cv2.resize(grid, (PIXELS, PIXELS), interpolation=cv2.INTER_CUBIC)
        total += strength * large
        strength /= 2
    return total


def _mix(low: Array, high: Array, share: Array) -> Array:
    share = np.clip(share, 0, 1)[..., None]
    return low * (1 - share) + high * share


def _hue(rng: np.random.Generator, saturation: float, value: float) -> Array:
    # Dyes that are strong are also dark: no cloth glows.
    value *= 1 - 0.45 * saturation
    hsv = np.array([[[rng.uniform(0, 360), saturation, value]]], dtype=np.float32)
    return linear(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float64))


def wood(rng: np.random.Generator, extent: float) -> Ground:
    """A table or a floor of planks with grain, pores and worn varnish."""
    width = rng.uniform(7, 20)
    y = np.mgrid[0:PIXELS, 0:PIXELS][0] * (extent / PIXELS)
    plank = np.floor(y / width).astype(np.int64) if rng.random() < 0.75 else np.zeros_like(y, int)
    tints = rng.uniform(0, 1, plank.max() + 1)
    shift = rng.uniform(0, 400, plank.max() + 1)
    warp = fractal(rng, extent / 30, extent / 6, 3)
    rings = y / rng.uniform(0.35, 1.0) + warp * rng.uniform(1.5, 4.0) + shift[plank]
    grain = 0.5 + 0.5 * np.sin(rings * 2 * np.pi + 1.5 * np.sin(rings * 2.3))
    pores = fractal(rng, extent / 4, extent * 6, 3)
    share = 0.45 * grain + 0.3 * tints[plank] + 0.25 * pores + 0.1
    light, dark = [
        ((0.80, 0.62, 0.42), (0.55, 0.37, 0.21)),
        ((0.55, 0.36, 0.22), (0.30, 0.17, 0.09)),
        ((0.40, 0.26, 0.18), (0.20, 0.12, 0.08)),
        ((0.72, 0.68, 0.60), (0.48, 0.44, 0.38)),
        ((0.66, 0.44, 0.28), (0.44, 0.24, 0.13)),
    ][rng.integers(5)]
    colour = _mix(linear(light), linear(dark), share)
    gap = np.minimum(y % width, width - y % width) < 0.12
    if plank.max() > 0:
        colour[gap] *= 0.25
    wear = fractal(rng, 5, 5, 5)
    colour *= (1 + 0.12 * wear)[..., None]
    return Ground(colour, -0.1 * gap + 0.01 * pores, rng.uniform(0.25, 0.6))


def cloth(rng: np.random.Generator, extent: float) -> Ground:
    """A cloth, plain or striped or checked, woven, with folds."""
    y, x = np.mgrid[0:PIXELS, 0:PIXELS] * (extent / PIXELS)
    thread = max(extent / 220, 0.08)
    weave = np.sin(x * 2 * np.pi / thread) * np.sin(y * 2 * np.pi / thread)
    base = _hue(rng, rng.choice([0.03, 0.1, 0.3, 0.6]), rng.uniform(0.15, 0.95))
    colour = np.broadcast_to(base, (PIXELS, PIXELS, 3)).copy()
    pattern = rng.random()
    if pattern < 0.4:
        other = _hue(rng, rng.choice([0.05, 0.35]), rng.uniform(0.2, 0.95))
        step = rng.uniform(2, 9)
        stripes = ((x + 0.2 * fractal(rng, 6)) % step < step * rng.uniform(0.15, 0.5)) * 1.0
        if pattern < 0.2:
            stripes = 0.5 * stripes + 0.5 * (y % step < step * 0.4)
        colour = _mix(base, other, stripes)
    colour *= (1 + 0.15 * weave + 0.12 * fractal(rng, 40, 40, 4))[..., None]
    folds = np.zeros_like(x)
    for _ in range(rng.integers(2, 6)):
        angle = rng.uniform(0, np.pi)
        across = (x - extent / 2) * np.cos(angle) + (y - extent / 2) * np.sin(angle)
        across = (
            across + 0.06 * extent * fractal(rng, 2.5, 2.5, 3) + rng.uniform(-0.3, 0.3) * extent
        )
        width = extent * rng.uniform(0.006, 0.025)
        folds += rng.uniform(0.4, 1.2) * np.exp(-((across / width) ** 2)) * width
    swell = extent * 0.006 * fractal(rng, 4, 4, 3)
    return Ground(colour, 0.7 * folds + swell, rng.uniform(0.75, 0.95))


def paper(rng: np.random.Generator, extent: float) -> Ground:  # noqa: ARG001
    """Studio paper or a painted board: one colour, a little uneven."""
    grey = rng.random() < 0.75
    base = linear(np.full(3, rng.uniform(0.35, 0.97)) + rng.normal(0, 0.012, 3))
    base = base if grey else _hue(rng, rng.uniform(0.1, 0.6), rng.uniform(0.3, 0.9))
    uneven = 1 + 0.035 * fractal(rng, 3, 3, 6)
    return Ground(base * uneven[..., None], np.zeros((PIXELS, PIXELS)), rng.uniform(0.45, 0.9))


def tiles(rng: np.random.Generator, extent: float) -> Ground:
    """Floor or kitchen tiles with joints."""
    side = rng.choice([10.0, 15.0, 20.0, 33.0])
    y, x = np.mgrid[0:PIXELS, 0:PIXELS] * (extent / PIXELS)
    column, row = (x / side).astype(int), (y / side).astype(int)
    tint = rng.uniform(-1, 1, (row.max() + 1, column.max() + 1))[row, column]
    base = linear(np.array([0.82, 0.78, 0.72]) * rng.uniform(0.4, 1.1) + rng.normal(0, 0.03, 3))
    cloud = fractal(rng, extent / 9, extent / 9, 5)
    colour = np.clip(base, 0.01, 0.9) * (1 + 0.07 * tint + 0.12 * cloud)[..., None]
    joint = np.minimum(np.minimum(x % side, side - x % side), np.minimum(y % side, side - y % side))
    joint = joint < 0.2
    colour[joint] = linear((0.45, 0.43, 0.40)) * rng.uniform(0.4, 1.4)
    return Ground(colour, -0.12 * joint, rng.uniform(0.12, 0.4))


def cardboard(rng: np.random.Generator, extent: float) -> Ground:
    """Brown board with faint flutes, fibres and a crease."""
    y = np.mgrid[0:PIXELS, 0:PIXELS][0] * (extent / PIXELS)
    flutes = np.sin(y * 2 * np.pi / max(0.7, extent / 120))
    fibres = fractal(rng, 200, 60, 3) + fractal(rng, 3, 3, 5)
    base = linear((0.72, 0.56, 0.39)) * rng.uniform(0.75, 1.15)
    colour = base * (1 + 0.03 * flutes + 0.08 * fibres)[..., None]
    crease = np.exp(-(((y - extent * rng.uniform(0.2, 0.8)) / 0.3) ** 2))
    return Ground(colour * (1 - 0.3 * crease[..., None]), -0.2 * crease + 0.01 * flutes, 0.85)


def grass(rng: np.random.Generator, extent: float) -> Ground:
    """Short grass or weeds over earth (the blades are added by the stage)."""
    fine = fractal(rng, extent * 1.2, extent * 1.2, 3)
    coarse = fractal(rng, extent / 25, extent / 25, 4)
    green = _mix(linear((0.20, 0.28, 0.08)), linear((0.46, 0.52, 0.20)), 0.5 + 0.4 * fine)
    colour = _mix(green, linear((0.42, 0.33, 0.22)), 0.25 + 0.6 * coarse)
    return Ground(colour, 0.4 * fine + 0.5 * coarse, 0.9)


def concrete(rng: np.random.Generator, extent: float) -> Ground:
    """Concrete, screed or bare earth: grains, stains, small pits."""
    base = linear((0.60, 0.58, 0.54)) if rng.random() < 0.6 else linear((0.58, 0.46, 0.34))
    grain = fractal(rng, 300, 300, 2)
    stain = fractal(rng, 4, 4, 6)
    colour = base * rng.uniform(0.6, 1.2) * (1 + 0.12 * grain + 0.2 * stain)[..., None]
    pits = np.clip(fractal(rng, extent * 0.8, extent * 0.8, 2) - 0.75, 0, None)
    return Ground(
        colour * (1 - 0.8 * np.clip(pits, 0, 1))[..., None], 0.02 * grain - 0.2 * pits, 0.9
    )


def carpet(rng: np.random.Generator, extent: float) -> Ground:
    """A rug with pile and a soft pattern."""
    first = _hue(rng, rng.uniform(0.05, 0.45), rng.uniform(0.25, 0.8))
    second = _hue(rng, rng.uniform(0.05, 0.45), rng.uniform(0.25, 0.8))
    pattern = np.tanh(4 * fractal(rng, extent / 10, extent / 10, 1)) * rng.choice([0.0, 0.5])
    pile = fractal(rng, 260, 260, 2)
    colour = _mix(first, second, 0.5 + pattern) * (1 + 0.35 * pile)[..., None]
    return Ground(np.clip(colour, 0, 1), 0.12 * pile, 0.98)


GROUNDS: dict[str, tuple[Callable[[np.random.Generator, float], Ground], float]] = {
    "wood": (wood, 0.24),
    "cloth": (cloth, 0.2),
    "paper": (paper, 0.2),
    "tiles": (tiles, 0.09),
    "cardboard": (cardboard, 0.07),
    "grass": (grass, 0.06),
    "concrete": (concrete, 0.07),
    "carpet": (carpet, 0.07),
}
"""Kind of ground -> how it is made, and the share of images that have it."""
