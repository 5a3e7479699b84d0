"""Forms that several scenes share: bent tubes, bowls, sacks, heaps, mirror images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from wildlife_renderer import geometry
from wildlife_renderer.geometry import Array, Curve, Mesh, merge, noise
from wildlife_renderer.materials import any_hue, blend, glazed, paint, ridge, seed_of, timber
from wildlife_renderer.pile import Heap


def bent(length: float, bend: float, twist: float = 0.0, late: float = 1.0) -> Curve:
    """Return a curve of a given length that bends by ``bend`` degrees in the plane of the table.

    Args:
        length: In centimetres.
        bend: The whole angle between both ends.
        twist: How far it leaves the plane, as a share of its length.
        late: Above 1 the bend gathers toward the far end.
    """
    fine = np.linspace(0, 1, 500)
    heading = np.radians(bend) * (fine**late - 0.5)
    step = np.stack([np.cos(heading), np.sin(heading)], axis=1) * length / 500
    flat = np.cumsum(step, axis=0)
    path = np.column_stack([flat, twist * length * np.sin(fine * np.pi * 1.3)])

    def curve(at: Array) -> Array:
        return np.stack([np.interp(at, fine, path[:, axis]) for axis in range(3)], axis=1)

    return curve


def horn_tube(
    curve: Curve,
    girth: float,
    taper: float,
    hollow: float,
    detail: int = 520,
    around: int = 224,
) -> tuple[Mesh, Array]:
    """Return a tapering tube that is hollow at its thick end.

    Args:
        curve: Where it runs.
        girth: The radius of its thick end.
        taper: Above 1 it thins early.
        hollow: How deep the hollow is, as a share of the length.
        detail: Rings of vertices.
        around: Vertices on a ring.

    Returns:
        The tube, and for each vertex how far along it lies: 0 at the base, 1 at the tip, and below
        0 inside the hollow.
    """
    inside = np.linspace(-hollow, 0, 90)
    outside = np.concatenate([np.linspace(0, 0.02, 10), np.linspace(0.02, 1, detail)[1:]])
    outside = np.concatenate([outside[outside < 0.97], 1 - 0.03 * np.linspace(1, 0, 40) ** 2])
    shape = (1 - outside) ** taper
    round_off = np.sqrt(np.clip(1 - np.clip((outside - 0.93) / 0.07, 0, 1) ** 2, 0, 1))
    radius_out = girth * (0.22 + 0.78 * shape) * round_off
    radius_in = girth * 0.86 * np.clip(1 - (-inside / hollow) ** 1.3, 0, 1)
    lip = 1 - 0.05 * np.exp(-outside / 0.004)
    position = np.concatenate([inside, outside])
    mesh = geometry.sweep(
        curve, np.abs(position), np.concatenate([radius_in, radius_out * lip]), around=around
    )
    return mesh, np.repeat(position, around)


def mirrored(mesh: Mesh) -> Mesh:
    """Return the mirror image along y, with its faces still looking outward."""
    flipped = mesh.turned(np.diag([1.0, -1.0, 1.0]))
    return replace(flipped, faces=flipped.faces[:, ::-1])


def bowl(rng: np.random.Generator, radius: float, depth: float) -> Mesh:
    """Return an open bowl, of a finish drawn at random."""
    wall = radius * 0.05
    foot = radius * rng.uniform(0.35, 0.55)
    outer = [
        [0, 0],
        [foot, 0],
        [foot * 1.02, depth * 0.04],
        [radius * 0.83, depth * 0.5],
        [radius, depth],
    ]
    inner = [
        [radius - wall, depth],
        [radius * 0.8 - wall, depth * 0.52],
        [foot * 0.9, depth * 0.14],
        [0, depth * 0.1],
    ]
    profile = np.concatenate(
        [geometry.smooth_profile(outer, 120), geometry.smooth_profile(inner, 120)]
    )
    mesh = geometry.lathe(profile, 200, 300)
    finish = rng.integers(4)
    if finish == 0:
        return timber(rng, mesh, radius, rng.uniform(0.2, 0.8))
    if finish == 1:
        return glazed(rng, mesh, (0.9, 0.9, 0.88))
    if finish == 2:
        return paint(mesh, (0.75, 0.75, 0.76), 0.3, metallic=0.95)
    return paint(mesh, any_hue(rng), 0.35, 0.3)


def sack(rng: np.random.Generator, radius: float, depth: float) -> Mesh:
    """Return an open sack of jute, woven plastic or paper, filled to a part of its depth."""
    outer = [[0, 0], [0.8, 0], [1.02, 0.12], [1.08, 0.5], [0.98, 0.8], [1.0, 0.95], [1.05, 1]]
    inner = [[1.02, 1.02], [0.95, 0.92], [0.93, 0.7], [0.9, 0.55], [0, 0.5]]
    profile = np.concatenate(
        [geometry.smooth_profile(outer, 140), geometry.smooth_profile(inner, 110)]
    )
    mesh = geometry.lathe(profile * [radius, depth], 240, 260)
    unit = mesh.vertices / radius
    angle = mesh.coords[:, 1] * 2 * np.pi
    unrolled = np.column_stack([np.cos(angle), np.sin(angle), unit[:, 2]])
    wall = np.clip(np.hypot(unit[:, 0], unit[:, 1]) * 4 - 3, 0, 1)
    folds = noise(unrolled, (2.2, 2.2, 0.7), seed_of(rng), 3)
    creases = ridge(noise(unrolled, (3, 3, 2), seed_of(rng), 3), 0.12)
    mesh = mesh.displaced(radius * wall * (0.09 * folds - 0.025 * creases))
    weave = np.sin(angle * 160) * np.sin(unit[:, 2] * 70)
    tone = np.array(
        [(0.66, 0.53, 0.36), (0.88, 0.87, 0.83), any_hue(rng, 0.8), (0.16, 0.16, 0.17)][
            rng.choice(4, p=[0.45, 0.25, 0.15, 0.15])
        ]
    )
    colour = blend(tone, tone * 0.65, 0.25 + 0.3 * weave + 0.4 * creases)
    return paint(mesh, colour, rng.uniform(0.4, 0.95), 0.0, sheen=0.2)


def scattered(
    rng: np.random.Generator, make: Callable[[], Mesh], count: int, spread: float
) -> Mesh:
    """Scatter round or upright things over the table, none tilted."""
    things = [make() for _ in range(count)]
    return merge(
        Heap(spread * 6).drop(rng, things, spread if count > 1 else 0.01, tilt=0.0, tries=14)
    )


def heap_of(
    rng: np.random.Generator, make: Callable[[], Mesh], size: float, count: int, held: bool
) -> Mesh:
    """Heap many pieces of a size, in a bowl when ``held``."""
    if held:
        return heap_in(
            rng, make, size, count, lambda radius: bowl(rng, radius, radius * rng.uniform(0.4, 0.6))
        )
    spread = size * 0.46 * np.sqrt(count)
    heap = Heap(spread * 4 + 4 * size)
    if count > 12:
        spread *= 0.72
    things = (make() for _ in range(count))
    return merge(heap.drop(rng, things, spread, tries=3 if count > 12 else 6))


def heap_in(
    rng: np.random.Generator,
    make: Callable[[], Mesh],
    size: float,
    count: int,
    vessel: Callable[[float], Mesh],
) -> Mesh:
    """Heap many pieces of a size in a vessel, which is made for a radius in centimetres."""
    radius = size * 0.55 * count**0.42 + size * 0.7
    around = vessel(radius)
    things = (make() for _ in range(count))
    heap = Heap(radius * 4, around)
    return merge([around, *heap.drop(rng, things, radius * 0.62, tries=3 if count > 12 else 6)])
