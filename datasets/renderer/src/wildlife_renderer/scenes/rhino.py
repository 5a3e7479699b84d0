"""Scenes with whole rhino horns."""

from __future__ import annotations

import numpy as np

from wildlife_renderer import geometry
from wildlife_renderer.forms import bent
from wildlife_renderer.geometry import Mesh, merge, noise, rotation
from wildlife_renderer.materials import along, blend, paint, seed_of
from wildlife_renderer.scene import Subject, scene


def rhino(rng: np.random.Generator, height: float) -> Mesh:
    """Return a horn of a height in centimetres, lying along x."""
    girth = height * rng.uniform(0.2, 0.3)
    curve = bent(height, rng.uniform(25, 65), 0.0, rng.uniform(0.8, 1.3))
    side = np.concatenate([np.linspace(0, 0.12, 120), np.linspace(0.12, 1, 420)[1:]])
    at = np.concatenate([np.zeros(60), side, np.ones(60)])
    fill = np.concatenate([np.linspace(0, 1, 60), np.ones(len(side)), np.linspace(1, 0, 60)])
    cone = (1 - at) ** rng.uniform(0.75, 1.0)
    flare = 0.28 * np.exp(-at / 0.07)
    radius = girth * fill * (0.10 * np.sqrt(np.clip(1 - at**8, 0, 1)) + 0.74 * cone + flare)
    mesh = geometry.sweep(curve, at, radius, around=300)
    position = np.repeat(at, 300)
    inward = np.repeat((1 - fill) * (at == 0), 300)
    is_tip = np.repeat((fill < 1) * (at == 1), 300) > 0
    unrolled = along(mesh, height, girth)
    unrolled[:, 2] = position * height
    fibre = noise(unrolled, np.array([7, 7, 0.25]) / girth, seed_of(rng), 3)
    coarse = noise(unrolled, np.array([2, 2, 0.3]) / girth, seed_of(rng), 3)
    fray = np.exp(-position / 0.10)
    rings = np.sin(position * rng.uniform(50, 90)) * np.exp(-position / 0.3)
    under = (inward > 0) * noise(mesh.vertices / girth, 14, seed_of(rng), 2)
    fibres = fibre * (0.012 + 0.06 * fray) * (inward == 0) * ~is_tip
    mesh = mesh.displaced(girth * (0.025 * coarse + fibres + 0.006 * rings + 0.02 * under))
    tone = np.array([0.30, 0.25, 0.20]) * rng.uniform(0.6, 1.5) + rng.normal(0, 0.01, 3)
    pale = tone * 1.5 + 0.08
    colour = blend(tone, pale, 0.3 + 0.5 * fibre + 0.35 * coarse + 0.5 * fray)
    colour = blend(colour, tone * 0.55, np.clip((position - 0.45) * 1.4, 0, 0.8))
    colour = blend(colour, (0.55, 0.45, 0.33), (inward > 0) * 0.7)
    return paint(mesh, np.clip(colour, 0.02, 1), 0.42 + 0.35 * np.clip(fray, 0, 1), 0.15)


@scene("rhino_horn")
def rhino_horn_whole(rng: np.random.Generator) -> Subject:
    """A whole horn, standing on its base or lying."""
    height = rng.uniform(18, 60)
    mesh = rhino(rng, height)
    standing = bool(rng.random() < 0.55)
    elevation = (20.0, 70.0)
    if standing:
        # The base is not square to the axis: the curve begins leaning.
        mesh = mesh.turned(rotation([0, 1, 0], -90) @ rotation([0, 0, 1], rng.uniform(12, 28)))
        elevation = (5, 40)
    return Subject(mesh.grounded(), elevation, {"height_cm": round(height), "standing": standing})


@scene("rhino_horn")
def rhino_horn_pair(rng: np.random.Generator) -> Subject:
    """The front and the back horn of one animal, lying."""
    height = rng.uniform(25, 55)
    first = rhino(rng, height).grounded()
    second = rhino(rng, height * rng.uniform(0.45, 0.7)).grounded()
    second = second.turned(rotation([0, 0, 1], rng.normal(0, 20)))
    gap = (np.ptp(first.vertices[:, 1]) + np.ptp(second.vertices[:, 1])) * rng.uniform(0.5, 0.62)
    mesh = merge([first, second.moved([-height * 0.1, gap, 0])])
    return Subject(mesh, (25, 75), {"height_cm": round(height)})
