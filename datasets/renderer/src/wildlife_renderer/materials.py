"""Paint: what a surface is made of, for each vertex.

Colours are given as display values (sRGB, 0 to 1) and kept as linear light.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wildlife_renderer.geometry import Array, Mesh, noise
from wildlife_renderer.textures import linear

RGB = tuple[float, float, float]


def paint(
    mesh: Mesh,
    colour: RGB | Array,
    roughness: float | Array = 0.5,
    clearcoat: float = 0.0,
    metallic: float = 0.0,
    sheen: float = 0.0,
) -> Mesh:
    """Return the mesh in one colour, or in one for each vertex ``(n, 3)``."""
    count = len(mesh.vertices)
    surface = np.empty((count, 4))
    for column, value in enumerate((roughness, clearcoat, metallic, sheen)):
        surface[:, column] = value
    shades = np.broadcast_to(linear(np.asarray(colour, dtype=np.float64)), (count, 3))
    return replace(mesh, colour=np.array(shades), surface=surface)


def shaded(mesh: Mesh, factor: Array) -> Mesh:
    """Return the mesh with its colour multiplied, for dirt and for hollows."""
    return replace(mesh, colour=mesh.colour * np.asarray(factor)[:, None])


def blend(first: RGB | Array, second: RGB | Array, share: Array) -> Array:
    """Blend two colours, ``(n, 3)``."""
    part = np.clip(share, 0, 1)[:, None]
    return np.asarray(first) * (1 - part) + np.asarray(second) * part


def seed_of(rng: np.random.Generator) -> int:
    """Draw a seed for a noise."""
    return int(rng.integers(2**31))


def along(mesh: Mesh, length: float, girth: float = 1.0) -> Array:
    """Unroll points on a straight cylinder, so that grain follows the length of a bend."""
    angle = mesh.coords[:, 1] * 2 * np.pi
    return np.stack(
        [girth * np.cos(angle), girth * np.sin(angle), mesh.coords[:, 0] * length], axis=1
    )


def ivory_colour(rng: np.random.Generator, age: float) -> RGB:
    """Return a warm white for fresh ivory; age turns it yellow, then brown."""
    fresh, old, brown = np.array([[0.93, 0.89, 0.79], [0.87, 0.77, 0.57], [0.60, 0.44, 0.27]])
    tone = fresh + (old - fresh) * min(1, age * 1.8)
    tone = tone + (brown - tone) * max(0.0, age - 0.55) * 1.6
    return _rgb(tone + rng.normal(0, 0.012, 3))


def ivory(rng: np.random.Generator, mesh: Mesh, age: float, scale: float) -> Mesh:
    """Paint worked ivory: polished, with faint grain lines, yellowed in the hollows."""
    points = mesh.vertices / scale
    base = ivory_colour(rng, age)
    patch = noise(points, 2.5, seed_of(rng), 4)
    grain = np.sin(
        (points[:, 0] * 0.9 + 0.25 * points[:, 2]) * 70 + 5 * noise(points, 1.5, seed_of(rng), 2)
    )
    warm = (base[0] * 0.9, base[1] * 0.78, base[2] * 0.58)
    colour = blend(base, warm, 0.25 * age + 0.35 * patch + 0.07 * grain)
    cracks = ridge(noise(points, (9, 9, 1.5), seed_of(rng), 2), 0.03) * (0.2 + 0.6 * age)
    colour = blend(colour, (0.36, 0.24, 0.14), cracks * (noise(points, 2, seed_of(rng)) > 0))
    return paint(mesh, colour, rng.uniform(0.22, 0.42), rng.uniform(0.1, 0.6))


def ridge(value: Array, width: float) -> Array:
    """1 where a noise crosses zero and 0 beyond ``width``: thin winding lines."""
    return np.clip(1 - np.abs(value) / width, 0, 1)


def timber(rng: np.random.Generator, mesh: Mesh, scale: float, gloss: float = 0.3) -> Mesh:
    """Wood with year rings through the whole solid, as turned pieces show them."""
    light, dark = [
        ((0.78, 0.60, 0.40), (0.58, 0.39, 0.22)),
        ((0.62, 0.40, 0.25), (0.36, 0.20, 0.11)),
        ((0.45, 0.29, 0.20), (0.22, 0.13, 0.09)),
        ((0.86, 0.74, 0.56), (0.70, 0.54, 0.36)),
    ][rng.integers(4)]
    points = mesh.vertices / scale
    heart = rng.uniform(-0.8, 0.8, 2)
    warp = noise(points, (1.2, 1.2, 1.2), seed_of(rng), 3)
    away = np.hypot(points[:, 0] - heart[0], points[:, 2] * rng.uniform(0.4, 1) - heart[1])
    rings = 0.5 + 0.5 * np.sin((away + 0.12 * warp) * rng.uniform(45, 90))
    fibre = noise(points, (40, 5, 40), seed_of(rng), 3)
    colour = blend(light, dark, 0.55 * rings**2 + 0.3 * fibre + 0.25)
    return paint(mesh, colour, 0.65 - 0.35 * gloss, gloss * 0.6)


def jade(rng: np.random.Generator, mesh: Mesh, scale: float) -> tuple[Mesh, str]:
    """Polished stone: jade, marble or agate; the kind is returned with it."""
    points = mesh.vertices / scale
    kind = str(rng.choice(["green jade", "white jade", "marble", "agate", "grey stone"]))
    cloud = noise(points, rng.uniform(1.5, 3.5), seed_of(rng), 5)
    veins = ridge(noise(points, 1.8, seed_of(rng), 4), 0.06)
    if kind == "green jade":
        tone = np.array([0.32, 0.56, 0.40]) + rng.normal(0, 0.06, 3)
        colour = blend(tone, (0.80, 0.88, 0.78), 0.3 + 0.5 * cloud)
    elif kind == "white jade":
        colour = blend((0.88, 0.89, 0.82), (0.72, 0.78, 0.66), 0.35 + 0.5 * cloud)
    elif kind == "marble":
        colour = blend((0.93, 0.92, 0.91), (0.72, 0.71, 0.72), 0.2 + 0.5 * cloud)
        colour = blend(colour, (0.45, 0.44, 0.46), 0.8 * veins)
    elif kind == "agate":
        bands = 0.5 + 0.5 * np.sin(points[:, 0] * 18 + 6 * cloud)
        colour = blend((0.75, 0.42, 0.26), (0.92, 0.82, 0.70), bands)
    else:
        colour = blend((0.45, 0.44, 0.42), (0.62, 0.60, 0.57), 0.5 + 0.6 * cloud)
    return paint(mesh, np.clip(colour, 0, 1), rng.uniform(0.1, 0.3), rng.uniform(0.3, 1.0)), kind


def glazed(rng: np.random.Generator, mesh: Mesh, colour: RGB) -> Mesh:
    """Ceramic under a glaze, thinner at the edges, with a little iron in it."""
    speck = noise(mesh.vertices, 3.0, seed_of(rng), 2) > 0.95
    shades = blend(colour, np.asarray(colour) * 0.6, 0.5 * speck * (rng.random() < 0.3))
    return paint(mesh, shades, rng.uniform(0.08, 0.25), 1.0)


def any_hue(rng: np.random.Generator, strength: float = 0.6) -> RGB:
    """Draw a colour for toys and bowls: mostly muted, now and then bright."""
    angle = rng.uniform(0, 2 * np.pi) + np.array([0, 2.1, 4.2])
    bright = rng.uniform(0.2, 0.85)
    vivid = strength * rng.beta(1.2, 1.5)
    return _rgb(np.clip(bright * (1 + vivid * np.cos(angle)), 0.03, 0.95))


def tone_near(rng: np.random.Generator, rgb: RGB, spread: float = 0.03) -> RGB:
    """Draw a colour close to another: lighter or darker, of nearly the same hue."""
    shift = rng.normal(0, spread) + rng.normal(0, spread / 4, 3)
    return _rgb(np.clip(np.array(rgb) + shift, 0.02, 0.97))


def _rgb(colour: Array) -> RGB:
    red, green, blue = colour.tolist()
    return red, green, blue
