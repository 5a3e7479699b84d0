"""Forms that several scenes share: bent tubes, bowls, heaps, mirror images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from wildlife_renderer import geometry
from wildlife_renderer.geometry import Array, Curve, Mesh, merge
from wildlife_renderer.materials import any_hue, glazed, paint, timber
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
    curve: Curve, girth: float, taper: float, hollow: float, detail: int = 520
) -> tuple[Mesh, Array]:
    """Return a tapering tube that is hollow at its thick end.

    Args:
        curve: Where it runs.
        girth: The radius of its thick end.
        taper: Above 1 it thins early.
        hollow: How deep the hollow is, as a share of the length.
        detail: Rings of vertices.

    Returns:
        The tube, and for each vertex how far along it lies: 0 at the base, 1 at the tip, and below
        0 inside the hollow.
    """
    around = 224
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
    outer = [[0, 0], [foot, 0], [foot * 1.02, 0.04], [radius * 0.83, 0.5], [radius, 1]]
    inner = [[radius - wall, 1], [radius * 0.8 - wall, 0.52], [foot * 0.9, 0.14], [0, 0.1]]
    halves = (geometry.smooth_profile(half, 120) for half in (outer, inner))
    profile = np.concatenate([*halves])
    mesh = geometry.lathe(profile * [1, depth], 200, 300)
    finish = rng.integers(4)
    if finish == 0:
        return timber(rng, mesh, radius, rng.uniform(0.2, 0.8))
    if finish == 1:
        return glazed(rng, mesh, (0.9, 0.9, 0.88))
    if finish == 2:
        return paint(mesh, (0.75, 0.75, 0.76), 0.3, metallic=0.95)
    return paint(mesh, any_hue(rng), 0.35, 0.3)


def heap_of(
    rng: np.random.Generator, make: Callable[[], Mesh], size: float, count: int, held: bool
) -> Mesh:
    """Heap many pieces of a size, in a bowl when ``held``."""
    things, tries = (make() for _ in range(count)), 3 if count > 12 else 6
    if held:
        radius = size * 0.55 * count**0.42 + size * 0.7
        around = bowl(rng, radius, radius * rng.uniform(0.4, 0.6))
        heap = Heap(radius * 4, around)
        return merge([around, *heap.drop(rng, things, radius * 0.62, tries=tries)])
    spread = size * 0.46 * np.sqrt(count)
    heap = Heap(spread * 4 + 4 * size)
    if count > 12:
        spread *= 0.72
    return merge(heap.drop(rng, things, spread, tries=tries))
